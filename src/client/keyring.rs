//! Where the host keeps secrets.

use super::host::HostError;
use crate::secret::SecretBytes;

/// Where the host keeps secrets: Keychain on iOS, Keystore on Android.
///
/// One item is kept per account: the 32-byte key that seals the vault. On iOS store it with
/// `kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly`, or nothing can be done while the phone is locked.
#[uniffi::export(rust, foreign)]
pub trait Keyring: Send + Sync {
    /// The item of that name, `None` if there is none. May block.
    ///
    /// # Errors
    /// A [`HostError`] if the keyring cannot be read now; it must not be reported as "none", or a new key is made.
    fn load(&self, name: String) -> Result<Option<SecretBytes>, HostError>;

    /// Stores or replaces the item; it must be durable when this returns. May block.
    ///
    /// # Errors
    /// A [`HostError`] if it could not be stored.
    fn store(&self, name: String, secret: SecretBytes) -> Result<(), HostError>;
}
