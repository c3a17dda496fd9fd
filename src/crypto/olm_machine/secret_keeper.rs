//! Secret storage with the secrets of an `OlmMachine` (client-server API, "Secret storage").

use std::sync::Arc;

use async_trait::async_trait;
use matrix_sdk_crypto::{
    OlmMachine,
    secret_storage::{AesHmacSha2EncryptedData, SecretStorageKey},
};
use ruma::events::secret::request::SecretName;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{MachineSource, no_machine};
use crate::{
    crypto::{CryptoError, SecretKeeper},
    secret::SecretString,
};

const DEFAULT_KEY: &str = "m.secret_storage.default_key";
const BACKUP_SECRET: &str = "m.megolm_backup.v1";
const CROSS_SIGNING_SECRETS: [&str; 3] = [
    "m.cross_signing.master",
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
];

/// Reads and writes the user's account data. Implemented by the app over its own HTTP.
#[async_trait]
pub trait AccountData: Send + Sync {
    /// `GET /user/{userId}/account_data/{type}`: returns the content; `None` for a 404.
    ///
    /// # Errors
    /// A `CryptoError.Unavailable` if the server does not answer.
    async fn account_data(&self, event_type: &str) -> Result<Option<Value>, CryptoError>;

    /// `PUT /user/{userId}/account_data/{type}`: writes the content.
    ///
    /// # Errors
    /// A `CryptoError` if the server does not take it.
    async fn set_account_data(&self, event_type: &str, content: Value) -> Result<(), CryptoError>;
}

/// Keeps secrets in secret storage under one storage key. Feature `matrix-sdk-sink`.
///
/// New storage gets the cross-signing keys and the backup key of the machine. It is refused if the old storage has a
/// cross-signing key that the machine lacks: that key would be lost, and the user must reset their identity instead,
/// after the download.
pub struct OlmMachineSecretKeeper {
    machine: Arc<MachineSource>,
    account_data: Arc<dyn AccountData>,
    key: SecretStorageKey,
}

impl OlmMachineSecretKeeper {
    /// Creates a keeper over one machine. `key` is the key of the storage that the account has, or a new one
    /// (`SecretStorageKey::new`) for new storage: show its `to_base58` to the user first, as their new recovery key.
    pub fn new(machine: OlmMachine, account_data: Arc<dyn AccountData>, key: SecretStorageKey) -> Self {
        Self {
            machine: Arc::new(move || Some(machine.clone())),
            account_data,
            key,
        }
    }

    /// Returns the secrets that the machine has.
    async fn secrets(&self) -> Result<Vec<(&'static str, Zeroizing<String>)>, CryptoError> {
        let machine = (self.machine)().ok_or_else(no_machine)?;
        let mut secrets = Vec::new();
        if let Some(keys) = machine.export_cross_signing_keys().await? {
            let exported = [
                keys.master_key.clone(),
                keys.self_signing_key.clone(),
                keys.user_signing_key.clone(),
            ];
            for (name, key) in CROSS_SIGNING_SECRETS.into_iter().zip(exported) {
                secrets.extend(key.map(|key| (name, Zeroizing::new(key))));
            }
        }
        let backup = machine.backup_machine().get_backup_keys().await?.decryption_key;
        secrets.extend(backup.map(|key| (BACKUP_SECRET, Zeroizing::new(key.to_base64()))));
        Ok(secrets)
    }

    async fn default_key(&self) -> Result<Option<String>, CryptoError> {
        let content = self.account_data.account_data(DEFAULT_KEY).await?;
        Ok(content.and_then(|content| Some(content["key"].as_str()?.to_owned())))
    }

    /// Fails if the old storage has a secret that the machine lacks.
    async fn refuse_loss(&self, secrets: &[(&'static str, Zeroizing<String>)]) -> Result<(), CryptoError> {
        for name in CROSS_SIGNING_SECRETS {
            let is_here = secrets.iter().any(|(here, _)| *here == name);
            let stored = self.encrypted(name).await?;
            if !is_here && !stored.is_empty() {
                return Err(refused(&format!(
                    "secret storage holds {name}, which this device lacks"
                )));
            }
        }
        Ok(())
    }

    /// Returns the ciphertexts of a secret by storage key.
    async fn encrypted(&self, name: &str) -> Result<Map<String, Value>, CryptoError> {
        let content = self.account_data.account_data(name).await?;
        let encrypted = content.and_then(|mut content| content.get_mut("encrypted").map(Value::take));
        Ok(match encrypted {
            Some(Value::Object(encrypted)) => encrypted,
            _ => Map::new(),
        })
    }

    /// Writes a secret under our key, beside `others`: the ciphertexts for other keys.
    async fn put(&self, name: &str, secret: &str, mut others: Map<String, Value>) -> Result<(), CryptoError> {
        let encrypted = self.key.encrypt(secret.as_bytes().to_vec(), &SecretName::from(name));
        let encrypted = serde_json::to_value(encrypted).map_err(|_| refused("the secret cannot be encrypted"))?;
        others.insert(self.key.key_id().to_owned(), encrypted);
        let content = json!({ "encrypted": others });
        self.account_data.set_account_data(name, content).await
    }

    /// Creates storage under our key. Until its key is the default key, other clients still read the old storage, so
    /// the old ciphertexts stay until then.
    async fn create_storage(&self) -> Result<(), CryptoError> {
        let secrets = self.secrets().await?;
        self.refuse_loss(&secrets).await?;
        let description = self.key.event_content();
        let content = serde_json::to_value(description).map_err(|_| refused("the storage key has no description"))?;
        let event_type = self.key.event_type().to_string();
        self.account_data.set_account_data(&event_type, content).await?;
        for (name, secret) in &secrets {
            let others = self.encrypted(name).await?;
            self.put(name, secret, others).await?;
        }
        let default = json!({ "key": self.key.key_id() });
        self.account_data.set_account_data(DEFAULT_KEY, default).await
    }

    /// Removes the ciphertexts for other keys from the secrets that the machine has.
    async fn drop_old_ciphertexts(&self) -> Result<(), CryptoError> {
        for (name, secret) in self.secrets().await? {
            let encrypted = self.encrypted(name).await?;
            let has_others = encrypted.keys().any(|id| id != self.key.key_id());
            if has_others && encrypted.contains_key(self.key.key_id()) {
                self.put(name, &secret, Map::new()).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SecretKeeper for OlmMachineSecretKeeper {
    async fn prepare_storage(&self, renew: bool) -> Result<(), CryptoError> {
        match self.default_key().await? {
            Some(id) if id == self.key.key_id() => {}
            Some(_) if !renew => return Err(refused("secret storage is under another key")),
            _ => self.create_storage().await?,
        }
        match renew {
            true => self.drop_old_ciphertexts().await,
            false => Ok(()),
        }
    }

    async fn write_secret(&self, name: String, secret: SecretString) -> Result<(), CryptoError> {
        if self.default_key().await?.as_deref() != Some(self.key.key_id()) {
            return Err(refused("secret storage is under another key"));
        }
        self.put(&name, secret.expose(), Map::new()).await
    }

    async fn read_secret(&self, name: String) -> Result<Option<SecretString>, CryptoError> {
        let mut encrypted = self.encrypted(&name).await?;
        let Some(ciphertext) = encrypted.remove(self.key.key_id()) else {
            return Ok(None);
        };
        let secret = serde_json::from_value::<AesHmacSha2EncryptedData>(ciphertext)
            .ok()
            .and_then(|data| self.key.decrypt(&data, &SecretName::from(name)).ok())
            .map(Zeroizing::new);
        let text = secret.as_ref().and_then(|secret| std::str::from_utf8(secret).ok());
        Ok(text.map(SecretString::from))
    }
}

fn refused(reason: &str) -> CryptoError {
    CryptoError::Refused {
        reason: reason.to_owned(),
    }
}
