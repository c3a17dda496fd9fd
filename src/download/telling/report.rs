//! How a run has ended, as apps see it.

use super::status::DownloadSummary;
use crate::{
    job::{BlockedReason, PauseCause, RunFailure, RunHolder},
    wake_up::WakeUp,
};

/// How a run ended, and what there is by now.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RunReport {
    /// How it ended.
    pub outcome: RunOutcome,
    /// What is in the vault now.
    pub summary: DownloadSummary,
    /// Bytes of response bodies in this run.
    pub bytes_downloaded: u64,
    /// Entries that were decrypted in this run, whichever stage needed them.
    pub decrypted: u64,
    /// Every room key of every backup version that is known can be had: nothing is missing, failed, locked, held back or
    /// refused. Only then tell the user that every key is here; else say what is not, from `outcome` and `summary`.
    pub every_key_is_here: bool,
    /// The wake-up that the host was asked for at the end of this run, if it was.
    pub wake_up: Option<WakeUp>,
}

/// How a run ended. All are resting states: nothing is lost, and the next run goes on from here.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum RunOutcome {
    /// Nothing is left to do until the backup changes: everything that the server counts is fetched, opened where that is
    /// possible, and with a sink delivered. `RunReport.every_key_is_here` says whether every key can be had.
    Completed {
        /// What shows that nothing is missing.
        proof: CompletionProof,
        /// Keys that the server counts and does not give, which the app has accepted by `accept_shortfall`; 0 as a rule.
        accepted_shortfall: u64,
    },
    /// The server does not give all the keys that it counts, asked for everything at once and room by room. What it gives is
    /// here. It is looked at again after 6 hours, a day, and then weekly.
    Short {
        /// The backup versions that lack keys.
        versions: Vec<MissingKeys>,
    },
    /// Something holds it. What the host has paused goes on when the causes are gone: the crate asks for a wake-up then.
    Paused {
        /// What holds it, or a part of it that is not done; none where the client was shut down.
        causes: Vec<PauseCause>,
    },
    /// `stop()` was called: nothing is done until `start()`.
    Stopped,
    /// The budget is used up. Run again at the next opportunity.
    OutOfBudget,
    /// Something outside has to change first, by itself. Run again then.
    Blocked {
        /// What is in the way.
        reason: BlockedReason,
        /// Milliseconds to wait at least, where that is known.
        retry_after_ms: Option<u64>,
    },
    /// Everything is fetched, and some of it is locked: ask the user for the recovery key of these versions, or give them up by
    /// `give_up_version`, then run again.
    NeedsUnlock {
        /// The backup versions that nobody has unlocked, the oldest first.
        versions: Vec<String>,
    },
    /// Another run is under way, of this client, another one or another process; this call did nothing.
    AlreadyRunning {
        /// Whose it is.
        by: RunHolder,
    },
    /// It cannot go on by itself.
    Failed {
        /// Why, and so what to do.
        reason: RunFailure,
    },
}

/// What shows that nothing of a backup is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum CompletionProof {
    /// The server gave everything at once, in a whole answer, and counts no more keys than came.
    Whole,
    /// Room by room, or by what has come since the last time, as many keys have come as the server counts. A server that counts
    /// wrongly may have more.
    Counted,
}

/// A backup version whose server does not give all that it counts.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct MissingKeys {
    /// The version.
    pub version: String,
    /// Keys that are missing.
    pub missing: u64,
}
