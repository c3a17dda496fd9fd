//! The machinery that every long job shares. All jobs are held, ended, budgeted and awaited in the same way, and all
//! take the vault in the same way.
//!
//! A job claims the slot of its client and passes [`run::run`] the work that it does with the vault. Nothing here
//! knows what that work is; a tiny job in `tests` uses all of the machinery.
//!
//! - `jobs`, `slot`: one run at a time; `in_flight`: whether anything is active
//! - `run`, `keeper`: take the vault, keep it, give it back
//! - `phase`, `gate`, `cause`, `conditions`: what may go on, and what holds it
//! - `budget`, `stop`: the end of a run
//! - `outcome`, `next_run`: how a run ended, and when to wake the app for the next one; `waking`: the wake-ups of all jobs;
//!   `run_requests`: requests for a run of one job
//! - `vault_access`: work with the vault, outside a run or taking turns with it; `access_error`: why a call failed

mod access_error;
mod budget;
mod cause;
mod conditions;
mod gate;
mod in_flight;
mod jobs;
mod keeper;
mod next_run;
mod outcome;
mod phase;
mod run;
mod run_requests;
mod slot;
mod stop;
#[cfg(test)]
mod tests;
mod vault_access;
mod waking;

pub use access_error::AccessError;
pub use budget::RunBudget;
pub use cause::PauseCause;
pub(crate) use cause::{Work, WorkSet};
pub(crate) use conditions::Conditions;
pub(crate) use gate::{Gate, UserCommand};
pub(crate) use in_flight::AtWork;
pub(crate) use jobs::Jobs;
pub(crate) use next_run::{AFTER_A_KILL, NextRun, QUARTER_HOUR, RemainingWork};
pub(crate) use outcome::JobEnd;
pub use outcome::{BlockedReason, RunFailure, RunHolder};
pub(crate) use phase::{Phase, PhaseEnd};
pub(crate) use run::{ActiveRun, run};
pub(crate) use run_requests::RunRequests;
pub(crate) use slot::RunHandle;
pub(crate) use stop::{StopCause, StopSignal, Wake};
pub(crate) use vault_access::in_writer;
pub(crate) use waking::{Occasion, WakesUp};
