//! Another device of the user, which uploads to the backup as clients do.

use std::sync::Arc;

use keyferry_test_homeserver::{Homeserver, TrueKey};
use matrix_sdk_crypto::vodozemac::Curve25519PublicKey;
use serde_json::{Value, json};

use crate::support::backup_entry::{forged, plaintext, seal};

/// A device that has no vault.
#[derive(Clone)]
pub(super) struct OtherDevice {
    homeserver: Arc<Homeserver>,
    client: reqwest::Client,
}

impl OtherDevice {
    pub(super) fn new(homeserver: &Arc<Homeserver>) -> Self {
        Self {
            homeserver: homeserver.clone(),
            client: reqwest::Client::new(),
        }
    }

    /// Uploads a copy of a key into a version, with this count of forwards.
    pub(super) async fn upload(&self, version: &str, key: &TrueKey, forwarded_count: u32) {
        let mut content = plaintext(key);
        content["org.matrix.msc3061.shared_history"] = key.shared_history.into();
        let mut entry = seal(&content, key.first_known_index, self.public_key_of(version));
        entry["forwarded_count"] = forwarded_count.into();
        self.put(version, key, entry).await;
    }

    /// Uploads a forgery of a key, which claims to begin at index 0.
    pub(super) async fn upload_forgery(&self, version: &str, key: &TrueKey) {
        let entry = seal(&forged(&plaintext(key)), 0, self.public_key_of(version));
        self.put(version, key, entry).await;
    }

    async fn put(&self, version: &str, key: &TrueKey, entry: Value) {
        let rooms = json!({ &key.room_id: { "sessions": { &key.session_id: entry } } });
        let path = format!("room_keys/keys?version={version}");
        let status = self.send("PUT", &path, json!({ "rooms": rooms })).await;
        assert_eq!(status, 200);
    }

    /// Whether the account has a version with this number.
    pub(super) fn has_version(&self, version: &str) -> bool {
        self.homeserver.versions().iter().any(|number| number == version)
    }

    /// Creates a version with a key of its own.
    pub(super) async fn create_version(&self) {
        let content = json!({
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "auth_data": { "public_key": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo" },
        });
        assert_eq!(self.send("POST", "room_keys/version", content).await, 200);
    }

    /// Deletes the current version, as `recover_and_fix_backup` of matrix-sdk does.
    pub(super) async fn delete_current_version(&self) {
        let current = self.homeserver.current_version().expect("there is one");
        let status = self
            .send("DELETE", &format!("room_keys/version/{current}"), json!({}))
            .await;
        assert_eq!(status, 200);
    }

    async fn send(&self, method: &str, path: &str, content: Value) -> u16 {
        let account = self.homeserver.account();
        let url = format!("{}/_matrix/client/v3/{path}", account.homeserver_url);
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, url).bearer_auth(&account.access_token);
        let answer = request.body(content.to_string()).send().await;
        answer.expect("an answer").status().as_u16()
    }

    fn public_key_of(&self, version: &str) -> Curve25519PublicKey {
        let auth_data = self.homeserver.auth_data_of(version).expect("it is there");
        let key = auth_data["public_key"].as_str().expect("a key");
        Curve25519PublicKey::from_base64(key).expect("a key")
    }
}
