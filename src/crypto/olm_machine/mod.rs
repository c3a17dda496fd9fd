//! The app's crypto over a live `OlmMachine` of matrix-sdk-crypto, whose rules of merging and trust it keeps.

mod backup_marks;
mod import;
mod local_copy;
mod local_sessions;
mod sink;

pub use sink::OlmMachineSink;
