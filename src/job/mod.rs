//! What every long job shares: it is held, ended, budgeted and waited for in one way, and it takes the vault in one way.
//!
//! A job claims the slot of its client, and hands [`run::run`] the work that it does with the vault. Nothing here knows what
//! that work is; a tiny job in `tests` uses all of it.
//!
//! - `jobs`, `slot`: one run at a time; `in_flight`: whether anything is at work
//! - `run`, `keeper`: takes the vault, keeps it, gives it back
//! - `phase`, `gate`, `cause`, `conditions`: what may go on, and what holds it
//! - `budget`, `stop`: the end of a run
//! - `outcome`, `next_run`: how it ended, and when the app is to be woken
//! - `vault_access`: work with the vault, beside a run or in turn with it

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
mod slot;
mod stop;
#[cfg(test)]
mod tests;
mod vault_access;

pub use budget::RunBudget;
pub use cause::PauseCause;
pub(crate) use cause::{Work, WorkSet};
pub(crate) use conditions::Conditions;
pub(crate) use gate::{Gate, UserWord};
pub(crate) use in_flight::AtWork;
pub(crate) use jobs::Jobs;
pub(crate) use next_run::{A_QUARTER, AFTER_A_KILL, NextRun, RemainingWork};
pub(crate) use outcome::JobEnd;
pub use outcome::{BlockedReason, RunFailure, RunHolder};
pub(crate) use phase::{Phase, PhaseEnd};
pub(crate) use run::{Turn, run};
pub(crate) use slot::RunHandle;
pub(crate) use stop::{StopCause, StopSignal, Wake};
pub(crate) use vault_access::{NoAccess, in_writer};
