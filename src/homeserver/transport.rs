//! Who speaks HTTP: the app (OkHttp, URLSession), or `ReqwestTransport` on a desktop.
//!
//! The body is *pulled*: a transport hands out the next chunk when it is asked, and reads no further meanwhile. That
//! is what keeps memory flat when the disk or the sink is slower than the network.

use std::sync::Arc;

use async_trait::async_trait;

/// Sends requests to the homeserver. Implemented by the app.
///
/// The contract: redirects are not followed (a 3xx is returned as it is, so that the token never leaves for another
/// host); bodies are handed out decompressed; nothing is cached; TLS is verified as the app sees fit.
#[uniffi::export(foreign)]
pub trait HttpTransport: Send + Sync {
    /// Begins a request and returns at once; waiting is done by the exchange. Called from any thread.
    ///
    /// # Errors
    /// [`TransportError::Failed`] if the request cannot even be made.
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError>;

    /// Nothing of ours is under way: closes the connections that were kept open for another request, unless the rest of the
    /// app has use for them. An app that is suspended with an open socket finds it dead. Must not block.
    ///
    /// # Errors
    /// Ignored.
    fn close_idle(&self) -> Result<(), TransportError>;
}

/// One request and its answer, under way.
#[uniffi::export(foreign)]
#[async_trait]
pub trait HttpExchange: Send + Sync {
    /// Waits for status and headers. Called once, first.
    ///
    /// # Errors
    /// Any [`TransportError`].
    async fn head(&self) -> Result<HttpHead, TransportError>;

    /// Waits for the next part of the body, 1 byte to 256 KiB (16 to 64 KiB is a good size); `None` at its end. A body
    /// that ends before its announced length is an error, never an end.
    ///
    /// # Errors
    /// Any [`TransportError`].
    async fn next_chunk(&self) -> Result<Option<Vec<u8>>, TransportError>;

    /// Gives the exchange up. Ends a wait in `head` or `next_chunk` with [`TransportError::Closed`], frees the
    /// connection, and may be called more than once, at any time, from any thread. Must not block.
    ///
    /// # Errors
    /// None is expected; one that comes is ignored.
    fn cancel(&self) -> Result<(), TransportError>;
}

/// A request as the transport has to send it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct HttpRequest {
    /// GET or PUT.
    pub method: HttpMethod,
    /// The whole URL, already percent-encoded: it must not be encoded again.
    pub url: String,
    /// The headers, `Authorization` among them: never log them.
    pub headers: Vec<HttpHeader>,
    /// The body of a PUT.
    pub body: Option<Vec<u8>>,
    /// Milliseconds of silence (no head, no byte of the body) after which to fail with [`TransportError::Timeout`].
    /// There is no limit on the whole: a large backup takes minutes.
    pub idle_timeout_ms: u64,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum HttpMethod {
    /// Reads.
    Get,
    /// Writes.
    Put,
}

impl HttpMethod {
    /// `GET` or `PUT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

/// One header of a request or an answer.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct HttpHeader {
    /// The name, in any case.
    pub name: String,
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for HttpHeader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: …", self.name)
    }
}

/// Status and headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct HttpHead {
    /// The HTTP status code.
    pub status: u16,
    /// The headers. Only `Retry-After` is looked at.
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
    /// Nothing came for the idle timeout. Passes by itself.
    #[error("the homeserver was silent for too long")]
    Timeout,
    /// The connection broke, or the body ended before its length. Passes by itself.
    #[error("the connection was cut")]
    Interrupted,
    /// The server's certificate is not trusted. The user has to look.
    #[error("the homeserver's certificate is not trusted")]
    Tls,
    /// The exchange was closed by us.
    #[error("the exchange was closed")]
    Closed,
    /// Anything else, also an exception that the app's code did not declare.
    #[error("the transport failed")]
    Failed {
        /// For the app's own diagnosis: never logged here, never shown.
        detail: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for TransportError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { detail: error.reason }
    }
}
