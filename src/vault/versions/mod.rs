//! Stores backup versions: what the server reports about each, what its answers have shown, and its decryption key.
//!
//! - `row`: one version
//! - `read`: reads versions
//! - `mark`: what the server reports about a version
//! - `progress`: what a run records about a version
//! - `by_app`: what the app decides about a version
//! - `decryption_keys`: the sealed decryption keys

mod by_app;
mod decryption_keys;
mod mark;
mod progress;
mod read;
mod row;

pub(super) use mark::recount_names;
pub(crate) use row::{KeyCounts, VersionRow};
