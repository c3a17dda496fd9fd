//! What the download tells: records and enums that cross to Kotlin and Swift as they are.

use crate::{
    backup::FailureReason,
    job::{BlockedReason, NoAccess, PauseCause, RunFailure, RunHolder},
    vault::VaultMeaning,
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

/// Keys that have arrived in one room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ArrivedRoomKeys {
    /// The room.
    pub room_id: String,
    /// The sessions.
    pub session_ids: Vec<String>,
}

/// A place in the order of arrival. Keep it as it is; the default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct ArrivalCursor {
    /// Opaque.
    #[uniffi(default = 0)]
    pub batch: i64,
    /// Opaque.
    #[uniffi(default = 0)]
    pub entry: i64,
}

/// Keys that arrived after a cursor.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ArrivedPage {
    /// The keys, in the order of arrival, those of one room together.
    pub arrived: Vec<ArrivedRoomKeys>,
    /// Where to go on.
    pub next: ArrivalCursor,
    /// There are more by now.
    pub more: bool,
}

/// One entry of the backup.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct EntryRef {
    /// The room that it is listed under.
    pub room_id: String,
    /// The session that it is listed as.
    pub session_id: String,
}

/// A page of entries.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct EntryPage {
    /// The entries.
    pub entries: Vec<EntryRef>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}

/// Why a copy of a key is held back from the sink and from exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum ConflictCause {
    /// The same session stands under two rooms: the server may be moving keys. Look-ups in either room have it.
    TwoRooms,
    /// There are two keys of one session id, and their ratchets do not connect: at most one is genuine. Look-ups have the one
    /// that came first, until `prove_room_key` shows that it is the other.
    Unconnected,
}

/// A copy of a key that is held back, and the one that counts in its place.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct KeyConflict {
    /// The copy that is held back.
    pub held_back: EntryRef,
    /// The backup version that it is in.
    pub version: String,
    /// The place of the copy that counts; `None` where none of them does, as one answer brought both and nothing proves either.
    pub counts: Option<EntryRef>,
    /// The backup version of that one.
    pub counts_version: Option<String>,
    /// Why.
    pub cause: ConflictCause,
}

/// A page of conflicts.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ConflictPage {
    /// The conflicts.
    pub conflicts: Vec<KeyConflict>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}

/// Conflicts of a kind that the host has not been told of in this version: somebody may be tampering with the backup.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ConflictNotice {
    /// The backup version.
    pub version: String,
    /// What kind. Each is told once for a version.
    pub cause: ConflictCause,
    /// How many copies of keys are held back in that version by now, for whatever cause.
    pub held_back: u64,
}

/// A key that the sink refused.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RefusedEntry {
    /// Which one.
    pub entry: EntryRef,
    /// What the sink said.
    pub reason: String,
}

/// A page of refused keys.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RefusedPage {
    /// The keys.
    pub entries: Vec<RefusedEntry>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
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
