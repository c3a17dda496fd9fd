//! Moving the backup to a new key, and what belongs to it.

mod moving;
mod world;
