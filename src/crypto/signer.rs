//! The signature under a new backup.

use async_trait::async_trait;

use super::CryptoError;

/// Signs a new backup version, so that the user's other clients trust it. Implemented by the app.
///
/// matrix-js-sdk uploads to a backup only if a device or an identity that it trusts has signed it, or if it has the
/// decryption key; matrix-sdk only compares keys. In Rust, `OlmMachineBackupSigner` is a ready implementation over an
/// `OlmMachine`.
#[uniffi::export(foreign)]
#[async_trait]
pub trait BackupSigner: Send + Sync {
    /// Adds `signatures` to the `auth_data` of a backup version: by this device and, if its private half is here, by
    /// the user's master key. Takes and returns the JSON object; everything else in it must stay as it is.
    ///
    /// # Errors
    /// `CryptoError.Refused` if this device itself would not trust the result.
    async fn sign_auth_data(&self, auth_data_json: String) -> Result<String, CryptoError>;
}
