//! The homeserver as a client sees it, over plain sockets.

mod client;
mod endpoints;
mod faults;
mod program;
mod round_trip;
