//! What the app is told of a download, and in which words.
//!
//! - `report`: records and enums that cross to Kotlin and Swift as they are
//! - `progress`: the figures of a run while it is under way
//! - `listener`: progress, hints and conflicts, told to the host

pub(crate) mod listener;
pub(crate) mod progress;
pub(crate) mod report;
