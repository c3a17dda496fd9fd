//! Secret storage ("4S"): from its key or passphrase to the backup's decryption key in `m.megolm_backup.v1`.
//!
//! Client-server API, "Secret storage". The cryptography is matrix-sdk-crypto's; the work that a server can make us
//! do is bounded here before it starts.

use matrix_sdk_crypto::secret_storage::{AesHmacSha2EncryptedData, SecretStorageKey};
use ruma::events::{
    secret::request::SecretName,
    secret_storage::key::{PassPhrase, SecretStorageEncryptionAlgorithm, SecretStorageKeyEventContent},
};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    backup::{
        limits::MAX_STORAGE_KEYS,
        recovery_key::{checked_iterations, parse_base64},
        version::PassphraseInfo,
    },
    blocking::blocking,
    homeserver::{Homeserver, HomeserverError},
    secret::{KeyBytes, SecretString},
};

const BACKUP_SECRET: &str = "m.megolm_backup.v1";
const DEFAULT_KEY: &str = "m.secret_storage.default_key";

/// What to open secret storage with.
#[derive(Clone)]
pub(super) enum StorageInput {
    RecoveryKey(SecretString),
    Passphrase(SecretString),
}

/// What secret storage returned.
pub(super) enum FromStorage {
    /// A decryption key, which may not be that of this backup: the caller checks.
    Key(KeyBytes),
    /// There are keys to try, but none accepts the input.
    WrongSecret,
    /// There is no secret storage, no backup key in it, or none of its keys has the passphrase that the input needs.
    NothingToTry,
    /// There is a key that this version cannot try, or will not because it asks for too many rounds.
    Unsupported,
}

/// Asks the server for the stored secret, and opens it.
pub(super) async fn backup_key(homeserver: &Homeserver, input: StorageInput) -> Result<FromStorage, HomeserverError> {
    let Some(secret) = homeserver.account_data(BACKUP_SECRET).await? else {
        return Ok(FromStorage::NothingToTry);
    };
    let default_key = homeserver.account_data(DEFAULT_KEY).await?;
    let mut result = FromStorage::NothingToTry;
    for key_id in key_ids(&secret, default_key.as_ref()) {
        let Some(description) = homeserver
            .account_data(&format!("m.secret_storage.key.{key_id}"))
            .await?
        else {
            continue;
        };
        let (input, encrypted) = (input.clone(), secret["encrypted"][&key_id].clone());
        let tried = blocking(move || open(&key_id, description, encrypted, &input)).await;
        match tried.unwrap_or(FromStorage::Unsupported) {
            FromStorage::Key(key) => return Ok(FromStorage::Key(key)),
            FromStorage::NothingToTry => {}
            other => result = other,
        }
    }
    Ok(result)
}

/// Reads any content as a key's description, as the secret that the key opens, and as the list of keys.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_secret_storage(content: Value) {
    assert!(key_ids(&content, Some(&content)).len() <= MAX_STORAGE_KEYS);
    let (description, encrypted) = (content["key"].clone(), content["secret"].clone());
    let rounds = description["passphrase"]["iterations"].as_i64().unwrap_or(0);
    // No rounds are run unless a passphrase is tried.
    let key = StorageInput::RecoveryKey("EsTQ 9MAv 4Qk2 cr4k".into());
    open("id", description.clone(), encrypted.clone(), &key);
    if rounds < 2 || rounds > i64::from(crate::backup::limits::MAX_KDF_ITERATIONS) {
        open(
            "id",
            description,
            encrypted,
            &StorageInput::Passphrase("passphrase".into()),
        );
    }
}

/// Returns the ids of the keys that the secret is encrypted under, the default key first.
fn key_ids(secret: &Value, default_key: Option<&Value>) -> Vec<String> {
    let Some(encrypted) = secret["encrypted"].as_object() else {
        return Vec::new();
    };
    let default = default_key.and_then(|content| content["key"].as_str());
    let mut ids: Vec<String> = encrypted.keys().cloned().collect();
    ids.sort_by_key(|id| Some(id.as_str()) != default);
    ids.truncate(MAX_STORAGE_KEYS);
    ids
}

fn open(key_id: &str, mut description: Value, encrypted: Value, input: &StorageInput) -> FromStorage {
    let passphrase = description
        .as_object_mut()
        .and_then(|fields| fields.remove("passphrase"));
    if let Some(fields) = description.as_object_mut() {
        fields.remove("name");
    }
    let Ok(algorithm) = serde_json::from_value::<SecretStorageEncryptionAlgorithm>(description) else {
        return FromStorage::Unsupported;
    };
    let mut content = SecretStorageKeyEventContent::new(key_id.to_owned(), algorithm);
    let text = match input {
        // The description has no passphrase here, so that no rounds are run for a recovery key.
        StorageInput::RecoveryKey(text) => text,
        StorageInput::Passphrase(text) => {
            let Some(passphrase) = passphrase.filter(|value| !value.is_null()) else {
                return FromStorage::NothingToTry;
            };
            let info = PassphraseInfo {
                salt: passphrase["salt"].as_str().unwrap_or_default().to_owned(),
                iterations: passphrase["iterations"].as_i64().unwrap_or(0),
                bits: passphrase["bits"].as_i64().unwrap_or(256),
            };
            if passphrase["algorithm"] != "m.pbkdf2" || checked_iterations(&info).is_err() {
                return FromStorage::Unsupported;
            }
            let Ok(passphrase) = serde_json::from_value::<PassPhrase>(passphrase) else {
                return FromStorage::Unsupported;
            };
            content.passphrase = Some(passphrase);
            text
        }
    };
    let Ok(key) = SecretStorageKey::from_account_data(text.expose(), content) else {
        return FromStorage::WrongSecret;
    };
    let Ok(encrypted) = serde_json::from_value::<AesHmacSha2EncryptedData>(encrypted) else {
        return FromStorage::Unsupported;
    };
    let Ok(decrypted) = key.decrypt(&encrypted, &SecretName::RecoveryKey) else {
        return FromStorage::WrongSecret;
    };
    let decrypted = Zeroizing::new(decrypted);
    match std::str::from_utf8(&decrypted).ok().and_then(parse_base64) {
        Some(key) => FromStorage::Key(key),
        None => FromStorage::Unsupported,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_default_key_is_tried_first_and_the_number_of_keys_is_limited() {
        let mut encrypted = serde_json::Map::new();
        for id in 0..20 {
            encrypted.insert(format!("key{id:02}"), json!({}));
        }
        let secret = json!({ "encrypted": encrypted });
        let ids = key_ids(&secret, Some(&json!({ "key": "key17" })));
        assert_eq!((ids.len(), ids[0].as_str()), (MAX_STORAGE_KEYS, "key17"));
        assert!(key_ids(&json!({ "encrypted": [] }), None).is_empty());
    }
}
