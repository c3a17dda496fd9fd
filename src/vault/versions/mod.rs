//! Backup versions: what the server said of each, what its answers have shown, and its decryption key.
//!
//! - `row`: one version; `read`: reading them
//! - `mark`: what the server says; `progress`: what a run does and finds out; `by_app`: what the app says
//! - `decryption_keys`: the keys, sealed

mod by_app;
mod decryption_keys;
mod mark;
mod progress;
mod read;
mod row;

pub(crate) use row::{KeyCounts, VersionRow};
