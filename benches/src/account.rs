//! The account whose backup a contestant must restore.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) homeserver_url: String,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) access_token: String,
    pub(crate) backup_version: String,
    pub(crate) backup_decryption_key_base64: String,
    /// Number of keys in the backup.
    pub(crate) keys: u64,
}

impl Account {
    /// Returns the request for the whole backup.
    pub(crate) fn everything(&self, client: &reqwest::Client) -> reqwest::RequestBuilder {
        let url = format!(
            "{}/_matrix/client/v3/room_keys/keys?version={}",
            self.homeserver_url, self.backup_version
        );
        client.get(url).bearer_auth(&self.access_token)
    }
}
