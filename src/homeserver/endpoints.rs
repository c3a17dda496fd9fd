//! The endpoints in question, typed: paths, parameters, small bodies. One try each; retrying is the caller's.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{Body, HomeserverError, HttpHeader, HttpMethod, HttpRequest, HttpTransport};
use crate::{
    backup::{
        limits::{MAX_ROOM_LIST_BYTES, MAX_SMALL_BODY_BYTES},
        version::VersionInfo,
    },
    host::{JobHost, TokenRequest},
};

/// Synapse reads all rows of a large backup before it sends a byte: silence is normal for a while.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Everything that a path segment may not hold; session ids have `/` and `+`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which keys of a backup version to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeysRequest {
    AllRooms,
    OneRoom(String),
}

/// The homeserver of one account.
#[derive(Clone)]
pub(crate) struct Homeserver {
    base: Arc<str>,
    user_id: Arc<str>,
    transport: Arc<dyn HttpTransport>,
    host: Arc<dyn JobHost>,
}

impl Homeserver {
    pub(crate) fn new(base: &Url, user_id: &str, transport: Arc<dyn HttpTransport>, host: Arc<dyn JobHost>) -> Self {
        let base = base.as_str().trim_end_matches('/').into();
        Self {
            base,
            user_id: user_id.into(),
            transport,
            host,
        }
    }

    /// `GET /room_keys/version`: the current backup.
    ///
    /// `NotFound` means that there is none.
    pub(crate) async fn current_version(&self) -> Result<VersionInfo, HomeserverError> {
        let body = self.get_small("room_keys/version", MAX_SMALL_BODY_BYTES).await?;
        VersionInfo::parse(&body).ok_or(HomeserverError::NotTheHomeserver)
    }

    /// `GET /room_keys/keys` or `GET /room_keys/keys/{roomId}`: to be read as a stream.
    pub(crate) async fn keys(&self, version: &str, request: &KeysRequest) -> Result<Body, HomeserverError> {
        let version = segment(version);
        match request {
            KeysRequest::AllRooms => self.get(&format!("room_keys/keys?version={version}")).await,
            KeysRequest::OneRoom(room_id) => {
                self.get(&format!("room_keys/keys/{}?version={version}", segment(room_id)))
                    .await
            }
        }
    }

    /// `GET /joined_rooms`.
    pub(crate) async fn joined_rooms(&self) -> Result<Vec<String>, HomeserverError> {
        #[derive(Deserialize)]
        struct Wire {
            joined_rooms: Vec<String>,
        }
        let body = self.get_small("joined_rooms", MAX_ROOM_LIST_BYTES).await?;
        let wire: Wire = serde_json::from_slice(&body).map_err(|_| HomeserverError::NotTheHomeserver)?;
        Ok(wire.joined_rooms)
    }

    /// `GET /user/{userId}/account_data/{type}`: the content, or `None` where there is none. An empty object is how
    /// clients delete account data, and counts as none.
    pub(crate) async fn account_data(&self, event_type: &str) -> Result<Option<Value>, HomeserverError> {
        let path = format!("user/{}/account_data/{}", segment(&self.user_id), segment(event_type));
        match self.get_small(&path, MAX_SMALL_BODY_BYTES).await {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(Value::Object(content)) if content.is_empty() => Ok(None),
                Ok(content @ Value::Object(_)) => Ok(Some(content)),
                _ => Err(HomeserverError::NotTheHomeserver),
            },
            Err(HomeserverError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get_small(&self, path: &str, bound: usize) -> Result<Vec<u8>, HomeserverError> {
        self.get(path).await?.read_small(bound).await
    }

    async fn get(&self, path: &str) -> Result<Body, HomeserverError> {
        match self.get_once(path, TokenRequest::Any).await {
            // Once more with a new token: it may have expired between two requests.
            Err(rejected @ HomeserverError::NotSignedIn { .. }) => {
                match self.get_once(path, TokenRequest::PreviousRejected).await {
                    // Without a new one, what the server said of the old one is what counts.
                    Err(HomeserverError::NoToken) => Err(rejected),
                    result => result,
                }
            }
            result => result,
        }
    }

    async fn get_once(&self, path: &str, token: TokenRequest) -> Result<Body, HomeserverError> {
        let token = self
            .host
            .access_token(token)
            .await
            .map_err(|_| HomeserverError::NoToken)?;
        let request = HttpRequest {
            method: HttpMethod::Get,
            url: format!("{}/_matrix/client/v3/{path}", self.base),
            headers: vec![
                HttpHeader {
                    name: "Authorization".to_owned(),
                    value: format!("Bearer {}", token.expose()),
                },
                HttpHeader {
                    name: "Accept".to_owned(),
                    value: "application/json".to_owned(),
                },
            ],
            body: None,
            idle_timeout_ms: IDLE_TIMEOUT.as_millis() as u64,
        };
        let exchange = self.transport.start(request)?;
        Body::open(exchange, IDLE_TIMEOUT, SystemTime::now()).await
    }
}

fn segment(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, SEGMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_within_their_path_segment() {
        assert_eq!(segment("!a:x/y+z?#%").to_string(), "%21a%3Ax%2Fy%2Bz%3F%23%25");
    }
}
