//! How a run of any job ends before its work is done, and what holds it then.

use std::time::Duration;

use super::{cause::PauseCause, gate::Restraints};
use crate::{
    clock::this_process,
    homeserver::{HomeserverError, TransportError},
    vault::{LeaseRow, VaultError, VaultMeaning},
};

/// How a run ends that has not done all its work. The job's own outcome is for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// Another run has the vault; this one did nothing.
    AlreadyRunning { by: RunHolder },
    /// Something holds it: these causes, or none where the client was shut down.
    Paused { causes: Vec<PauseCause> },
    /// The user has given it up.
    Stopped,
    /// The budget is used up.
    OutOfBudget,
    /// Something outside has to change first, by itself.
    Blocked {
        reason: BlockedReason,
        retry_after: Option<Duration>,
    },
    /// It cannot go on by itself.
    Failed { reason: RunFailure },
}

impl JobEnd {
    /// Returns the end of a run that may not do anything now.
    pub(crate) fn held(restraints: &Restraints) -> Self {
        if restraints.is_stopped() {
            return Self::Stopped;
        }
        Self::Paused {
            causes: restraints.causes().iter().collect(),
        }
    }

    /// Returns the end of a run that somebody has ended: for a cause, or because its time was up.
    pub(crate) fn ended(restraints: &Restraints) -> Self {
        match Self::held(restraints) {
            Self::Paused { causes } if causes.is_empty() && !restraints.is_shut_down() => Self::Paused {
                causes: vec![PauseCause::TimeExpiring],
            },
            end => end,
        }
    }

    pub(crate) fn blocked(reason: BlockedReason, retry_after: Option<Duration>) -> Self {
        Self::Blocked { reason, retry_after }
    }

    pub(crate) fn failed(reason: RunFailure) -> Self {
        Self::Failed { reason }
    }

    /// Returns the end of a run by a failure of the vault, which `holder` may have in use.
    pub(crate) fn by_vault(error: &VaultError, holder: Option<RunHolder>) -> Self {
        if let VaultError::Sqlite(error) = error {
            log::error!("the vault failed: {error}");
            return Self::failed(RunFailure::Internal);
        }
        match error.meaning() {
            VaultMeaning::Busy => Self::blocked(BlockedReason::VaultBusy { by: holder }, None),
            VaultMeaning::Inaccessible => Self::blocked(BlockedReason::VaultInaccessible, None),
            VaultMeaning::Overtaken => Self::failed(RunFailure::Overtaken),
            VaultMeaning::DiskFull => Self::failed(RunFailure::DiskFull),
            VaultMeaning::Gone => Self::failed(RunFailure::VaultGone),
            VaultMeaning::Damaged => Self::failed(RunFailure::VaultDamaged),
            VaultMeaning::Bug => Self::failed(RunFailure::Internal),
        }
    }

    /// Returns the end of a run by a request that may succeed after `retry_after`.
    pub(crate) fn unreachable(error: &HomeserverError, retry_after: Duration) -> Self {
        let reason = match error {
            HomeserverError::Transport(TransportError::Offline) => BlockedReason::Offline,
            HomeserverError::RateLimited { .. } => BlockedReason::RateLimited,
            HomeserverError::NotTheHomeserver => BlockedReason::NotTheHomeserver,
            _ => BlockedReason::ServerFault,
        };
        Self::blocked(reason, Some(retry_after))
    }

    /// Returns the end of a run by a request that does not succeed by waiting.
    pub(crate) fn refused(error: &HomeserverError) -> Self {
        Self::failed(match error {
            HomeserverError::NotSignedIn { soft_logout } => RunFailure::NotSignedIn {
                soft_logout: *soft_logout,
            },
            HomeserverError::NoToken => RunFailure::NotSignedIn { soft_logout: false },
            HomeserverError::NotFound => RunFailure::NoBackup,
            HomeserverError::Transport(TransportError::Tls) => RunFailure::Tls,
            HomeserverError::Transport(_) => RunFailure::Internal,
            _ => RunFailure::RefusedByServer,
        })
    }
}

impl From<VaultError> for JobEnd {
    fn from(error: VaultError) -> Self {
        Self::by_vault(&error, None)
    }
}

/// Who has the vault.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RunHolder {
    /// What the app calls that process: `ClientOptions.process_name`.
    pub process_name: String,
    /// The process id.
    pub process_id: u32,
    /// Whether it is the process that asks.
    pub is_this_process: bool,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

impl RunHolder {
    pub(crate) fn of(lease: &LeaseRow) -> Self {
        Self {
            process_name: lease.holder.clone(),
            process_id: lease.process.id,
            is_this_process: lease.process == *this_process(),
            since_ms: u64::try_from(lease.since_ms).unwrap_or(0),
        }
    }

    /// This process, by this name.
    pub(crate) fn here(process_name: &str, since_ms: i64) -> Self {
        Self {
            process_name: process_name.to_owned(),
            process_id: this_process().id,
            is_this_process: true,
            since_ms: u64::try_from(since_ms).unwrap_or(0),
        }
    }
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum BlockedReason {
    /// There is no network, or the homeserver cannot be reached.
    Offline,
    /// The homeserver asked to slow down (429).
    RateLimited,
    /// The homeserver has a fault (5xx), is silent, or keeps cutting the answer.
    ServerFault,
    /// Something else answers in its place: a captive portal, as a rule.
    NotTheHomeserver,
    /// The homeserver does not answer for these rooms, or not in a way that can be read. Everything else is here.
    RoomsUnavailable {
        /// How many rooms.
        rooms: u64,
    },
    /// The backup changed time and again while it was fetched.
    BackupChanging,
    /// The OS is downloading an answer into a file: run again when it has ended.
    WaitsForFile,
    /// The sink takes no keys now.
    SinkUnavailable,
    /// Another process holds the vault's write lock: it is suspended, as a rule. It passes when that goes on, or ends.
    VaultBusy {
        /// Whose run it is, where it is one.
        by: Option<RunHolder>,
    },
    /// The vault cannot be read or written now: the phone is locked, as a rule.
    VaultInaccessible,
}

/// Why a run cannot go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum RunFailure {
    /// The account has no key backup on the server.
    NoBackup,
    /// The homeserver has a backup, and gives its keys in no form that can be read, neither all at once nor by room. It is tried
    /// again weekly; `fetch_session` may get single keys.
    BackupNotServed,
    /// The backup is of an algorithm that this version of the crate does not know: update the app.
    UnsupportedAlgorithm,
    /// The access token is not accepted, or the app gave none: the user has to sign in again.
    NotSignedIn {
        /// The server says that the device is still known (a soft logout): sign in again *as this device*.
        soft_logout: bool,
    },
    /// The homeserver forbids it, does not know key backups, or refuses the request.
    RefusedByServer,
    /// The homeserver's certificate is not trusted.
    Tls,
    /// The disk is full.
    DiskFull,
    /// A newer run, of another process, has taken over.
    Overtaken,
    /// The vault was deleted, set aside or replaced since this client was opened: shut it down, and open another one.
    VaultGone,
    /// The vault is damaged, or a sealed part of it does not open: shut the client down, `set_vault_aside`, and open another
    /// one.
    VaultDamaged,
    /// A bug in the crate or in a callback of the app: the log says more.
    Internal,
}
