//! Moving the backup to a new key, and what belongs to it.

mod any_order;
mod calls;
mod every_request;
mod kept;
mod kill;
mod meddling;
mod moving;
mod other_device;
mod pausing;
mod servers;
mod world;
