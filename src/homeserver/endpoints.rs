//! The endpoints that this crate reads from, typed: paths, parameters, small bodies; `writes` has the others. Each
//! call is one try, plus one with a new token after a 401; further retries are up to the caller.

use std::{sync::Arc, time::SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use super::{
    Body, HomeserverError, HttpHeader, HttpMethod, HttpRequest, HttpTransport, Meaning,
    room_list::read_room_list,
    token::{AccessTokens, TokenRequest},
};
use crate::backup::{
    limits::{MAX_ENTRY_BYTES, MAX_ROOM_LIST_BYTES, MAX_SILENCE, MAX_SMALL_BODY_BYTES},
    version::VersionInfo,
};

/// Characters that must be escaped in a path segment. Session ids contain `/` and `+`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which keys of a backup version to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeysRequest {
    AllRooms,
    OneRoom(String),
}

impl KeysRequest {
    pub(crate) fn room_id(&self) -> Option<&str> {
        match self {
            Self::AllRooms => None,
            Self::OneRoom(room_id) => Some(room_id),
        }
    }
}

/// The homeserver of one account.
#[derive(Clone)]
pub(crate) struct Homeserver {
    base: Arc<str>,
    user_id: Arc<str>,
    transport: Arc<dyn HttpTransport>,
    tokens: Arc<dyn AccessTokens>,
}

impl Homeserver {
    pub(crate) fn new(
        base: &Url,
        user_id: &str,
        transport: Arc<dyn HttpTransport>,
        tokens: Arc<dyn AccessTokens>,
    ) -> Self {
        let base = base.as_str().trim_end_matches('/').into();
        Self {
            base,
            user_id: user_id.into(),
            transport,
            tokens,
        }
    }

    /// Closes idle connections. Called when no request is under way.
    pub(crate) fn close_idle(&self) {
        // The result changes nothing.
        let _ = self.transport.close_idle();
    }

    /// `GET /room_keys/version`: returns the current backup version.
    ///
    /// Fails with `NotFound` if there is none.
    pub(crate) async fn current_version(&self) -> Result<VersionInfo, HomeserverError> {
        let body = self.get_small("room_keys/version", MAX_SMALL_BODY_BYTES).await?;
        VersionInfo::parse(&body).ok_or(HomeserverError::NotTheHomeserver)
    }

    /// `GET /room_keys/version/{version}`: returns that backup version, current or not.
    ///
    /// Fails with `NotFound` if it is gone.
    pub(crate) async fn version(&self, version: &str) -> Result<VersionInfo, HomeserverError> {
        let path = format!("room_keys/version/{}", segment(version));
        let body = self.get_small(&path, MAX_SMALL_BODY_BYTES).await?;
        match VersionInfo::parse(&body).ok_or(HomeserverError::NotTheHomeserver)? {
            info if info.version == version => Ok(info),
            // A server that answers with another version does not know this endpoint, which does not pass by itself.
            _ => Err(HomeserverError::NoSuchEndpoint),
        }
    }

    /// `GET /room_keys/keys/{roomId}/{sessionId}`: returns the JSON of one entry. Returns `None` for a 404, which may
    /// also mean that the version is gone.
    pub(crate) async fn session_key(
        &self,
        version: &str,
        room_id: &str,
        session_id: &str,
    ) -> Result<Option<Vec<u8>>, HomeserverError> {
        if [room_id, session_id].iter().any(|id| matches!(*id, "." | "..")) {
            // `.` and `..` change the path even if they are percent-encoded.
            return Ok(None);
        }
        let path = format!(
            "room_keys/keys/{}/{}?version={}",
            segment(room_id),
            segment(session_id),
            segment(version)
        );
        match self.get_small(&path, MAX_ENTRY_BYTES).await {
            Ok(body) => Ok(Some(body)),
            Err(HomeserverError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET /room_keys/keys` or `GET /room_keys/keys/{roomId}`: returns the body, to read as a stream.
    pub(crate) async fn keys(&self, version: &str, request: &KeysRequest) -> Result<Body, HomeserverError> {
        self.get(&keys_path(version, request)).await
    }

    /// Returns the request of [`Homeserver::keys`] without sending it, so that the OS can download it into a file.
    pub(crate) async fn keys_request(
        &self,
        version: &str,
        request: &KeysRequest,
        token: TokenRequest,
    ) -> Result<HttpRequest, HomeserverError> {
        let request = Request {
            method: HttpMethod::Get,
            path: &keys_path(version, request),
            body: None,
        };
        self.with_token(&request, token).await
    }

    /// `GET /joined_rooms`: returns no rooms if the server refuses or does not know the request, or if the list is
    /// too large.
    pub(crate) async fn joined_rooms(&self) -> Result<Vec<String>, HomeserverError> {
        match self.get_small("joined_rooms", MAX_ROOM_LIST_BYTES).await {
            Ok(body) => read_room_list(&body).ok_or(HomeserverError::NotTheHomeserver),
            Err(error) if error.meaning() == Meaning::Refused && !matches!(error, HomeserverError::Transport(_)) => {
                log::warn!("the server does not say which rooms are joined: {error}");
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// `GET /user/{userId}/account_data/{type}`: returns the content, or `None` if there is none. An empty object
    /// counts as none, because clients delete account data by writing one.
    pub(crate) async fn account_data(&self, event_type: &str) -> Result<Option<Value>, HomeserverError> {
        match self.account_data_as_it_is(event_type).await? {
            Some(Value::Object(content)) if content.is_empty() => Ok(None),
            None => Ok(None),
            Some(content @ Value::Object(_)) => Ok(Some(content)),
            Some(_) => Err(HomeserverError::NotTheHomeserver),
        }
    }

    /// Like [`Homeserver::account_data`], but returns whatever JSON is there: an empty object, or no object at all.
    pub(crate) async fn account_data_as_it_is(&self, event_type: &str) -> Result<Option<Value>, HomeserverError> {
        match self
            .get_small(&self.account_data_path(event_type), MAX_SMALL_BODY_BYTES)
            .await
        {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(content) => Ok(Some(content)),
                Err(_) => Err(HomeserverError::NotTheHomeserver),
            },
            Err(HomeserverError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn account_data_path(&self, event_type: &str) -> String {
        format!("user/{}/account_data/{}", segment(&self.user_id), segment(event_type))
    }

    async fn get_small(&self, path: &str, bound: usize) -> Result<Vec<u8>, HomeserverError> {
        self.get(path).await?.read_small(bound).await
    }

    async fn get(&self, path: &str) -> Result<Body, HomeserverError> {
        self.send(&Request {
            method: HttpMethod::Get,
            path,
            body: None,
        })
        .await
    }

    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Body, HomeserverError> {
        match self.send_once(request, TokenRequest::Any).await {
            // Try once more with a new token: the old one may have expired between two requests.
            Err(rejected @ HomeserverError::NotSignedIn { .. }) => {
                match self.send_once(request, TokenRequest::PreviousRejected).await {
                    // Without a new token, report what the server said about the old one.
                    Err(HomeserverError::SignedOut) => Err(rejected),
                    result => result,
                }
            }
            result => result,
        }
    }

    async fn send_once(&self, request: &Request<'_>, token: TokenRequest) -> Result<Body, HomeserverError> {
        let request = self.with_token(request, token).await?;
        let exchange = self.transport.start(request)?;
        Body::open(exchange, MAX_SILENCE, SystemTime::now()).await
    }

    async fn with_token(&self, request: &Request<'_>, token: TokenRequest) -> Result<HttpRequest, HomeserverError> {
        let token = self.tokens.access_token(token).await?;
        let header = |name: &str, value: String| HttpHeader {
            name: name.to_owned(),
            value,
        };
        let mut headers = vec![
            header("Authorization", format!("Bearer {}", token.expose())),
            header("Accept", "application/json".to_owned()),
        ];
        if request.body.is_some() {
            headers.push(header("Content-Type", "application/json".to_owned()));
        }
        Ok(HttpRequest {
            method: request.method,
            url: format!("{}/_matrix/client/v3/{}", self.base, request.path),
            headers,
            body: request.body.clone(),
            idle_timeout: MAX_SILENCE.into(),
        })
    }
}

/// A request without its token.
pub(super) struct Request<'a> {
    pub(super) method: HttpMethod,
    /// The path below `/_matrix/client/v3/`, percent-encoded.
    pub(super) path: &'a str,
    pub(super) body: Option<Vec<u8>>,
}

fn keys_path(version: &str, request: &KeysRequest) -> String {
    let version = segment(version);
    match request.room_id() {
        None => format!("room_keys/keys?version={version}"),
        Some(room_id) => format!("room_keys/keys/{}?version={version}", segment(room_id)),
    }
}

pub(super) fn segment(text: &str) -> impl std::fmt::Display + '_ {
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
