//! New secret storage, for an account whose recovery key somebody else may know.

use std::{error::Error, io::ErrorKind, path::Path};

use matrix_sdk_crypto::secret_storage::SecretStorageKey;
use ruma::events::secret_storage::key::SecretStorageKeyEventContent;
use serde_json::{Value, json};

use crate::work::tell;

/// The file with the description of the key.
const DESCRIPTION: &str = "new-storage.json";

/// Returns the key of the new storage. The first time it makes one and prints it, for the user to keep. Only its
/// description is stored, in the data directory: so a later process needs the key itself. A data directory is for one
/// move.
pub(crate) fn new_storage_key(data_dir: &Path, recovery_key: &str) -> Result<SecretStorageKey, Box<dyn Error>> {
    let path = data_dir.join(DESCRIPTION);
    match std::fs::read(&path) {
        Ok(stored) => {
            let key = SecretStorageKey::from_account_data(recovery_key, description(&stored)?);
            Ok(key.map_err(|_| "--new-recovery-key is not the key that was printed.")?)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = SecretStorageKey::new();
            tell("new_recovery_key", key.to_base58());
            let stored = json!({ "id": key.key_id(), "description": key.event_content() });
            std::fs::create_dir_all(data_dir)?;
            // All of it or nothing: the process may be killed here.
            let unfinished = path.with_extension("new");
            std::fs::write(&unfinished, stored.to_string())?;
            std::fs::rename(unfinished, &path)?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

fn description(stored: &[u8]) -> Result<SecretStorageKeyEventContent, Box<dyn Error>> {
    let mut stored: Value = serde_json::from_slice(stored)?;
    let id = stored["id"]
        .as_str()
        .ok_or("The stored description has no id.")?
        .to_owned();
    let algorithm = serde_json::from_value(stored["description"].take())?;
    Ok(SecretStorageKeyEventContent::new(id, algorithm))
}
