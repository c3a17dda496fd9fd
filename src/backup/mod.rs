//! A key backup as data (MSC1219; client-server API, "Server-side key backups"): takes bytes, returns entries and
//! room keys.
//!
//! Nothing here waits, reads a clock, or touches a network or a disk. All input comes from a server that may be
//! hostile, so every size has a bound in [`limits`].

pub(crate) mod base64;
pub(crate) mod completeness;
pub(crate) mod copies;
pub(crate) mod decryption;
pub(crate) mod encryption;
pub(crate) mod entry;
mod entry_keys;
pub(crate) mod limits;
pub(crate) mod plaintext;
pub(crate) mod ratchet;
pub(crate) mod reader;
pub(crate) mod recovery_key;
mod room_key;
pub(crate) mod session_id;
mod value;
pub(crate) mod version;

pub use entry::FailureReason;
pub(crate) use room_key::RoomKeyContent;
#[cfg(test)]
pub(crate) use room_key::example as example_room_key;
pub use room_key::{BackupOrigin, RoomKey};
