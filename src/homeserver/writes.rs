//! The endpoints that change something on the server. Whoever calls one must be able to find out afterwards whether a
//! request whose answer was lost had its effect.

use serde_json::{Value, json};

use super::{
    HomeserverError, HttpMethod,
    endpoints::{Homeserver, Request, segment},
};
use crate::backup::{
    limits::MAX_SMALL_BODY_BYTES,
    version::{Algorithm, VersionMark, read_version_number},
};

impl Homeserver {
    /// `PUT /user/{userId}/account_data/{type}`: writes the content.
    pub(crate) async fn put_account_data(&self, event_type: &str, content: &Value) -> Result<(), HomeserverError> {
        let path = self.account_data_path(event_type);
        self.change(HttpMethod::Put, &path, Some(content)).await?;
        Ok(())
    }

    /// `POST /room_keys/version`: creates a backup version and returns its number. Which version is current
    /// afterwards, only [`Homeserver::current_version`] shows.
    pub(crate) async fn create_version(&self, auth_data: &Value) -> Result<String, HomeserverError> {
        let content = json!({ "algorithm": Algorithm::Curve25519AesSha2.name(), "auth_data": auth_data });
        let answer = self
            .change(HttpMethod::Post, "room_keys/version", Some(&content))
            .await?;
        read_version_number(&answer["version"]).ok_or(HomeserverError::NotTheHomeserver)
    }

    /// `DELETE /room_keys/version/{version}`: deletes that version and its keys.
    ///
    /// Fails with `NotFound` if there is no such version; some servers then answer as if they had deleted it.
    pub(crate) async fn delete_version(&self, version: &str) -> Result<(), HomeserverError> {
        let path = format!("room_keys/version/{}", segment(version));
        self.change(HttpMethod::Delete, &path, None).await?;
        Ok(())
    }

    /// `PUT /room_keys/keys`: puts entries into a version, which must be the current one. Returns the mark of the
    /// version after that. `body` must have at least one entry: an empty upload makes Dendrite lose `auth_data`.
    pub(crate) async fn put_keys(&self, version: &str, body: Vec<u8>) -> Result<VersionMark, HomeserverError> {
        let path = format!("room_keys/keys?version={}", segment(version));
        let request = Request {
            method: HttpMethod::Put,
            path: &path,
            body: Some(body),
        };
        let answer = self.send(&request).await?.read_small(MAX_SMALL_BODY_BYTES).await?;
        VersionMark::parse(&answer).ok_or(HomeserverError::NotTheHomeserver)
    }

    /// Sends a request whose answer is a JSON object, and returns that object. A captive portal answers 200, too.
    async fn change(&self, method: HttpMethod, path: &str, content: Option<&Value>) -> Result<Value, HomeserverError> {
        let body = content.map(|content| content.to_string().into_bytes());
        let request = Request { method, path, body };
        let answer = self.send(&request).await?.read_small(MAX_SMALL_BODY_BYTES).await?;
        match serde_json::from_slice(&answer) {
            Ok(answer @ Value::Object(_)) => Ok(answer),
            _ => Err(HomeserverError::NotTheHomeserver),
        }
    }
}
