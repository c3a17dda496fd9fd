//! How far a download is, as apps see it.

use crate::{
    backup::FailureReason,
    job::{PauseCause, RunHolder},
    milliseconds::Milliseconds,
};

/// What the vault holds of the current backup version, with a few figures for all versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct DownloadSummary {
    /// The current backup version; `None` until the first run has asked the server for it.
    #[uniffi(default = None)]
    pub version: Option<String>,
    /// Number of keys in the backup: as many as the server counts, or as many as were fetched if that is more.
    #[uniffi(default = 0)]
    pub total: u64,
    /// Number of keys that are durable in the vault, still encrypted. A key with several copies counts once, here and
    /// in the figures below.
    #[uniffi(default = 0)]
    pub fetched: u64,
    /// Number of keys that were decrypted and passed every check.
    #[uniffi(default = 0)]
    pub opened: u64,
    /// Number of keys that the app's crypto has taken: imported, or known already.
    #[uniffi(default = 0)]
    pub delivered: u64,
    /// Number of keys that cannot be opened. `KeyDownload.failures` lists them.
    #[uniffi(default = 0)]
    pub failed: u64,
    /// Number of keys that the sink refused. `KeyDownload.refusals` lists them.
    #[uniffi(default = 0)]
    pub refused: u64,
    /// Number of copies of keys that are held back from the sink and from exports: their session came first under
    /// another room, or their ratchet does not connect to the one that came first. `KeyDownload.conflicts` lists
    /// them.
    #[uniffi(default = 0)]
    pub conflicts: u64,
    /// Number of keys, in all versions, that the server counts and does not return.
    #[uniffi(default = 0)]
    pub missing: u64,
    /// Number of keys, in all versions, that wait for a decryption key.
    #[uniffi(default = 0)]
    pub locked: u64,
    /// Number of failed keys for each reason, in all versions.
    #[uniffi(default = [])]
    pub failures: Vec<FailureCount>,
    /// Number of known rooms: rooms that have keys, or that were listed to be requested.
    #[uniffi(default = 0)]
    pub rooms: u64,
    /// Bytes of response bodies received for this version, over all runs.
    #[uniffi(default = 0)]
    pub bytes_downloaded: u64,
}

/// How many keys failed for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FailureCount {
    /// The reason why they failed.
    pub reason: FailureReason,
    /// Number of keys that failed for it.
    pub count: u64,
}

/// What a download is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum DownloadStage {
    /// No run is under way.
    #[default]
    Resting,
    /// A run has begun, and asks the server for the backup version.
    Preparing,
    /// Keys are being fetched. Opening and delivering go on at the same time.
    Fetching,
    /// A request failed for now, and the run waits to try again.
    WaitingToRetry,
    /// Everything is fetched; keys are being opened, and delivered if there is a sink.
    Opening,
    /// Everything is opened; the sink is still taking keys.
    Delivering,
}

/// How far a run is. The host gets it through `JobHost.on_progress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct DownloadProgress {
    /// What the run is doing.
    pub stage: DownloadStage,
    /// Number of keys in the backup: as many as the server counts, or as many as were fetched if that is more; 0
    /// until the server has been asked.
    #[uniffi(default = 0)]
    pub total: u64,
    /// Number of keys in the vault, never more than `total`.
    #[uniffi(default = 0)]
    pub fetched: u64,
    /// Number of keys that were decrypted and checked.
    #[uniffi(default = 0)]
    pub opened: u64,
    /// Number of keys that the sink has taken.
    #[uniffi(default = 0)]
    pub delivered: u64,
    /// Number of keys that cannot be opened.
    #[uniffi(default = 0)]
    pub failed: u64,
    /// Number of keys that the sink refused.
    #[uniffi(default = 0)]
    pub refused: u64,
    /// Number of copies of keys that are held back from the sink.
    #[uniffi(default = 0)]
    pub conflicts: u64,
    /// Number of keys, in all backup versions, that wait for a decryption key that is not known yet. `unlock` opens
    /// them.
    #[uniffi(default = 0)]
    pub locked: u64,
    /// Number of rooms that are done, if rooms are requested one by one.
    #[uniffi(default = 0)]
    pub rooms_done: u64,
    /// Number of rooms that are known.
    #[uniffi(default = 0)]
    pub rooms: u64,
    /// Bytes of response bodies received in this run.
    #[uniffi(default = 0)]
    pub bytes_downloaded: u64,
    /// Keys per second in the current stage, over the last 3 seconds; 0 until known.
    #[uniffi(default = 0)]
    pub keys_per_second: u64,
    /// Time left in the current stage at that rate; `None` if unknown.
    #[uniffi(default = None)]
    pub time_left: Option<Milliseconds>,
}

/// Everything that can be said about a download without the network. `KeyDownload.status` returns it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct DownloadStatus {
    /// What a run of this client is doing, or `DownloadStage.Resting`.
    pub stage: DownloadStage,
    /// Whether every key that the server counts in the current version is fetched, as of the last check with the
    /// server.
    pub fetch_complete: bool,
    /// Whether the current backup version can be opened, because its decryption key is known.
    pub unlocked: bool,
    /// Whether a decryption key, if known at all, is kept only in memory: after a restart the user must enter the
    /// recovery key again.
    pub restart_needs_recovery_key: bool,
    /// The causes that pause the download, or a part of it, right now.
    pub causes: Vec<PauseCause>,
    /// Whether `KeyDownload.stop` was called, and `KeyDownload.start` not since.
    pub stopped: bool,
    /// The holder of the run that is under way on this vault, as far as is known; `None` if there is no run.
    pub running: Option<RunHolder>,
    /// Every backup version that the vault knows, oldest first.
    pub versions: Vec<VersionStatus>,
    /// The figures of the current version.
    pub summary: DownloadSummary,
}

/// One backup version that the vault knows.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct VersionStatus {
    /// The number of the version, as the server names it.
    pub version: String,
    /// How far the download of it is.
    pub state: VersionState,
    /// Whether its decryption key is known.
    pub unlocked: bool,
    /// Number of its keys: as many as the server last counted, or as many as were fetched if that is more.
    pub total: u64,
    /// Number of its keys that are in the vault.
    pub fetched: u64,
    /// Number of its keys that were decrypted.
    pub opened: u64,
    /// Number of its keys that the server counts and does not return.
    pub missing: u64,
    /// Its public key in unpadded base64; `None` if the server has not named it, or if its algorithm is unknown.
    /// Version numbers can repeat: the public key distinguishes two backups with the same number.
    pub public_key: Option<String>,
    /// Whether the app has given up unlocking it, with `KeyDownload.give_up_version`.
    pub given_up: bool,
}

/// How far the download of a backup version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum VersionState {
    /// The current version, not fully fetched. Becomes `Complete`, `Short`, `Draining` or `Gone`.
    Fetching,
    /// An older version that the server still has, not fully fetched; usually it is fetched before the current one.
    /// Becomes `Complete`, `Short` or `Gone`.
    Draining,
    /// Everything is fetched. Becomes `Fetching` (an older version: `Draining`) when the server has more.
    Complete,
    /// All keys that the server returns are fetched, but it counts more. Becomes `Fetching` (an older version:
    /// `Draining`) when the etag or the count changes, and weekly.
    Short,
    /// The server no longer has the version. Its fetched entries are kept, with the decryption key.
    Gone,
}
