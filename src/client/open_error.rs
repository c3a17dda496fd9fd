//! Why a client could not be opened.

use crate::vault::{OpenVaultError, VaultMeaning};

/// A client could not be opened. Nothing is left half made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum OpenError {
    /// The homeserver URL is no `https://` or `http://` URL.
    #[error("the homeserver URL is invalid")]
    InvalidHomeserverUrl,
    /// The user id is not of the form `@local:server`, or the device id is empty.
    #[error("the user id or device id is invalid")]
    InvalidAccount,
    /// The data directory is no path, or cannot be made, read or written now.
    #[error("the data directory cannot be used")]
    UnusableDataDir,
    /// The key or the passphrase is not the one that this vault was made with, or no 32 bytes, or empty.
    #[error("the vault key or passphrase is wrong")]
    WrongVaultKey,
    /// The vault was made with another kind of protection.
    #[error("the vault is protected in another way")]
    OtherProtection,
    /// The keyring cannot be read or written now, or has lost the key of a vault that is there.
    #[error("the keyring gave no key")]
    KeyringUnavailable {
        /// The vault is there, and the keyring is sure to have no key for it: it was restored without its keyring.
        key_lost: bool,
    },
    /// The vault is another account's.
    #[error("the vault belongs to another account")]
    OtherAccount,
    /// The vault was written by a newer version of the crate: update the app.
    #[error("the vault is of a newer version")]
    VaultTooNew,
    /// The vault is damaged beyond what the database mends by itself. `set_vault_aside` makes room for a new one.
    #[error("the vault is damaged")]
    VaultDamaged,
    /// There is no space left on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// `set_vault_aside` only: somebody is at work on the vault, in this process or another. End that, and call again.
    #[error("the vault is in use")]
    VaultInUse,
    /// A bug in the crate or in a callback of the app: the log says more.
    #[error("the vault could not be opened because of a bug")]
    Internal,
}

impl From<OpenVaultError> for OpenError {
    fn from(error: OpenVaultError) -> Self {
        log::warn!("the vault does not open: {error}");
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
