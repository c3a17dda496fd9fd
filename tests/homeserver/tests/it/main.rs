//! The homeserver as a client sees it, over plain sockets.

mod client;
mod content_faults;
mod endpoints;
mod faults;
mod program;
mod round_trip;
mod servers;
mod uploads;
