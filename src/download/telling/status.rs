//! How far a download is, as apps see it.

use crate::{
    backup::FailureReason,
    job::{NoAccess, PauseCause, RunHolder},
    vault::VaultMeaning,
};

/// What the vault has of the current backup version.
#[derive(Clone, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct DownloadSummary {
    /// The backup version; `None` until the first run has asked for it.
    pub version: Option<String>,
    /// Keys in the backup: as many as the server counts, or as many as have come where that is more.
    pub total: u64,
    /// Keys that are durable in the vault, still encrypted. A key that stands several times counts once, here and in what
    /// follows.
    pub fetched: u64,
    /// Keys that decrypted and passed every check.
    pub opened: u64,
    /// Keys that the app's crypto has taken (imported or known).
    pub delivered: u64,
    /// Keys that can never be opened; `failures` lists them.
    pub failed: u64,
    /// Keys that the sink refused.
    pub refused: u64,
    /// Copies of keys that are held back from the sink and from exports: of another room than the one that came first, or with
    /// a ratchet that does not connect to it. `KeyDownload.conflicts` lists them.
    pub conflicts: u64,
    /// Keys that the server counts and does not give, in all versions.
    pub missing: u64,
    /// Keys in all versions that wait for a decryption key.
    pub locked: u64,
    /// Failed keys by reason, of all versions.
    pub failures: Vec<FailureCount>,
    /// Rooms that keys were found in, or that were asked for.
    pub rooms: u64,
    /// Bytes of response bodies so far, over all runs.
    pub bytes_downloaded: u64,
}

/// How many keys failed for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FailureCount {
    /// The reason.
    pub reason: FailureReason,
    /// Keys.
    pub count: u64,
}

/// Where a download is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum DownloadStage {
    /// No run is under way.
    #[default]
    Resting,
    /// A run has begun and asks for the backup version.
    Preparing,
    /// Keys come in; opening and delivering go on beside it.
    Fetching,
    /// A request failed for now; the run waits to try again.
    WaitingToRetry,
    /// Everything is here; keys are being opened (and delivered).
    Opening,
    /// Everything is opened; the sink is still taking keys.
    Delivering,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct DownloadProgress {
    /// What it is doing.
    pub stage: DownloadStage,
    /// Keys in the backup: as many as the server counts, or as many as have come where that is more; 0 until it has been asked.
    pub total: u64,
    /// Keys in the vault, never more than `total`.
    pub fetched: u64,
    /// Keys decrypted and checked.
    pub opened: u64,
    /// Keys that the sink has taken.
    pub delivered: u64,
    /// Keys that cannot be opened.
    pub failed: u64,
    /// Keys that the sink refused.
    pub refused: u64,
    /// Copies of keys that are held back from the sink.
    pub conflicts: u64,
    /// Keys in all backup versions that wait for another decryption key than those that are known: `unlock` opens them.
    pub locked: u64,
    /// Rooms that are done, where rooms are asked for one by one.
    pub rooms_done: u64,
    /// Rooms that are known.
    pub rooms: u64,
    /// Bytes of response bodies in this run.
    pub bytes_downloaded: u64,
    /// Keys a second in the stage that ends last, over the last few seconds; 0 until known.
    pub keys_per_second: u64,
    /// Milliseconds left at that rate, where it can be told.
    pub time_left_ms: Option<u64>,
}

/// Everything about a download that can be said without a network.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct DownloadStatus {
    /// What a run of this client is doing, or `Resting`.
    pub stage: DownloadStage,
    /// Every key that the server counts in the current version is fetched, as of the last look at it.
    pub fetch_complete: bool,
    /// The current backup version can be opened: its decryption key is known.
    pub unlocked: bool,
    /// The decryption key, if known at all, is only in memory: after a restart the user will be asked again.
    pub restart_needs_recovery_key: bool,
    /// What holds the download, or a part of it, right now.
    pub causes: Vec<PauseCause>,
    /// `stop()` was called, and no `start()` since.
    pub stopped: bool,
    /// Who has a run under way on this vault, as far as can be told.
    pub running: Option<RunHolder>,
    /// Every backup version that the vault has entries of or was told of, the oldest first.
    pub versions: Vec<VersionStatus>,
    /// The figures of the current version.
    pub summary: DownloadSummary,
}

/// One backup version.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct VersionStatus {
    /// Its name.
    pub version: String,
    /// How far it is.
    pub state: VersionState,
    /// Its decryption key is known.
    pub unlocked: bool,
    /// Keys in it, as the server said last.
    pub total: u64,
    /// Keys of it in the vault.
    pub fetched: u64,
    /// Keys of it that decrypted.
    pub opened: u64,
    /// Keys that the server counts and does not give.
    pub missing: u64,
    /// Its public key, unpadded base64; `None` where the server has not told it, or it is of an unknown algorithm. Version
    /// numbers can repeat: the public key tells two backups apart.
    pub public_key: Option<String>,
    /// The app has given up unlocking it.
    pub given_up: bool,
}

/// How far a backup version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum VersionState {
    /// The current one, and not all of it is fetched. Becomes `Complete`, `Short`, `Draining` or `Gone`.
    Fetching,
    /// An older one that is still there, and not all of it is fetched: it comes first. Becomes `Complete`, `Short` or `Gone`.
    Draining,
    /// All of it is fetched. Becomes `Fetching` when the server has more.
    Complete,
    /// All that the server gives is fetched, and it counts more. Becomes `Fetching` when its mark moves, and weekly.
    Short,
    /// The server does not have it any more; what was fetched of it is kept, with its key.
    Gone,
}

/// The vault could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum StatusError {
    /// The client is shut down: open another one.
    #[error("the client is shut down")]
    ShutDown,
    /// Another process writes for longer than five seconds. Passes by itself.
    #[error("the vault is busy")]
    Busy,
    /// The vault cannot be read now: the phone is locked, as a rule. Passes by itself.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The vault was deleted, set aside or replaced since this client was opened: shut it down, and open another one.
    #[error("the vault is gone")]
    Gone,
    /// The vault is damaged: shut the client down, `set_vault_aside`, and open another one.
    #[error("the vault is damaged")]
    Damaged,
    /// A bug in the crate: the log says more.
    #[error("a bug in the crate")]
    Internal,
}

impl From<NoAccess> for StatusError {
    fn from(reason: NoAccess) -> Self {
        match reason {
            NoAccess::ShutDown => Self::ShutDown,
            NoAccess::Vault(VaultMeaning::Busy | VaultMeaning::Overtaken) => Self::Busy,
            NoAccess::Vault(VaultMeaning::Inaccessible | VaultMeaning::DiskFull) => Self::Inaccessible,
            NoAccess::Vault(VaultMeaning::Gone) => Self::Gone,
            NoAccess::Vault(VaultMeaning::Damaged) => Self::Damaged,
            NoAccess::Vault(VaultMeaning::Bug) => Self::Internal,
        }
    }
}
