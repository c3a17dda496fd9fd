//! The error of every call that needs the vault, the homeserver or the app's crypto, and has no failures of its own.

use super::cause::PauseCause;
use crate::{
    crypto::CryptoError,
    homeserver::{HomeserverError, Meaning, TransportError, silence_after},
    milliseconds::Milliseconds,
    remedy::Remedy,
    vault::{VaultError, VaultMeaning},
};

/// The vault, the homeserver or the app's crypto did not give what a call needed from it. Whatever arrived before the
/// error is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum AccessError {
    /// The keys are in the vault, but their backup version has not been unlocked: call `unlock`.
    #[error("the backup is not unlocked")]
    Locked,
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
    /// The homeserver cannot be reached, asks to slow down (429), something else (such as a captive portal) answers in
    /// its place, or the app had no access token at that moment. Passes by itself.
    #[error("the homeserver cannot be reached")]
    Unreachable {
        /// Minimum time to wait after a 429 (at most one hour; 5 seconds if the server does not say);
        /// `None` without a 429.
        retry_after: Option<Milliseconds>,
    },
    /// The homeserver was reached, but answers with a fault (5xx), or with something other than what was asked for.
    /// Try again later.
    #[error("the homeserver has a fault")]
    ServerFault,
    /// The access token is not accepted, or the app says that the account is signed out.
    #[error("the account is not signed in")]
    NotSignedIn {
        /// Whether the server says that it still knows the device (a soft logout).
        soft_logout: bool,
    },
    /// The homeserver refuses the request.
    #[error("the homeserver refuses the request")]
    RefusedByServer,
    /// The homeserver's certificate is not trusted. The user has to look into it: someone may be listening.
    #[error("the homeserver's certificate is not trusted")]
    Tls,
    /// The app's crypto is not available now (`CryptoError.Unavailable`). Passes by itself.
    #[error("the app's crypto is not available now")]
    CryptoUnavailable,
    /// The app's crypto refuses, until the app or the user has changed something.
    #[error("the app's crypto refuses: {reason}")]
    CryptoRefuses {
        /// What `CryptoError.Refused` said.
        reason: String,
    },
    /// The vault cannot be read or written now: another process has been writing for more than five seconds, or the
    /// phone is locked. Passes by itself.
    #[error("the vault cannot be accessed")]
    VaultInaccessible,
    /// There is no space left on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// The vault was deleted, set aside or replaced after this client was opened: shut the client down, and open
    /// another one.
    #[error("the vault is gone")]
    VaultGone,
    /// The vault is damaged: shut the client down, call `set_vault_aside`, and open another client.
    #[error("the vault is damaged")]
    VaultDamaged,
    /// The client has been shut down: open another one.
    #[error("the client is shut down")]
    ShutDown,
    /// The client was opened without what this call needs: a `RoomKeySource`, `SecretKeeper` or `BackupSigner`, or with
    /// `PreferencePolicy.OptOut` for a call about the preference.
    #[error("the client was opened without what this call needs")]
    NotConfigured,
    /// A bug in keyferry; the log has details.
    #[error("a bug in the crate")]
    Internal,
}

impl AccessError {
    /// Returns what an app can do about this error.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Locked => Remedy::Unlock,
            Self::NoBackup => Remedy::CreateBackup,
            Self::NotSignedIn { .. } => Remedy::SignIn,
            Self::Tls | Self::CryptoRefuses { .. } => Remedy::AskUser,
            Self::OnHold { .. }
            | Self::Unreachable { .. }
            | Self::ServerFault
            | Self::CryptoUnavailable
            | Self::VaultInaccessible => Remedy::Retry,
            Self::DiskFull => Remedy::FreeSpace,
            Self::VaultGone | Self::ShutDown => Remedy::Reopen,
            Self::VaultDamaged => Remedy::SetVaultAside,
            Self::RefusedByServer | Self::NotConfigured | Self::Internal => Remedy::Report,
        }
    }
}

impl From<VaultError> for AccessError {
    fn from(error: VaultError) -> Self {
        // What SQLite reported reaches only the log.
        log::warn!("the vault could not be read or written: {error}");
        match error.meaning() {
            VaultMeaning::Busy | VaultMeaning::Overtaken | VaultMeaning::Inaccessible => Self::VaultInaccessible,
            VaultMeaning::DiskFull => Self::DiskFull,
            VaultMeaning::Gone => Self::VaultGone,
            VaultMeaning::Damaged => Self::VaultDamaged,
            VaultMeaning::Bug => Self::Internal,
        }
    }
}

impl From<HomeserverError> for AccessError {
    fn from(error: HomeserverError) -> Self {
        match error.meaning() {
            Meaning::NothingThere => Self::NoBackup,
            Meaning::NotSignedIn { soft_logout } => Self::NotSignedIn { soft_logout },
            Meaning::Refused if matches!(error, HomeserverError::Transport(TransportError::Tls)) => Self::Tls,
            Meaning::Refused => Self::RefusedByServer,
            Meaning::Passes => Self::Unreachable {
                retry_after: silence_after(&error).map(Milliseconds::from),
            },
            Meaning::ServerFault => Self::ServerFault,
        }
    }
}

impl From<CryptoError> for AccessError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::Unavailable { .. } => Self::CryptoUnavailable,
            CryptoError::Refused { reason } => Self::CryptoRefuses { reason },
        }
    }
}
