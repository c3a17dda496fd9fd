//! Resetting the backup without losing a key: creating one, moving it to a new key, deleting old versions, turning
//! backups off.
//!
//! The move is a job that the vault remembers step by step. It decides nothing about keys: which copy counts is decided
//! in `backup::copies`, what is sent in `upload`, and what the server has is read by the download. Nothing here deletes
//! a version before its successor is proved, or its loss is accepted by name.
//!
//! - `object`: the exported object; `records`, `error`: what it passes to apps
//! - `readiness`: which way is right, and what would be lost (pure)
//! - `begin`: what must be true before a reset begins
//! - `steps`: how far a reset has come, and what follows (pure)
//! - `run`, `segment`: taking steps, and the download between them
//! - `secrets`, `switch`, `sending`: the steps
//! - `delete`: the end of old versions
//! - `status`, `telling`, `wake_up`: what the app is told and asked for
//! - `parties`: what all of these work with

mod begin;
mod delete;
mod error;
mod object;
mod parties;
mod readiness;
mod records;
mod run;
mod secrets;
mod segment;
mod sending;
mod status;
mod steps;
mod switch;
mod telling;
mod wake_up;

pub use error::ResetError;
pub use object::BackupReset;
pub(crate) use parties::ResetCrypto;
pub use records::{
    KeyLoss, LossKind, ResetCause, ResetOutcome, ResetProgress, ResetReadiness, ResetReport, ResetStatus, ResetStep,
    ResetStop, ResetWay,
};
pub(crate) use telling::ResetListener;
