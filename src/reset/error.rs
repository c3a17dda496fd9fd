//! Why a call about a reset failed.

use super::records::{KeyLoss, ResetStop};
use crate::{crypto::CryptoError, homeserver::HomeserverError, job::AccessError, remedy::Remedy};

/// A call about a reset failed. Nothing was deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum ResetError {
    /// The vault cannot keep a new key (`VaultProtection.NoProtection`): it would be lost with the process.
    #[error("the vault cannot keep a new key")]
    CannotKeepSecrets,
    /// The account has a backup already: move it, or begin to use it.
    #[error("there is a backup already")]
    BackupExists,
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
    /// The vault, the homeserver or the app's crypto did not give what the call needed, or the account has no key
    /// backup.
    #[error(transparent)]
    Access {
        /// What was not accessible.
        #[from]
        error: AccessError,
    },
}

impl ResetError {
    /// Returns what an app can do about this error.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::BackupExists => Remedy::Unlock,
            Self::UnderWay | Self::NotProved | Self::PreferenceNotConfirmed => Remedy::Retry,
            Self::LosesKeys { .. } | Self::Halted { .. } => Remedy::AskUser,
            Self::CannotKeepSecrets | Self::NotUnderWay | Self::CurrentVersion => Remedy::Report,
            Self::Access { error } => error.remedy(),
        }
    }
}

impl From<HomeserverError> for ResetError {
    fn from(error: HomeserverError) -> Self {
        AccessError::from(error).into()
    }
}

impl From<CryptoError> for ResetError {
    fn from(error: CryptoError) -> Self {
        AccessError::from(error).into()
    }
}
