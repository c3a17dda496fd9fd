//! How a run of any job ends before its work is done.

use std::time::Duration;

use super::{cause::PauseCause, gate::Restraints};
use crate::{
    clock::this_process,
    homeserver::{HomeserverError, TransportError},
    remedy::Remedy,
    vault::{LeaseRow, VaultError, VaultMeaning},
};

/// How a run ends if its work is not done. Each job has its own outcome for the other cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// Another run has the vault; this one did nothing.
    AlreadyRunning { by: RunHolder },
    /// These causes hold the run; there are none if the client was shut down.
    Paused { causes: Vec<PauseCause> },
    /// The user has stopped the job.
    Stopped,
    /// The budget is used up.
    OutOfBudget,
    /// Something outside has to change first, and may change by itself.
    Blocked {
        reason: BlockedReason,
        retry_after: Option<Duration>,
    },
    /// The run cannot go on without help.
    Failed { reason: RunFailure },
}

impl JobEnd {
    /// Returns the end of a run that is not allowed to do anything now.
    pub(crate) fn held(restraints: &Restraints) -> Self {
        if restraints.is_stopped() {
            return Self::Stopped;
        }
        Self::Paused {
            causes: restraints.causes().iter().collect(),
        }
    }

    /// Returns the end of a run that was ended from outside: by causes or the user, or because its time was up.
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

    /// Returns the end of a run after a failure of the vault, which `holder` may be using.
    pub(crate) fn by_vault(error: &VaultError, holder: Option<RunHolder>) -> Self {
        // An error that SQLite does not explain is no reason yet to set the vault aside.
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

    /// Returns the end of a run after a request that may succeed once `retry_after` has passed.
    pub(crate) fn unreachable(error: &HomeserverError, retry_after: Duration) -> Self {
        let reason = match error {
            HomeserverError::Transport(TransportError::Offline) => BlockedReason::Offline,
            HomeserverError::RateLimited { .. } => BlockedReason::RateLimited,
            HomeserverError::NotTheHomeserver => BlockedReason::NotTheHomeserver,
            HomeserverError::NoTokenNow => BlockedReason::NoAccessToken,
            _ => BlockedReason::ServerFault,
        };
        Self::blocked(reason, Some(retry_after))
    }

    /// Returns the end of a run after a request that waiting does not help.
    pub(crate) fn refused(error: &HomeserverError) -> Self {
        Self::failed(match error {
            HomeserverError::NotSignedIn { soft_logout } => RunFailure::NotSignedIn {
                soft_logout: *soft_logout,
            },
            HomeserverError::SignedOut => RunFailure::NotSignedIn { soft_logout: false },
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

/// The run that has the vault.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RunHolder {
    /// The name of its process: that client's `ClientOptions.process_name`.
    pub process_name: String,
    /// Its process id.
    pub process_id: u32,
    /// Whether it runs in the process that asks.
    pub is_this_process: bool,
    /// When it began, in milliseconds since 1970.
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

    /// Returns a holder in this process, under this name.
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
    /// The homeserver asked the client to slow down (HTTP 429).
    RateLimited,
    /// The homeserver has a fault (HTTP 5xx), does not answer, or keeps cutting its answer short.
    ServerFault,
    /// Something else answers in place of the homeserver, usually a captive portal.
    NotTheHomeserver,
    /// The app has no access token now: its `access_token` threw an error other than `HostError.SignedOut`.
    NoAccessToken,
    /// The homeserver does not answer for some rooms, or not in a form that can be read. Everything else is here.
    RoomsUnavailable {
        /// The number of these rooms.
        rooms: u64,
    },
    /// The backup kept changing while it was fetched.
    BackupChanging,
    /// The OS is downloading an answer into a file: run again when that download has ended.
    WaitsForFile,
    /// The sink takes no keys now.
    SinkUnavailable,
    /// The app's crypto could not be asked: its `SecretKeeper`, `BackupSigner` or `RoomKeySource` is not available now.
    CryptoUnavailable,
    /// Another process holds the vault's write lock, usually because it is suspended. This passes when that process
    /// continues or ends.
    VaultBusy {
        /// The run that the other process is doing, if it is doing one.
        by: Option<RunHolder>,
    },
    /// The vault cannot be read or written now, usually because the phone is locked.
    VaultInaccessible,
}

/// Why a run cannot go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum RunFailure {
    /// The account has no key backup on the server.
    NoBackup,
    /// The homeserver has a backup but returns its keys in no form that can be read, neither all at once nor by room.
    /// The download tries again weekly; `fetch_session` may get single keys.
    BackupNotServed,
    /// The backup uses an algorithm that this version of the crate does not know: update the app.
    UnsupportedAlgorithm,
    /// The access token is not accepted, or the app says that the account is signed out: the user has to sign in again.
    NotSignedIn {
        /// Whether the server says that it still knows the device (a soft logout): then sign in again *as this
        /// device*.
        soft_logout: bool,
    },
    /// The homeserver forbids the request, does not know key backups, or refuses the request.
    RefusedByServer,
    /// The homeserver's certificate is not trusted.
    Tls,
    /// The disk is full.
    DiskFull,
    /// A newer run of another process has taken over, or the deliveries were reset while the run was under way: by
    /// `crypto_store_was_replaced`, or because the vault was opened for another device.
    Overtaken,
    /// The vault was deleted, set aside or replaced after this client was opened: shut the client down and open
    /// another one.
    VaultGone,
    /// The vault is damaged, or a sealed part of it cannot be opened: shut the client down, call `set_vault_aside`,
    /// and open another client.
    VaultDamaged,
    /// A bug in the crate or in a callback of the app; the log has details.
    Internal,
}

impl RunFailure {
    /// Returns what an app can do about this failure.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NoBackup => Remedy::CreateBackup,
            Self::UnsupportedAlgorithm => Remedy::UpdateApp,
            Self::NotSignedIn { .. } => Remedy::SignIn,
            Self::BackupNotServed | Self::Overtaken => Remedy::Retry,
            Self::Tls => Remedy::AskUser,
            Self::DiskFull => Remedy::FreeSpace,
            Self::VaultGone => Remedy::Reopen,
            Self::VaultDamaged => Remedy::SetVaultAside,
            Self::RefusedByServer | Self::Internal => Remedy::Report,
        }
    }
}
