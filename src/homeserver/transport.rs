//! The interface to HTTP, which the app implements (OkHttp, URLSession), or `ReqwestTransport` on a desktop.
//!
//! The body is *pulled*: a transport returns the next chunk only when it is asked, and reads no further until then.
//! This keeps memory flat when the disk or the sink is slower than the network.

use std::sync::Arc;

use async_trait::async_trait;

use crate::milliseconds::Milliseconds;

/// Sends requests to the homeserver. Implemented by the app.
///
/// An implementation must not follow redirects (it returns a 3xx as it is, so that the token never reaches another
/// host), must return bodies decompressed, and must cache nothing. It verifies TLS as the app sees fit.
///
/// For each request, keyferry calls `start`, then `head` once, then `next_chunk` as often as it needs, and `cancel`
/// at the end, even if the body was read completely.
#[uniffi::export(foreign)]
pub trait HttpTransport: Send + Sync {
    /// Starts a request and returns at once; the exchange does the waiting. Called from any thread.
    ///
    /// # Errors
    /// `TransportError.Failed` if the request cannot even be made.
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError>;

    /// Closes the connections that were kept open for reuse, unless the rest of the app uses them. Called when
    /// keyferry has no request under way, because an app that is suspended with an open socket finds it dead. Must
    /// not block.
    ///
    /// # Errors
    /// Ignored.
    fn close_idle(&self) -> Result<(), TransportError>;
}

/// One request under way, and its answer.
#[uniffi::export(foreign)]
#[async_trait]
pub trait HttpExchange: Send + Sync {
    /// Waits for the status and the headers. Called once, before `next_chunk`.
    ///
    /// # Errors
    /// Any `TransportError`.
    async fn head(&self) -> Result<HttpHead, TransportError>;

    /// Waits for the next part of the body and returns it: 1 byte to 256 KiB (16 to 64 KiB is a good size). Returns
    /// `None` (null, nil) at the end of the body. A body that ends before its announced length must be an error,
    /// never an end.
    ///
    /// # Errors
    /// Any `TransportError`.
    async fn next_chunk(&self) -> Result<Option<Vec<u8>>, TransportError>;

    /// Cancels the exchange: ends a wait in `head` or `next_chunk` with `TransportError.Closed`, and frees the
    /// connection. May be called more than once, at any time, from any thread. Must not block.
    ///
    /// # Errors
    /// None is expected; any error is ignored.
    fn cancel(&self) -> Result<(), TransportError>;
}

/// A request for the transport to send.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct HttpRequest {
    /// What to do with the URL.
    pub method: HttpMethod,
    /// The complete URL, already percent-encoded. Do not encode it again.
    pub url: String,
    /// The headers, including `Authorization`: never log them.
    pub headers: Vec<HttpHeader>,
    /// The body of a PUT or POST, up to 4 MiB; `None` (null, nil) for a GET or DELETE.
    pub body: Option<Vec<u8>>,
    /// Length of a silence (no head, no byte of the body) after which to fail with `TransportError.Timeout`. The
    /// request as a whole has no time limit: a large backup takes minutes.
    pub idle_timeout: Milliseconds,
}

/// The HTTP method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum HttpMethod {
    /// `GET`: reads.
    Get,
    /// `PUT`: writes.
    Put,
    /// `POST`: creates. Never send it twice by yourself: that would create two.
    Post,
    /// `DELETE`: deletes.
    Delete,
}

impl HttpMethod {
    /// Returns the name in upper case, as HTTP has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// One header of a request or an answer.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct HttpHeader {
    /// The name, in upper or lower case.
    pub name: String,
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for HttpHeader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: …", self.name)
    }
}

/// The status and the headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct HttpHead {
    /// The HTTP status code.
    pub status: u16,
    /// The headers. Only `Retry-After` is read.
    pub headers: Vec<HttpHeader>,
}

/// Why a request got no answer, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum TransportError {
    /// There is no network, or the host does not resolve or refuses the connection. Passes by itself.
    #[error("the homeserver cannot be reached")]
    Offline,
    /// Nothing arrived within the idle timeout. Passes by itself.
    #[error("the homeserver was silent for too long")]
    Timeout,
    /// The connection broke, or the body ended before its announced length. Passes by itself.
    #[error("the connection was cut")]
    Interrupted,
    /// The server's certificate is not trusted. The user has to look into it.
    #[error("the homeserver's certificate is not trusted")]
    Tls,
    /// keyferry cancelled the exchange.
    #[error("the exchange was closed")]
    Closed,
    /// Any other failure, including an exception that the app's code did not declare.
    #[error("the transport failed")]
    Failed {
        /// For the app's own diagnosis; keyferry never logs or shows it.
        detail: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for TransportError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { detail: error.reason }
    }
}
