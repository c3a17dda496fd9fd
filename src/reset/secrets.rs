//! The steps that keep keys in secret storage, always through the app's crypto.
//!
//! The new key is kept under a name of our own before the version exists, because `m.megolm_backup.v1` has room for
//! one key only, and that is the key of the version that other clients use until then.

use aws_lc_rs::digest;
use base64::Engine;

use super::{
    records::{ResetCause, ResetStep, ResetStop},
    segment::{Halt, Segment},
    steps::Move,
};
use crate::{
    backup::{base64::BASE64, decryption::BackupDecryptionKey, limits::MAX_ID_BYTES},
    crypto::{BackupTarget, CryptoError, NewBackup},
    homeserver::{Homeserver, HomeserverError},
    secret::{KeyBytes, SecretString},
    vault::VaultError,
};

/// The account data in which other clients look for the key of the current version.
pub(super) const BACKUP_SECRET: &str = "m.megolm_backup.v1";
const DEFAULT_KEY: &str = "m.secret_storage.default_key";
/// Followed by a hash of the public key.
const OWN_SECRET: &str = "io.keyferry.backup_key.";

impl Segment {
    /// Keeps the old and the new key in secret storage, under names of our own, and reads them back.
    pub(super) async fn keep_secrets(&self, state: &Move) -> Result<(), Halt> {
        // Under the old storage key, the new one would go to whoever knows that key.
        let renew = state.cause.is_some_and(ResetCause::renews_storage);
        let keeper = &self.crypto.secrets;
        self.wait_for_app(keeper.prepare_storage(renew)).await?;
        let storage = self.default_storage_key().await?;
        if storage.is_none() || (renew && storage == state.first_storage) {
            let reason = match renew {
                true => "secret storage was not renewed".to_owned(),
                false => "there is no secret storage".to_owned(),
            };
            return Err(CryptoError::Refused { reason }.into());
        }
        let old = self.old_key(state).await?;
        for key in old.iter().chain([&state.key]) {
            self.keep_secret(own_name(key), key).await?;
        }
        if self.default_storage_key().await? != storage {
            return self.halt(ResetStop::SecretStorageChanged).await;
        }
        let done = |state: &mut Move| (state.step, state.storage_key) = (ResetStep::SecretsKept, storage);
        self.change(done).await?;
        Ok(())
    }

    /// Puts the new key where the user's other clients look for it.
    pub(super) async fn publish(&self, state: &Move) -> Result<(), Halt> {
        if self.default_storage_key().await? != state.storage_key {
            return self.halt(ResetStop::SecretStorageChanged).await;
        }
        self.keep_secret(BACKUP_SECRET.to_owned(), &state.key).await?;
        if self.default_storage_key().await? != state.storage_key || !self.is_under_one_key(state).await? {
            return self.halt(ResetStop::SecretStorageChanged).await;
        }
        let current = self.current_version().await?;
        if current.and_then(|info| info.public_key) != Some(state.public_key) {
            return self.halt(ResetStop::Overtaken).await;
        }
        self.change(|state| state.step = ResetStep::Published).await?;
        Ok(())
    }

    /// Gives the app's crypto the new key and the number of its version.
    pub(super) async fn tell_app(&self, state: &Move) -> Result<(), Halt> {
        let id = state.new_version.ok_or(VaultError::Corrupt)?;
        let version = self.read(move |vault| vault.version_by_id(id)).await?;
        let backup = NewBackup {
            target: BackupTarget {
                version: version.ok_or(VaultError::Corrupt)?.version,
                public_key: BASE64.encode(state.public_key),
            },
            decryption_key: encode(&state.key),
        };
        self.wait_for_app(self.crypto.source.use_backup(backup)).await?;
        self.change(|state| state.step = ResetStep::Adopted).await?;
        Ok(())
    }

    /// Writes a key into secret storage unless it is there, and makes sure that it can be read back.
    async fn keep_secret(&self, name: String, key: &KeyBytes) -> Result<(), Halt> {
        let keeper = &self.crypto.secrets;
        let secret = encode(key);
        if self.wait_for_app(keeper.read_secret(name.clone())).await?.as_ref() == Some(&secret) {
            return Ok(());
        }
        self.wait_for_app(keeper.write_secret(name.clone(), secret.clone()))
            .await?;
        match self.wait_for_app(keeper.read_secret(name)).await? {
            Some(read) if read == secret => Ok(()),
            // Another client has written it meanwhile, or it cannot be read.
            _ => self.halt(ResetStop::SecretStorageChanged).await,
        }
    }

    /// Whether `m.megolm_backup.v1` can be opened with the current storage key, and with no other.
    async fn is_under_one_key(&self, state: &Move) -> Result<bool, Halt> {
        let secret = self.ask_for(|| self.homeserver().account_data(BACKUP_SECRET)).await?;
        let encrypted = secret.flatten().map(|secret| secret["encrypted"].clone());
        let keys: Vec<String> = encrypted
            .as_ref()
            .and_then(|encrypted| encrypted.as_object())
            .map(|encrypted| encrypted.keys().cloned().collect())
            .unwrap_or_default();
        Ok(Some(keys) == state.storage_key.clone().map(|key| vec![key]))
    }

    async fn default_storage_key(&self) -> Result<Option<String>, Halt> {
        let id = self.ask_for(|| default_storage_key(self.homeserver())).await?;
        Ok(id.flatten())
    }

    /// Returns the key of the version that was current at the beginning, if it is known.
    async fn old_key(&self, state: &Move) -> Result<Option<KeyBytes>, Halt> {
        let Some(old) = state.old.clone() else { return Ok(None) };
        let versions = self.read(|vault| vault.versions()).await?;
        let mut same = versions
            .iter()
            .filter(|version| version.version == old.version && version.public_key == old.public_key);
        Ok(same.find_map(|version| Some(self.context.keys.get(version.id)?.as_bytes().clone())))
    }
}

/// Returns the id of the default key of secret storage; `None` if there is no secret storage.
pub(super) async fn default_storage_key(homeserver: &Homeserver) -> Result<Option<String>, HomeserverError> {
    let content = homeserver.account_data(DEFAULT_KEY).await?;
    let id = content.and_then(|content| Some(content["key"].as_str()?.to_owned()));
    Ok(id.filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES))
}

fn encode(key: &KeyBytes) -> SecretString {
    SecretString::from(BASE64.encode(key.as_slice()))
}

/// Returns the name under which a key is kept. It tells two keys apart and reveals neither.
fn own_name(key: &KeyBytes) -> String {
    let public_key = *BackupDecryptionKey::from_bytes(key).public_key();
    let hash = digest::digest(&digest::SHA256, &public_key);
    let hash: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{OWN_SECRET}{hash}")
}
