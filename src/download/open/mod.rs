//! Vault to opened keys, on all cores, and what is learnt back into the vault.
//!
//! - `stage`: the workers
//! - `queue`: which page comes next; `watermark`: up to where everything has ended (pure)
//! - `commit`: finished pages into the vault and on to the sink; `settle_copies`: copies of a session held against each other

mod commit;
mod queue;
mod settle_copies;
mod stage;
mod watermark;

pub(super) use commit::OpenedPage;
pub(super) use queue::{PAGES_IN_FLIGHT, Passed};
pub(super) use stage::{OpenStage, push_hint};
