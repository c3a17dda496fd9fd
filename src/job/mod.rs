//! What every long job shares: how it is held, ended, budgeted and waited for, and how it takes the vault.
//!
//! - `run`: takes the vault, works in phases, leaves nothing behind; `keeper`, `in_flight`: until all has ended
//! - `cause`, `gate`: what holds a job, and where that is kept
//! - `stop`: ending a run
//! - `budget`: what the app grants

mod budget;
mod cause;
pub(crate) mod gate;
pub(crate) mod in_flight;
mod keeper;
pub(crate) mod run;
pub(crate) mod stop;

pub use budget::RunBudget;
pub use cause::PauseCause;
pub(crate) use cause::Work;
