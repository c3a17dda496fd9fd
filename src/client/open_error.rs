//! The reasons why a client could not be opened.

use crate::{
    remedy::Remedy,
    vault::{OpenVaultError, VaultMeaning},
};

/// A client could not be opened. Nothing is left half made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum OpenError {
    /// The homeserver URL is not an `https://` or `http://` URL.
    #[error("the homeserver URL is invalid")]
    InvalidHomeserverUrl,
    /// The user id is not of the form `@local:server`, or the device id is empty.
    #[error("the user id or device id is invalid")]
    InvalidAccount,
    /// The data directory is not a path, or cannot be created, read or written now.
    #[error("the data directory cannot be used")]
    UnusableDataDir,
    /// The key or passphrase is not the one that this vault was created with, the key is not 32 bytes long, or the
    /// passphrase is empty.
    #[error("the vault key or passphrase is wrong")]
    WrongVaultKey,
    /// The vault was created with another kind of protection.
    #[error("the vault is protected in another way")]
    OtherProtection,
    /// The keyring cannot be read or written now, or has lost the key of an existing vault.
    #[error("the keyring gave no key")]
    KeyringUnavailable {
        /// True if the vault exists and the keyring certainly has no key for it: the vault was restored without its
        /// keyring. False if the keyring just could not be read or written.
        key_lost: bool,
    },
    /// The vault belongs to another account.
    #[error("the vault belongs to another account")]
    OtherAccount,
    /// The vault was written by a newer version of the crate: update the app.
    #[error("the vault is of a newer version")]
    VaultTooNew,
    /// The vault is damaged beyond what the database repairs by itself. `set_vault_aside` makes room for a new one.
    #[error("the vault is damaged")]
    VaultDamaged,
    /// There is no space left on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// Only from `set_vault_aside`: a client in this process or another is using the vault. End that, then call
    /// again.
    #[error("the vault is in use")]
    VaultInUse,
    /// A bug in the crate or in a callback of the app; the log has details.
    #[error("the vault could not be opened because of a bug")]
    Internal,
}

impl OpenError {
    /// Returns what an app can do about this error.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::UnusableDataDir | Self::KeyringUnavailable { key_lost: false } | Self::VaultInUse => Remedy::Retry,
            Self::WrongVaultKey => Remedy::AskUser,
            Self::KeyringUnavailable { key_lost: true } | Self::VaultDamaged => Remedy::SetVaultAside,
            Self::VaultTooNew => Remedy::UpdateApp,
            Self::DiskFull => Remedy::FreeSpace,
            Self::InvalidHomeserverUrl
            | Self::InvalidAccount
            | Self::OtherProtection
            | Self::OtherAccount
            | Self::Internal => Remedy::Report,
        }
    }
}

impl From<OpenVaultError> for OpenError {
    fn from(error: OpenVaultError) -> Self {
        log::warn!("the vault cannot be opened: {error}");
        match error {
            OpenVaultError::WrongKey => Self::WrongVaultKey,
            OpenVaultError::OtherProtection => Self::OtherProtection,
            OpenVaultError::OtherAccount => Self::OtherAccount,
            OpenVaultError::TooNew { .. } => Self::VaultTooNew,
            OpenVaultError::Directory(error) if error.kind() == std::io::ErrorKind::StorageFull => Self::DiskFull,
            OpenVaultError::Directory(_) => Self::UnusableDataDir,
            OpenVaultError::Vault(error) => match error.meaning() {
                VaultMeaning::DiskFull => Self::DiskFull,
                VaultMeaning::Inaccessible | VaultMeaning::Busy | VaultMeaning::Overtaken | VaultMeaning::Gone => {
                    Self::UnusableDataDir
                }
                VaultMeaning::Damaged => Self::VaultDamaged,
                VaultMeaning::Bug => Self::Internal,
            },
        }
    }
}
