//! From the vault to opened keys, on all cores; the results go back into the vault.
//!
//! - `stage`: the workers
//! - `queue`: which page comes next; `watermark`: the entry up to which everything has ended (pure)
//! - `commit`: writes finished pages to the vault and passes them on; `settle_copies`: compares copies of a session

mod commit;
mod queue;
mod settle_copies;
mod stage;
mod watermark;

pub(super) use commit::OpenedPage;
pub(super) use queue::{PAGES_IN_FLIGHT, Passed};
pub(super) use stage::{OpenStage, push_hint};
