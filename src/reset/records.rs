//! What apps read about a reset, and what they ask for.

use crate::{
    job::{BlockedReason, JobEnd, PauseCause, RunFailure, RunHolder},
    milliseconds::Milliseconds,
    wake_up::WakeUp,
};

/// Why the user wants to reset the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum ResetCause {
    /// The recovery key or passphrase is lost.
    RecoveryKeyLost,
    /// Somebody else may know the backup's decryption key, or the key of secret storage.
    KeyCompromised,
    /// The backup is damaged: entries are forged, or cannot be opened.
    BackupDamaged,
}

/// Which way of resetting is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum ResetWay {
    /// There is no backup: create one, with `BackupReset.create_backup`.
    Create,
    /// This device can open the backup, and nobody else can: only secret storage has to be renewed, around the same
    /// backup, with `BackupReset.rotate_storage`. Nothing is deleted and nothing uploaded.
    RotateStorageOnly,
    /// The backup has to move to a new key, with `BackupReset.move_backup`.
    Move,
    /// Neither this device nor the user can open the backup, so nothing in it can be moved. Its sealed entries stay in
    /// the vault for the day on which the old key turns up. A new backup can be created beside it, with
    /// `BackupReset.move_backup`, if the losses are accepted.
    Locked,
}

/// What a reset would mean, for the user to decide. `BackupReset.prepare_reset` returns it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ResetReadiness {
    /// Which way is right.
    pub way: ResetWay,
    /// What would be lost if the old backup were deleted now. Empty if this device has every key.
    pub losses: Vec<KeyLoss>,
    /// Number of keys that a move uploads.
    pub keys: u64,
    /// Bytes that a move uploads, about 860 a key. It downloads as many again, to prove that they are there, and
    /// fetches what is left of the old backup before.
    pub upload_bytes: u64,
    /// Bytes that a move adds to the vault, about 560 a key, as it keeps the keys of the old backup, too.
    pub vault_bytes: u64,
    /// Whether the vault can keep a new key. If not, a move is refused: open the client with another
    /// `VaultProtection`.
    pub can_keep_secrets: bool,
}

/// Keys that would be lost, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Record)]
pub struct KeyLoss {
    /// Why they would be lost.
    pub kind: LossKind,
    /// How many keys.
    pub keys: u64,
}

/// Why keys would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum LossKind {
    /// They are in the backup and not yet on this device: run the download.
    NotFetched,
    /// They were delivered and removed from the vault (`DownloadPolicy.trim_delivered`): set that to false, call
    /// `KeyDownload.crypto_store_was_replaced`, and run the download.
    Trimmed,
    /// The server counts them, and does not return them.
    Missing,
    /// Their decryption key is not known: unlock the version.
    Locked,
    /// They cannot be opened with the right key: `KeyDownload.failures` lists them.
    Failed,
    /// They are copies that do not connect to the one that counts: `KeyDownload.conflicts` lists them.
    Conflict,
    /// The app's crypto has them, and has not uploaded them yet. A move uploads them.
    NotUploaded,
    /// The server keeps a worse copy, and does not replace it with the vault's.
    CannotReplace,
}

/// How far a reset has come. The steps follow each other as they are listed, but the last but two repeat each other
/// until nothing is left to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, uniffi::Enum)]
#[non_exhaustive]
pub enum ResetStep {
    /// A new key has been made and sealed in the vault.
    Begun,
    /// The old and the new key are in secret storage.
    SecretsKept,
    /// The new backup version exists and is the current one. From here on nothing can be cancelled.
    Created,
    /// The new key is where the user's other clients look for it.
    Published,
    /// The app's crypto uses the new backup.
    Adopted,
    /// What the server has is being read.
    ReadingBack,
    /// Keys are being uploaded.
    Uploading,
    /// Every key was read back from the server.
    Proved,
    /// The app's crypto knows which keys are in the backup, and has uploaded the rest. The old version can be deleted.
    Done,
}

/// Why a reset has stopped. Every key is still here, and nothing was deleted that existed before. It goes on with
/// another call of `move_backup` or `create_backup`, which begins again with the same new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum ResetStop {
    /// Another client has created or deleted a backup version meanwhile.
    Overtaken,
    /// Another client has changed the default key of secret storage meanwhile, or a secret in it.
    SecretStorageChanged,
    /// The server keeps calling the old version the current one, although newer ones were created (some servers sort
    /// version numbers as text). The new ones were deleted again.
    OldVersionStays,
}

/// How far the reset has come, without using the network. `BackupReset.status` returns it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ResetStatus {
    /// The last step that is done.
    pub step: ResetStep,
    /// Why the reset has stopped; `None` if it has not.
    pub stopped: Option<ResetStop>,
    /// Whether it can still be cancelled.
    pub can_be_cancelled: bool,
    /// The version that was current when the reset began; `None` if there was none.
    pub old_version: Option<String>,
    /// The new version, once it exists.
    pub new_version: Option<String>,
    /// The public key of the new version, unpadded base64.
    pub new_public_key: String,
    /// Number of keys that have been uploaded, some of them more than once if the server had lost them again.
    pub sent: u64,
    /// Number of keys in the vault.
    pub total: u64,
    /// Number of keys of which the server keeps a worse copy, as far as is known.
    pub unreplaced: u64,
}

/// How far a run of a reset is. The host gets it through `JobHost.on_reset_progress`; while keys are being read back,
/// `JobHost.on_progress` has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ResetProgress {
    /// The last step that is done.
    pub step: ResetStep,
    /// Number of keys that have been uploaded, some of them more than once if the server had lost them again.
    #[uniffi(default = 0)]
    pub sent: u64,
    /// Number of keys in the vault.
    #[uniffi(default = 0)]
    pub total: u64,
    /// Why the reset has stopped; `None` if it has not.
    #[uniffi(default = None)]
    pub stopped: Option<ResetStop>,
}

/// How a run of a reset ended. `BackupReset.run` returns it. Nothing is lost with any outcome.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ResetReport {
    /// How the run ended.
    pub outcome: ResetOutcome,
    /// How far the reset has come; `None` if none was begun, or if the vault could not be read.
    pub status: Option<ResetStatus>,
    /// The wake-up that the host was asked for at the end of this run; `None` if it was asked for none.
    pub wake_up: Option<WakeUp>,
}

/// How a run of a reset ended.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum ResetOutcome {
    /// The new backup has every key that this device can open, apart from `ResetStatus.unreplaced`. The old one can
    /// be deleted with `BackupReset.delete_version`.
    Completed,
    /// No reset is under way.
    NothingToDo,
    /// Another client has intervened. `ResetStop` says what to do.
    Halted {
        /// What has happened.
        why: ResetStop,
    },
    /// The app's crypto refuses a step. The reset goes on when it is run again.
    CryptoRefuses {
        /// What the app's `CryptoError.Refused` said.
        reason: String,
    },
    /// A decryption key is missing: unlock these versions, or give them up with `KeyDownload.give_up_version`.
    NeedsUnlock {
        /// The versions that are locked.
        versions: Vec<String>,
    },
    /// Another run has the vault. This one did nothing.
    AlreadyRunning {
        /// The run that has it.
        by: RunHolder,
    },
    /// Pause causes hold the reset, as they hold the download.
    Paused {
        /// The causes; empty if the client was shut down.
        causes: Vec<PauseCause>,
    },
    /// `KeyDownload.stop` was called. Nothing is done until `KeyDownload.start` is called.
    Stopped,
    /// The budget is used up, or too small for the next step: creating the version needs 60 seconds. Run again at the
    /// next opportunity.
    OutOfBudget,
    /// Something outside the crate must change first, and changes by itself. Run again then.
    Blocked {
        /// What the run waits for.
        reason: BlockedReason,
        /// Minimum time to wait before the next run; `None` if unknown.
        retry_after: Option<Milliseconds>,
    },
    /// The reset cannot go on by itself.
    Failed {
        /// The reason.
        reason: RunFailure,
    },
}

impl From<&ResetStatus> for ResetProgress {
    fn from(status: &ResetStatus) -> Self {
        Self {
            step: status.step,
            sent: status.sent,
            total: status.total,
            stopped: status.stopped,
        }
    }
}

impl ResetOutcome {
    /// Whether somebody has to decide something before another run is of use.
    pub(super) fn needs_decision(&self) -> bool {
        matches!(
            self,
            Self::Halted { .. } | Self::CryptoRefuses { .. } | Self::NeedsUnlock { .. }
        )
    }

    /// Whether the run would have gone on if something had not held it.
    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Paused { .. } | Self::Stopped | Self::AlreadyRunning { .. })
    }
}

impl From<JobEnd> for ResetOutcome {
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

impl ResetCause {
    /// Returns the number that the vault keeps; 0 stands for no cause.
    pub(super) fn code(self) -> i64 {
        match self {
            Self::RecoveryKeyLost => 1,
            Self::KeyCompromised => 2,
            Self::BackupDamaged => 3,
        }
    }

    pub(super) fn from_code(code: i64) -> Option<Self> {
        [Self::RecoveryKeyLost, Self::KeyCompromised, Self::BackupDamaged]
            .into_iter()
            .find(|cause| cause.code() == code)
    }

    /// Whether secret storage must be under another key from now on.
    pub(super) fn renews_storage(self) -> bool {
        match self {
            Self::RecoveryKeyLost | Self::KeyCompromised => true,
            Self::BackupDamaged => false,
        }
    }
}

impl ResetStep {
    const ALL: [Self; 9] = [
        Self::Begun,
        Self::SecretsKept,
        Self::Created,
        Self::Published,
        Self::Adopted,
        Self::ReadingBack,
        Self::Uploading,
        Self::Proved,
        Self::Done,
    ];

    /// Returns the number that the vault keeps.
    pub(super) fn code(self) -> i64 {
        self as i64
    }

    pub(super) fn from_code(code: i64) -> Self {
        let step = Self::ALL.into_iter().find(|step| step.code() == code);
        step.unwrap_or(Self::Begun)
    }
}

impl ResetStop {
    /// Returns the number that the vault keeps; 0 stands for "not stopped".
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Overtaken => 1,
            Self::SecretStorageChanged => 2,
            Self::OldVersionStays => 3,
        }
    }

    pub(super) fn from_code(code: i64) -> Option<Self> {
        [Self::Overtaken, Self::SecretStorageChanged, Self::OldVersionStays]
            .into_iter()
            .find(|stop| stop.code() == code)
    }
}
