//! The preference: whether the user wants room keys to be backed up, as all their clients share it (MSC4287).
//!
//! It never switches anything: it says what it found, and the app acts. What is uncertain is decided in pure code (`wire`,
//! `decision`, `ledger`), what is durable is in the vault. Nothing here knows about the download.
//!
//! - `object`: the exported object
//! - `wire`: account data, in both forms
//! - `decision`: what to do at sign-in (pure, and a table in `docs/preference.md`)
//! - `ledger`: what was seen, what is wished for, and the next step (pure)
//! - `stored`: the ledger as the vault keeps it
//! - `ask`, `writer`: asking the homeserver, and writing what is wished for
//! - `news`, `wake_up`: what the app is told, and when it is to wake us; `parties`: whom all this works with
//! - `records`: in which words

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
    AccountDataEvent, PendingPreference, PendingReason, PreferenceConflict, PreferenceError, PreferenceResolution,
    PreferenceWrite, SignInDecision,
};
#[cfg(any(fuzzing, test))]
pub(crate) use wire::read_forms;
pub use wire::{PreferenceForm, PreferenceSource, PreferenceValue, SharedPreference};
