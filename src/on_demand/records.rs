//! What on-demand calls answer.

use crate::{
    homeserver::{HomeserverError, Meaning},
    job::{NoAccess, PauseCause},
    lookup::LookupError,
};

/// A room's keys have been fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RoomFetch {
    /// Keys that were not in the vault before, or not as good.
    pub new_keys: u64,
    /// The server was asked for the room; false where nothing had changed since the vault got all of it.
    pub asked_server: bool,
}

/// What the server has, compared with the vault.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum ServerNews {
    /// Everything that the server has is here.
    NothingNew,
    /// The backup has keys that are not here, or has changed since it was complete here: run the download.
    NewKeys {
        /// How many, as the server says; 0 where keys have only been replaced, by better copies as a rule.
        count: u64,
    },
    /// Another backup version is current: run the download, and unlock it if it needs another key.
    OtherVersion {
        /// Its name.
        version: String,
        /// Its decryption key is known already.
        unlocked: bool,
    },
    /// There is no key backup any more. What is in the vault stays.
    NoBackup,
}

/// What was asked for could not be got now. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum OnDemandError {
    /// The key is in the vault, and the backup has not been unlocked: call `unlock`.
    #[error("the backup is not unlocked")]
    Locked,
    /// The homeserver cannot be reached, or wants to be left in peace. Passes by itself.
    #[error("the homeserver cannot be reached")]
    Unreachable {
        /// Milliseconds to wait at least, where the server has said so.
        retry_after_ms: Option<u64>,
    },
    /// The homeserver was reached, and answers with a fault (5xx), or with something else than was asked for. Try again later.
    #[error("the homeserver has a fault")]
    ServerFault,
    /// The access token is not accepted, or the app gave none.
    #[error("the account is not signed in")]
    NotSignedIn {
        /// The server says that the device is still known.
        soft_logout: bool,
    },
    /// The homeserver refuses the request.
    #[error("the homeserver refuses the request")]
    Refused,
    /// The account has no key backup on the server.
    #[error("there is no key backup")]
    NoBackup,
    /// Something holds such requests. Passes when the host says that it is over.
    #[error("requests are on hold")]
    OnHold {
        /// What holds them.
        causes: Vec<PauseCause>,
    },
    /// Another process writes for longer than five seconds, or the phone is locked. Passes by itself.
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
    /// The client is shut down.
    #[error("the client is shut down")]
    ShutDown,
}

impl From<LookupError> for OnDemandError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Locked => Self::Locked,
            LookupError::Inaccessible => Self::Inaccessible,
            LookupError::Gone => Self::Gone,
            LookupError::Damaged => Self::Damaged,
            LookupError::Internal => Self::Internal,
            LookupError::ShutDown => Self::ShutDown,
        }
    }
}

impl From<NoAccess> for OnDemandError {
    fn from(reason: NoAccess) -> Self {
        LookupError::from(reason).into()
    }
}

impl From<HomeserverError> for OnDemandError {
    fn from(error: HomeserverError) -> Self {
        match error.meaning() {
            Meaning::NothingThere => Self::NoBackup,
            Meaning::NotSignedIn { soft_logout } => Self::NotSignedIn { soft_logout },
            Meaning::Refused => Self::Refused,
            Meaning::Passes => Self::Unreachable { retry_after_ms: None },
            Meaning::ServerFault => Self::ServerFault,
        }
    }
}
