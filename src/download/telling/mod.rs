//! What the app learns about a download, and the records that carry it.
//!
//! - `report`, `status`, `pages`: records and enums that cross to Kotlin and Swift as they are
//! - `progress`, `rate`: the figures of a run while it is under way
//! - `listener`: progress and hints; `conflicts`: copies that are held back

mod conflicts;
mod listener;
pub(super) mod pages;
mod progress;
mod rate;
pub(super) mod report;
pub(super) mod status;

pub(super) use conflicts::tell_conflicts;
pub(crate) use listener::DownloadListener;
pub(super) use listener::{ArrivalHints, telling};
pub(super) use progress::{FetchActivity, Progress};
