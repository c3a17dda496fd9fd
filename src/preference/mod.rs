//! The preference: whether the user wants room keys backed up, as all their clients share it (MSC4287).
//!
//! It must never switch backups on or off: it reports what it found, and the app acts. Uncertain cases are decided in
//! pure code (`wire`, `decision`, `ledger`), and durable state is kept in the vault. Nothing here knows about the
//! download.
//!
//! - `object`: the exported object
//! - `wire`: account data, in both forms
//! - `decision`: what to do at sign-in (pure, and a table in `docs/preference.md`)
//! - `ledger`: what was seen, what this device wishes to write, and the next step (pure)
//! - `stored`: the ledger as the vault stores it
//! - `ask`, `writer`: requests to the homeserver, and writing a wish
//! - `news`, `wake_up`: notices to the app, and the wake-ups that it is asked for
//! - `parties`: the objects that all of these work with
//! - `records`: the exported records and errors

mod ask;
mod decision;
mod ledger;
mod news;
mod object;
mod parties;
mod records;
mod stored;
mod wake_up;
mod wire;
mod writer;

pub use decision::{DecisionReason, DeterminedPolicy, PreferencePolicy, UndeterminedPolicy};
pub use ledger::PreferenceNotice;
pub use object::KeyBackupPreference;
pub(crate) use parties::PreferenceListener;
pub use records::{
    AccountDataEvent, PendingPreference, PendingReason, PreferenceConflict, PreferenceResolution, PreferenceWrite,
    SignInDecision,
};
#[cfg(any(fuzzing, test))]
pub(crate) use wire::read_forms;
pub use wire::{PreferenceForm, PreferenceSource, PreferenceValue, SharedPreference};
