//! Moving the backup to a new key, and what belongs to it.

mod every_request;
mod moving;
mod world;
