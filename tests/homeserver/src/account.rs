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

/// The number of the first backup version.
pub(crate) const FIRST_VERSION: u64 = 1;

const ITERATIONS: u32 = 1000;
const BACKUP_SECRET: &str = "m.megolm_backup.v1";

/// All that a client needs to sign in, and all the ways to the backup decryption key.
#[derive(Debug, Clone, Serialize)]
pub struct AccountInfo {
    /// Without a slash at its end.
    pub homeserver_url: String,
    /// `@alice:localhost`
    pub user_id: String,
    /// The device that the access token belongs to.
    pub device_id: String,
    /// Valid until it is replaced by [`crate::Homeserver::set_access_token`].
    pub access_token: String,
    /// The default secret storage key: base58 in groups of four.
    pub recovery_key: String,
    /// The backup decryption key itself in the same form.
    pub backup_recovery_key: String,
    /// The backup decryption key as it lies, encrypted, in `m.megolm_backup.v1`.
    pub backup_decryption_key_base64: String,
    /// Opens the second secret storage key, which is not the default one.
    pub secret_storage_passphrase: String,
    /// The id of the default secret storage key.
    pub secret_storage_key_id: String,
    /// The id of the second secret storage key.
    pub passphrase_key_id: String,
    /// The version that holds the keys, and the current one at the start.
    pub backup_version: String,
}

/// Everything about the account that is derived from the configuration.
pub(crate) struct Account {
    pub info: AccountInfo,
    pub backup_public_key: [u8; 32],
    pub auth_data: Value,
    pub account_data: BTreeMap<String, Value>,
}

impl Account {
    pub(crate) fn new(config: &Config, url: &str) -> Self {
        let seed = Seed(config.seed);
        let (decryption_key, auth_data) = backup_key(config, seed);
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
            user_id: "@alice:localhost".to_owned(),
            device_id: "KEYFERRYTEST".to_owned(),
            access_token: format!("syt_{}", hex(&seed.bytes("access token", 0)[..16])),
            recovery_key: recovery_key::encode(&storage_key.key),
            backup_recovery_key: recovery_key::encode(&decryption_key),
            backup_decryption_key_base64: crypto::base64(&decryption_key),
            secret_storage_passphrase: passphrase,
            secret_storage_key_id: storage_key.id.clone(),
            passphrase_key_id: passphrase_key.id.clone(),
            backup_version: FIRST_VERSION.to_string(),
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
            backup_public_key: crypto::x25519_public(&decryption_key),
            auth_data,
            account_data,
        }
    }
}

/// The public key of a backup that someone else created later, and whose private half is nowhere.
pub(crate) fn foreign_auth_data(seed: u64, version: u64) -> Value {
    let private = Seed(seed).bytes("foreign backup key", version);
    json!({
        "public_key": crypto::base64(&crypto::x25519_public(&private)),
        "signatures": {},
    })
}

fn backup_key(config: &Config, seed: Seed) -> ([u8; 32], Value) {
    let mut auth_data = json!({ "signatures": {} });
    let key = match &config.legacy_passphrase {
        None => seed.bytes("backup decryption key", 0),
        Some(passphrase) => {
            let salt = crypto::base64(&seed.bytes("backup salt", 0)[..24]);
            let key = crypto::pbkdf2(passphrase, &salt, ITERATIONS);
            auth_data["private_key_salt"] = salt.into();
            auth_data["private_key_iterations"] = ITERATIONS.into();
            key
        }
    };
    auth_data["public_key"] = crypto::base64(&crypto::x25519_public(&key)).into();
    (key, auth_data)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
