//! From the vault to opened keys, on all cores; the results go back into the vault.
//!
//! - `stage`: the workers
//! - `queue`: hands pages to the workers; `claims`: which entries come next, and which the marks have passed
//! - `watermark`: the entry up to which everything has ended (pure); `window`: entries in the order of their session
//!   ids (pure)
//! - `commit`: writes finished pages to the vault and passes them on; `settle_copies`: compares copies of a session

mod claims;
mod commit;
mod queue;
mod settle_copies;
mod stage;
mod watermark;
mod window;

pub(super) use commit::{OpenedPage, ToDeliver};
pub(super) use stage::{OpenStage, PAGES_IN_FLIGHT, push_hint};
pub(super) use watermark::Passed;
