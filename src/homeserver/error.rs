//! Errors of requests to the homeserver, and what follows from each.

use std::time::Duration;

use super::{NoToken, TransportError};
use crate::backup::reader::ReadError;

/// What follows from an error, for callers that do not need the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It passes by itself: the homeserver cannot be reached, or asks us to wait.
    Passes,
    /// The homeserver was reached, but answers with a fault, which may pass by itself.
    ServerFault,
    NotSignedIn {
        soft_logout: bool,
    },
    /// The server knows the endpoint, but has nothing there.
    NothingThere,
    /// It does not pass by itself: a person has to look into it.
    Refused,
}

/// Why a request brought no usable answer. Holds no body, no URL and no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HomeserverError {
    /// No answer, or only part of it.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// 401: the token is not accepted (any more), and the host had no other.
    #[error("the access token is not accepted")]
    NotSignedIn { soft_logout: bool },
    /// 403.
    #[error("the homeserver forbids the request")]
    Forbidden,
    /// 404 with `M_NOT_FOUND`: the server knows the endpoint, but has nothing there.
    #[error("the homeserver has nothing there")]
    NotFound,
    /// 404 of another kind: a wrong URL, or a server without key backups.
    #[error("the homeserver does not know the endpoint")]
    NoSuchEndpoint,
    /// 429.
    #[error("the homeserver asks to slow down")]
    RateLimited { retry_after: Option<Duration> },
    /// 5xx.
    #[error("the homeserver has a fault (status {status})")]
    ServerFault { status: u16, retry_after: Option<Duration> },
    /// A redirect, or a success whose body is not what the endpoint returns: usually a captive portal.
    #[error("something other than the homeserver answered")]
    NotTheHomeserver,
    /// A success whose body is JSON, but not of the shape that the endpoint returns.
    #[error("the homeserver's answer has not the shape of a key backup")]
    WrongShape,
    /// Any other status.
    #[error("the homeserver refused the request (status {status})")]
    Refused { status: u16 },
    /// 413: our request is larger than the homeserver, or a proxy in front of it, takes.
    #[error("the request is too large for the homeserver")]
    RequestTooLarge,
    /// A body larger than the bound of its endpoint.
    #[error("the homeserver's answer is too large")]
    TooLarge,
    /// The app says that the account is signed out.
    #[error("the account is signed out")]
    SignedOut,
    /// The app has no access token now, and may have one later.
    #[error("the app has no access token now")]
    NoTokenNow,
}

impl From<NoToken> for HomeserverError {
    fn from(none: NoToken) -> Self {
        match none {
            NoToken::SignedOut => Self::SignedOut,
            NoToken::NotNow => Self::NoTokenNow,
        }
    }
}

impl From<ReadError> for HomeserverError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotABackup { .. } => Self::NotTheHomeserver,
            ReadError::WrongShape { .. } => Self::WrongShape,
            ReadError::CutShort { .. } => Self::Transport(TransportError::Interrupted),
            ReadError::TooMuch { .. } => Self::TooLarge,
        }
    }
}

impl HomeserverError {
    /// Whether the server itself has asked us to wait.
    pub(crate) fn asks_to_wait(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::ServerFault {
                    retry_after: Some(_),
                    ..
                }
        )
    }

    /// Whether the homeserver was reached and answered with a fault.
    pub(crate) fn is_a_fault(&self) -> bool {
        matches!(self, Self::ServerFault { .. })
    }

    /// Whether there is no network, or something else than the homeserver answers.
    pub(crate) fn is_no_network(&self) -> bool {
        matches!(self, Self::NotTheHomeserver | Self::Transport(TransportError::Offline))
    }

    pub(crate) fn meaning(&self) -> Meaning {
        match self {
            Self::NotFound => Meaning::NothingThere,
            Self::NotSignedIn { soft_logout } => Meaning::NotSignedIn {
                soft_logout: *soft_logout,
            },
            Self::SignedOut => Meaning::NotSignedIn { soft_logout: false },
            Self::Transport(TransportError::Tls)
            | Self::Forbidden
            | Self::NoSuchEndpoint
            | Self::Refused { .. }
            | Self::RequestTooLarge
            | Self::TooLarge => Meaning::Refused,
            Self::ServerFault { .. } | Self::WrongShape => Meaning::ServerFault,
            Self::Transport(_) | Self::RateLimited { .. } | Self::NotTheHomeserver | Self::NoTokenNow => {
                Meaning::Passes
            }
        }
    }
}
