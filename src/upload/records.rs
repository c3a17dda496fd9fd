//! What apps read about keeping the backup up to date.

use crate::{
    job::{BlockedReason, JobEnd, PauseCause, RunFailure, RunHolder},
    milliseconds::Milliseconds,
    wake_up::WakeUp,
};

/// What a logout would lose. `KeyUpload.pending_upload` returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PendingUpload {
    /// Number of room keys in the app's crypto that are in no backup, as far as it knows.
    pub keys: u64,
    /// Whether the app's crypto uploads to a backup at all. If not, `KeyUpload.flush` cannot save the keys: create a
    /// backup first, or export them to a file.
    pub is_backed_up: bool,
}

/// How complete the backup is. `KeyUpload.upload_status` returns it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct UploadStatus {
    /// Number of room keys that the app's crypto has.
    pub known: u64,
    /// Number of those that are in the backup that it uploads to, as far as it knows.
    pub uploaded: u64,
    /// Number of those that wait to be uploaded.
    pub waiting: u64,
    /// The server's current backup version; `None` if there is none, or if the server could not be asked.
    pub version: Option<String>,
    /// Number of keys that the server counts in that version; `None` if it does not say.
    pub on_server: Option<u64>,
    /// What keeps keys from being uploaded; `None` if nothing does.
    pub hindrance: Option<UploadHindrance>,
}

/// What keeps keys from being uploaded.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum UploadHindrance {
    /// The account has no backup.
    NoBackup,
    /// The app's crypto uploads to no backup: it lacks the key.
    NotInUse,
    /// The app's crypto uploads to another backup than the current one, which another client has created. It needs the
    /// key of that one.
    OtherBackup,
    /// Pause causes hold uploads.
    Paused {
        /// The causes.
        causes: Vec<PauseCause>,
    },
    /// The homeserver cannot be reached, or refuses the request.
    Unreachable,
}

/// How a `flush` ended, and what it did.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct UploadReport {
    /// How it ended.
    pub outcome: UploadOutcome,
    /// Number of keys that it has brought into the backup, including those of which the backup had better copies.
    pub uploaded: u64,
    /// The wake-up that the host was asked for; `None` if it was asked for none.
    pub wake_up: Option<WakeUp>,
}

/// How a `flush` ended.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum UploadOutcome {
    /// No key of the app's crypto waits any more.
    Completed,
    /// Nothing can be uploaded until the app or the user has done something.
    Hindered {
        /// What.
        by: UploadHindrance,
    },
    /// The app's crypto refuses. Uploads go on when `flush` is called again.
    CryptoRefuses {
        /// What the app's `CryptoError.Refused` said.
        reason: String,
    },
    /// Another run has the vault. This one did nothing.
    AlreadyRunning {
        /// The run that has it.
        by: RunHolder,
    },
    /// Pause causes hold uploads, as they hold the download.
    Paused {
        /// The causes; empty if the client was shut down.
        causes: Vec<PauseCause>,
    },
    /// `KeyDownload.stop` was called.
    Stopped,
    /// The budget is used up. Call again at the next opportunity.
    OutOfBudget,
    /// Something outside the crate must change first, and changes by itself.
    Blocked {
        /// What it waits for.
        reason: BlockedReason,
        /// Minimum time to wait before the next call; `None` if unknown.
        retry_after: Option<Milliseconds>,
    },
    /// Uploads cannot go on by themselves.
    Failed {
        /// The reason.
        reason: RunFailure,
    },
}

impl From<JobEnd> for UploadOutcome {
    fn from(end: JobEnd) -> Self {
        match end {
            JobEnd::AlreadyRunning { by } => Self::AlreadyRunning { by },
            JobEnd::Paused { causes } => Self::Paused { causes },
            JobEnd::Stopped => Self::Stopped,
            JobEnd::OutOfBudget => Self::OutOfBudget,
            JobEnd::Blocked { reason, retry_after } => Self::Blocked {
                reason,
                retry_after: retry_after.map(Milliseconds::from),
            },
            JobEnd::Failed { reason } => Self::Failed { reason },
        }
    }
}
