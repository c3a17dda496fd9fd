//! The small homeserver, and answers of its own making.

use keyferry_test_homeserver::{Config, FaultKind, Homeserver};
use serde_json::Value;

/// Starts a server with this many keys in this many rooms.
pub(crate) fn homeserver(keys: u64, rooms: u64) -> Homeserver {
    start(Config {
        keys,
        rooms,
        ..Config::default()
    })
}

/// Starts a server that sends slowly.
pub(crate) fn slow(keys: u64, rooms: u64, bytes_per_second: u64) -> Homeserver {
    start(Config {
        keys,
        rooms,
        bytes_per_second: Some(bytes_per_second),
        ..Config::default()
    })
}

/// Starts a server.
pub(crate) fn start(config: Config) -> Homeserver {
    Homeserver::start(config).expect("the small homeserver starts")
}

/// Returns a fault that replaces an answer.
pub(crate) fn status(code: u16, body: impl Into<Value>) -> FaultKind {
    FaultKind::Status {
        code,
        body: body.into(),
        headers: Default::default(),
    }
}
