//! The one account of the homeserver, its secrets and its account data.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Config,
    crypto::{self, Seed},
    recovery_key,
    secret_storage::{Padding, StorageKey},
};

const ITERATIONS: u32 = 1000;
const BACKUP_SECRET: &str = "m.megolm_backup.v1";

/// Everything a client needs to sign in, and every secret that leads to the backup decryption key.
#[derive(Debug, Clone, Serialize)]
pub struct AccountInfo {
    /// The base URL, without a trailing slash.
    pub homeserver_url: String,
    /// `@alice:localhost`, unless the configuration names another user.
    pub user_id: String,
    /// The device that the access token belongs to.
    pub device_id: String,
    /// Valid until [`crate::Homeserver::set_access_token`] replaces it.
    pub access_token: String,
    /// The default secret storage key: base58 in groups of four.
    pub recovery_key: String,
    /// The backup decryption key itself, in the same form as `recovery_key`.
    pub backup_recovery_key: String,
    /// The backup decryption key in base64: the plaintext of the secret in `m.megolm_backup.v1`.
    pub backup_decryption_key_base64: String,
    /// The passphrase of the second secret storage key, which is not the default one.
    pub secret_storage_passphrase: String,
    /// The id of the default secret storage key.
    pub secret_storage_key_id: String,
    /// The id of the second secret storage key.
    pub passphrase_key_id: String,
    /// The backup version that holds the keys. It is the current one at the start.
    pub backup_version: String,
}

/// Everything about the account that is derived from the configuration.
pub(crate) struct Account {
    pub info: AccountInfo,
    pub backup_key: BackupKey,
    pub account_data: BTreeMap<String, Value>,
}

impl Account {
    pub(crate) fn new(config: &Config, url: &str) -> Self {
        let seed = Seed(config.seed);
        let backup_key = BackupKey::of_account(config);
        let storage_key = StorageKey {
            id: hex(&seed.bytes("default storage key id", 0)[..16]),
            key: seed.bytes("default storage key", 0),
            padding: Padding::With,
        };
        let passphrase = format!("correct horse battery {}", config.seed);
        let salt = crypto::base64(&seed.bytes("storage salt", 0)[..24]);
        let passphrase_key = StorageKey {
            id: hex(&seed.bytes("second storage key id", 0)[..16]),
            key: crypto::pbkdf2(&passphrase, &salt, ITERATIONS),
            padding: Padding::Without,
        };
        let passphrase_info = json!({
            "algorithm": "m.pbkdf2",
            "salt": salt,
            "iterations": ITERATIONS,
            "bits": 256,
        });

        let info = AccountInfo {
            homeserver_url: url.to_owned(),
            user_id: format!("@{}:localhost", config.user),
            device_id: "KEYFERRYTEST".to_owned(),
            access_token: format!("syt_{}", hex(&seed.bytes("access token", 0)[..16])),
            recovery_key: recovery_key::encode(&storage_key.key),
            backup_recovery_key: backup_key.recovery_key(),
            backup_decryption_key_base64: backup_key.base64(),
            secret_storage_passphrase: passphrase,
            secret_storage_key_id: storage_key.id.clone(),
            passphrase_key_id: passphrase_key.id.clone(),
            backup_version: config.first_version.to_string(),
        };

        let secret = info.backup_decryption_key_base64.as_bytes();
        let mut encrypted = json!({});
        let mut account_data = BTreeMap::new();
        for (number, key, passphrase) in [(0, &storage_key, None), (1, &passphrase_key, Some(passphrase_info))] {
            encrypted[&key.id] = key.seal(BACKUP_SECRET, secret, seed.bytes("secret iv", number));
            account_data.insert(
                format!("m.secret_storage.key.{}", key.id),
                key.description(seed.bytes("check iv", number), passphrase),
            );
        }
        account_data.insert(
            "m.secret_storage.default_key".to_owned(),
            json!({ "key": storage_key.id }),
        );
        account_data.insert(BACKUP_SECRET.to_owned(), json!({ "encrypted": encrypted }));

        Self {
            info,
            backup_key,
            account_data,
        }
    }
}

/// The key of a backup version.
#[derive(Clone)]
pub(crate) struct BackupKey {
    decryption_key: [u8; 32],
    /// The `auth_data` of the version, which contains the public key.
    pub auth_data: Value,
}

impl BackupKey {
    /// Returns the account's own backup key, which secret storage holds.
    fn of_account(config: &Config) -> Self {
        let seed = Seed(config.seed);
        match &config.legacy_passphrase {
            None => Self::new(seed.bytes("backup decryption key", 0), json!({})),
            Some(passphrase) => {
                let salt = crypto::base64(&seed.bytes("backup salt", 0)[..24]);
                let decryption_key = crypto::pbkdf2(passphrase, &salt, ITERATIONS);
                let origin = json!({ "private_key_salt": salt, "private_key_iterations": ITERATIONS });
                Self::new(decryption_key, origin)
            }
        }
    }

    /// Returns the key of a version that another client creates later. Secret storage never holds it.
    pub(crate) fn foreign(seed: u64, version: u64) -> Self {
        Self::new(Seed(seed).bytes("foreign backup key", version), json!({}))
    }

    fn new(decryption_key: [u8; 32], mut auth_data: Value) -> Self {
        auth_data["public_key"] = crypto::base64(&crypto::x25519_public(&decryption_key)).into();
        auth_data["signatures"] = json!({});
        Self {
            decryption_key,
            auth_data,
        }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        crypto::x25519_public(&self.decryption_key)
    }

    pub(crate) fn base64(&self) -> String {
        crypto::base64(&self.decryption_key)
    }

    pub(crate) fn recovery_key(&self) -> String {
        recovery_key::encode(&self.decryption_key)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
