//! How a run ended, as apps see it.

use super::status::DownloadSummary;
use crate::{
    job::{BlockedReason, PauseCause, RunFailure, RunHolder},
    milliseconds::Milliseconds,
    wake_up::WakeUp,
};

/// How a run ended, and what the vault holds now. `KeyDownload.run` returns it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RunReport {
    /// How the run ended.
    pub outcome: RunOutcome,
    /// What is in the vault now; empty if the vault could not be read.
    pub summary: DownloadSummary,
    /// Bytes of response bodies that this run received.
    pub bytes_downloaded: u64,
    /// Number of entries that this run decrypted, in any stage.
    pub decrypted: u64,
    /// Whether every room key of every known backup version is available: none is missing, failed, locked, held back
    /// or refused. Only if this is true, tell the user that every key is here. Otherwise say what is not, from
    /// `outcome` and `summary`.
    pub every_key_is_here: bool,
    /// The wake-up that the host was asked for at the end of this run; `None` if it was asked for none.
    pub wake_up: Option<WakeUp>,
}

/// How a run ended. Nothing is lost with any outcome, and the next run continues from here.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum RunOutcome {
    /// Nothing is left to do until the backup changes: everything that the server counts was fetched, opened if
    /// possible, and delivered if there is a sink. `RunReport.every_key_is_here` says whether every key is available.
    Completed {
        /// What proves that nothing is missing.
        proof: CompletionProof,
        /// Number of keys that the server counts and does not return, and that the app accepted with
        /// `KeyDownload.accept_shortfall`; usually 0.
        accepted_shortfall: u64,
    },
    /// The server returns fewer keys than it counts, both in a request for everything and room by room. All keys that
    /// it returns are here. The next checks come after 6 hours, after a day, and then weekly.
    Short {
        /// The backup versions that lack keys.
        versions: Vec<MissingKeys>,
    },
    /// Pause causes hold the download. When a cause ends that the host has set, it calls `KeyDownload.resume`, and is
    /// then asked for a wake-up.
    Paused {
        /// The causes that hold the download, or the part of it that is not done; empty if the client was shut down.
        causes: Vec<PauseCause>,
    },
    /// `KeyDownload.stop` was called. Nothing is done until `KeyDownload.start` is called.
    Stopped,
    /// The budget is used up. Run again at the next opportunity.
    OutOfBudget,
    /// Something outside the crate must change first, and changes by itself. Run again then.
    Blocked {
        /// What the run waits for.
        reason: BlockedReason,
        /// Minimum time to wait before the next run; `None` if unknown.
        retry_after: Option<Milliseconds>,
    },
    /// Everything was fetched, and some of it is locked. Ask the user for the recovery key of these versions, or give
    /// them up with `KeyDownload.give_up_version`; then run again.
    NeedsUnlock {
        /// The locked backup versions, oldest first.
        versions: Vec<String>,
    },
    /// Another run is under way, in this client, in another client or in another process. This call did nothing.
    AlreadyRunning {
        /// The holder of that run.
        by: RunHolder,
    },
    /// The download cannot continue by itself.
    Failed {
        /// Why the run failed, and so what the app can do.
        reason: RunFailure,
    },
}

/// What proves that nothing of a backup is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum CompletionProof {
    /// The server returned everything in one complete answer, and counts no more keys than came.
    Whole,
    /// As many keys came as the server counts, room by room or with what was added since the last time. A server that
    /// counts too few may have more.
    Counted,
}

/// A backup version whose server returns fewer keys than it counts.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct MissingKeys {
    /// The backup version.
    pub version: String,
    /// Number of keys that are missing.
    pub missing: u64,
}
