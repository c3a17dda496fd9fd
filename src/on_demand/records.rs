//! The results and errors of on-demand calls.

use crate::{
    homeserver::{HomeserverError, Meaning},
    job::{NoAccess, PauseCause},
    lookup::LookupError,
};

/// The result of `KeyBackupClient.fetch_room`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RoomFetch {
    /// Number of entries that this call added to the vault: new keys, and other copies of keys that the vault had.
    pub new_keys: u64,
    /// Whether the server was asked for the keys of the room. False if nothing had changed since the vault got all of
    /// them.
    pub asked_server: bool,
}

/// The result of `KeyBackupClient.refresh`: what the server has that the vault does not have.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum ServerNews {
    /// There is nothing to fetch: the vault has everything that the server has.
    NothingNew,
    /// The backup has keys that are not in the vault, or has changed since the vault had all of it. Run the download.
    NewKeys {
        /// Number of keys that are not in the vault, by the server's count. 0 if keys have only been replaced,
        /// usually by better copies.
        count: u64,
    },
    /// Another backup version is current. Run the download, and unlock the version if it needs another key.
    OtherVersion {
        /// The version, as the server names it.
        version: String,
        /// Whether its decryption key is already known.
        unlocked: bool,
    },
    /// The account has no key backup any more. The vault keeps what it has.
    NoBackup,
}

/// An on-demand call could not be completed. Entries that `fetch_room` stored before the error stay in the vault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum OnDemandError {
    /// The key is in the vault, but its backup version has not been unlocked: call `unlock`.
    #[error("the backup is not unlocked")]
    Locked,
    /// The homeserver cannot be reached, asks to slow down (429), or something else (such as a captive portal)
    /// answers in its place. Passes by itself.
    #[error("the homeserver cannot be reached")]
    Unreachable {
        /// Minimum time to wait after a 429, in milliseconds (at most one hour; 5,000 if the server does not say);
        /// `None` without a 429.
        retry_after_ms: Option<u64>,
    },
    /// The homeserver was reached, but answers with a fault (5xx), or with something other than what was asked for.
    /// Try again later.
    #[error("the homeserver has a fault")]
    ServerFault,
    /// The access token is not accepted, or the app provided none.
    #[error("the account is not signed in")]
    NotSignedIn {
        /// Whether the server says that it still knows the device.
        soft_logout: bool,
    },
    /// The homeserver refuses the request, or its certificate is not trusted.
    #[error("the homeserver refuses the request")]
    Refused,
    /// The account has no key backup on the server.
    #[error("there is no key backup")]
    NoBackup,
    /// Requests are on hold. Passes when the host reports the end of every cause; `DiskLimit` ends by itself when the
    /// vault has room again.
    #[error("requests are on hold")]
    OnHold {
        /// The causes that hold requests.
        causes: Vec<PauseCause>,
    },
    /// Another process has been writing for more than five seconds, the disk is full, or the phone is locked. Passes
    /// by itself.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The vault was deleted, set aside or replaced after this client was opened: shut the client down, and open
    /// another one.
    #[error("the vault is gone")]
    Gone,
    /// The vault is damaged: shut the client down, call `set_vault_aside`, and open another client.
    #[error("the vault is damaged")]
    Damaged,
    /// A bug in this crate. The log has details.
    #[error("a bug in the crate")]
    Internal,
    /// The client has been shut down.
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
