//! Secret storage ("4S"), which only the app's crypto writes to.

use async_trait::async_trait;

use super::CryptoError;
use crate::secret::SecretString;

/// Keeps secrets in the account's secret storage, encrypted (client-server API, "Secret storage"). Implemented by the
/// app: keyferry creates no secret storage and no storage key of its own.
///
/// In Rust, `OlmMachineSecretKeeper` is a ready implementation over an `OlmMachine`. On matrix-sdk implement it with
/// `put_secret` and `get_secret` of its `SecretStore`.
#[uniffi::export(foreign)]
#[async_trait]
pub trait SecretKeeper: Send + Sync {
    /// Makes secret storage ready: later calls of `write_secret` and `read_secret` use it.
    ///
    /// With `renew` set, the storage that the account has is not good enough: its key is lost, or known to somebody
    /// else. Then create storage under a new key, put every secret of the account into it, and make its key the
    /// default key (`m.secret_storage.default_key`) last. May be called again after a kill: renew it only once.
    ///
    /// # Errors
    /// `CryptoError.Refused` if the storage cannot be used, for example because it holds a secret that this device
    /// lacks, which new storage would lose.
    async fn prepare_storage(&self, renew: bool) -> Result<(), CryptoError>;

    /// Writes a secret under this name, encrypted with the default key of secret storage and with no other. `name` is
    /// the type of the account data event. Must be on the server when it returns.
    ///
    /// # Errors
    /// Any `CryptoError`.
    async fn write_secret(&self, name: String, secret: SecretString) -> Result<(), CryptoError>;

    /// Reads a secret from the server and decrypts it with the default key of secret storage. Returns `None` (null,
    /// nil) if there is none under this name for that key. Must not answer from a cache.
    ///
    /// # Errors
    /// Any `CryptoError`.
    async fn read_secret(&self, name: String) -> Result<Option<SecretString>, CryptoError>;
}
