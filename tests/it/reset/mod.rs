//! Moving the backup to a new key, and what belongs to it.

mod calls;
mod every_request;
mod meddling;
mod moving;
mod other_device;
mod servers;
mod world;
