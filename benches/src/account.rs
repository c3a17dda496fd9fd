//! The account whose backup a contestant must restore.

use serde::{Deserialize, Serialize};

use crate::Failure;

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

    /// Returns the URL of this path below `/_matrix/client/v3/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/_matrix/client/v3/{path}", self.homeserver_url)
    }

    /// Creates a backup version, and returns its number.
    pub(crate) async fn create_version(&self, info: &serde_json::Value) -> Result<String, Failure> {
        let request = reqwest::Client::new().post(self.url("room_keys/version"));
        let answer = request
            .bearer_auth(&self.access_token)
            .body(info.to_string())
            .send()
            .await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
        Ok(answer["version"].as_str().ok_or("no version")?.to_owned())
    }

    /// Deletes a backup version.
    pub(crate) async fn delete_version(&self, version: &str) -> Result<(), Failure> {
        let url = self.url(&format!("room_keys/version/{version}"));
        let request = reqwest::Client::new().delete(url).bearer_auth(&self.access_token);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}
