//! Why a call about a reset failed.

use super::records::{KeyLoss, ResetStop};
use crate::{
    crypto::CryptoError,
    homeserver::{HomeserverError, Meaning},
    job::NoAccess,
    preference::PreferenceError,
    vault::VaultMeaning,
};

/// A call about a reset failed. Nothing was deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum ResetError {
    /// The client was opened without a `SecretKeeper`, a `BackupSigner` or a `RoomKeySource`, which the call needs.
    #[error("the app gave no access to its crypto")]
    NoCrypto,
    /// The vault cannot keep a new key (`VaultProtection.NoProtection`): it would be lost with the process.
    #[error("the vault cannot keep a new key")]
    CannotKeepSecrets,
    /// The account has a backup already: move it, or begin to use it.
    #[error("there is a backup already")]
    BackupExists,
    /// The account has no backup.
    #[error("there is no backup")]
    NoBackup,
    /// A reset is under way: run it, or cancel it.
    #[error("a reset is under way")]
    UnderWay,
    /// No reset is under way that this call could be about, or it has come too far to be cancelled.
    #[error("there is no such reset")]
    NotUnderWay,
    /// This would lose keys that the call has not accepted. Do what `LossKind` says about each, or let the user accept
    /// the losses by passing them on.
    #[error("keys would be lost")]
    LosesKeys {
        /// What would be lost.
        losses: Vec<KeyLoss>,
    },
    /// The new backup is not proved to have every key: run the reset until it has completed.
    #[error("the new backup is not proved")]
    NotProved,
    /// This is the current backup version. Only `turn_off` deletes it.
    #[error("this is the current backup version")]
    CurrentVersion,
    /// No decryption key for the current backup is here: unlock it.
    #[error("the backup is locked")]
    Locked,
    /// The preference for backups (MSC4287) is not confirmed on the server yet, or another device has chosen the
    /// opposite: see `KeyBackupPreference.pending`.
    #[error("the preference is not confirmed")]
    PreferenceNotConfirmed,
    /// Another client has intervened.
    #[error("another client has intervened")]
    Halted {
        /// What it has done.
        why: ResetStop,
    },
    /// The app's crypto refuses.
    #[error("the app's crypto refuses: {reason}")]
    CryptoRefuses {
        /// What `CryptoError.Refused` said.
        reason: String,
    },
    /// The app's crypto is not available now. Passes by itself.
    #[error("the app's crypto is not available now")]
    CryptoUnavailable,
    /// The homeserver cannot be reached, has a fault, asks to slow down, or something else answers in its place.
    /// Passes by itself.
    #[error("the homeserver cannot be reached")]
    Unreachable,
    /// The access token is not accepted, or the app provided none.
    #[error("the account is not signed in")]
    NotSignedIn {
        /// Whether the server says that it still knows the device (a soft logout).
        soft_logout: bool,
    },
    /// The homeserver refuses the request.
    #[error("the homeserver refuses the request")]
    Refused,
    /// The vault cannot be read or written now: it is busy, the disk is full, or the phone is locked. Passes by
    /// itself.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The vault was deleted, set aside or replaced after this client was opened: shut the client down and open
    /// another one.
    #[error("the vault is gone")]
    Gone,
    /// The vault is damaged: shut the client down, call `set_vault_aside`, and open another client.
    #[error("the vault is damaged")]
    Damaged,
    /// A bug in the crate; the log has details.
    #[error("a bug in the crate")]
    Internal,
    /// The client has been shut down.
    #[error("the client is shut down")]
    ShutDown,
}

impl From<NoAccess> for ResetError {
    fn from(reason: NoAccess) -> Self {
        match reason {
            NoAccess::ShutDown => Self::ShutDown,
            NoAccess::Vault(
                VaultMeaning::Busy | VaultMeaning::Overtaken | VaultMeaning::Inaccessible | VaultMeaning::DiskFull,
            ) => Self::Inaccessible,
            NoAccess::Vault(VaultMeaning::Gone) => Self::Gone,
            NoAccess::Vault(VaultMeaning::Damaged) => Self::Damaged,
            NoAccess::Vault(VaultMeaning::Bug) => Self::Internal,
        }
    }
}

impl From<HomeserverError> for ResetError {
    fn from(error: HomeserverError) -> Self {
        match error.meaning() {
            Meaning::NothingThere => Self::NoBackup,
            Meaning::NotSignedIn { soft_logout } => Self::NotSignedIn { soft_logout },
            Meaning::Refused => Self::Refused,
            Meaning::Passes | Meaning::ServerFault => Self::Unreachable,
        }
    }
}

impl From<CryptoError> for ResetError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::Unavailable { .. } => Self::CryptoUnavailable,
            CryptoError::Refused { reason } => Self::CryptoRefuses { reason },
        }
    }
}

impl From<PreferenceError> for ResetError {
    fn from(error: PreferenceError) -> Self {
        match error {
            // An app that takes no part in the preference has none to confirm; the caller checks this first.
            PreferenceError::OptedOut | PreferenceError::Internal => Self::Internal,
            PreferenceError::Unreachable { .. } => Self::Unreachable,
            PreferenceError::NotSignedIn { soft_logout } => Self::NotSignedIn { soft_logout },
            PreferenceError::Refused => Self::Refused,
            PreferenceError::Inaccessible => Self::Inaccessible,
            PreferenceError::Gone => Self::Gone,
            PreferenceError::Damaged => Self::Damaged,
            PreferenceError::ShutDown => Self::ShutDown,
        }
    }
}
