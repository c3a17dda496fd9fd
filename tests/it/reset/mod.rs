//! Moving the backup to a new key, and what belongs to it.

mod every_request;
mod meddling;
mod moving;
mod other_device;
mod world;
