//! The interface to the place where the host keeps secrets.

use super::host::HostError;
use crate::secret::SecretBytes;

/// The place where the host keeps secrets: Keychain on iOS, Keystore on Android.
///
/// One item is kept per account: the 32-byte key that seals the vault. On iOS store it with
/// `kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly`; otherwise nothing can be done while the phone is locked.
#[uniffi::export(rust, foreign)]
pub trait Keyring: Send + Sync {
    /// Returns the item with that name, or `None` if there is no such item. May block.
    ///
    /// # Errors
    /// A `HostError` if the keyring cannot be read now. Never return `None` in that case: the crate would make a new
    /// key.
    fn load(&self, name: String) -> Result<Option<SecretBytes>, HostError>;

    /// Stores or replaces the item with that name. The item must be durable when this returns. May block.
    ///
    /// # Errors
    /// A `HostError` if the item could not be stored.
    fn store(&self, name: String, secret: SecretBytes) -> Result<(), HostError>;
}
