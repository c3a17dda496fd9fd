//! A transport over HTTP that a test can hook into.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use keyferry::{HttpExchange, HttpHead, HttpRequest, HttpTransport, ReqwestTransport, TransportError};

/// What a test does to requests and their answers. By default all of them pass unchanged.
#[async_trait]
pub(crate) trait Hooks: Send + Sync + 'static {
    /// Looks at a request before it is made, and can refuse it.
    fn before(&self, _request: &HttpRequest) -> Result<(), TransportError> {
        Ok(())
    }

    /// Gets the head of an answer.
    async fn head(&self, _request: &HttpRequest, answer: &dyn HttpExchange) -> Result<HttpHead, TransportError> {
        answer.head().await
    }

    /// Gets the next chunk of an answer. The chunks are numbered from 0.
    async fn chunk(
        &self,
        _request: &HttpRequest,
        _number: usize,
        answer: &dyn HttpExchange,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        answer.next_chunk().await
    }
}

/// A transport over HTTP with hooks.
pub(crate) struct HookedTransport<H> {
    inner: ReqwestTransport,
    hooks: Arc<H>,
}

impl<H: Hooks> HookedTransport<H> {
    /// Creates a transport with these hooks.
    pub(crate) fn new(hooks: H) -> Self {
        Self {
            inner: ReqwestTransport::new().expect("a transport"),
            hooks: Arc::new(hooks),
        }
    }
}

impl<H: Hooks> HttpTransport for HookedTransport<H> {
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        self.hooks.before(&request)?;
        Ok(Arc::new(HookedExchange {
            inner: self.inner.start(request.clone())?,
            hooks: self.hooks.clone(),
            request,
            chunks: AtomicUsize::new(0),
        }))
    }

    fn close_idle(&self) -> Result<(), TransportError> {
        self.inner.close_idle()
    }
}

struct HookedExchange<H> {
    inner: Arc<dyn HttpExchange>,
    hooks: Arc<H>,
    request: HttpRequest,
    /// The number of chunks that were asked for.
    chunks: AtomicUsize,
}

#[async_trait]
impl<H: Hooks> HttpExchange for HookedExchange<H> {
    async fn head(&self) -> Result<HttpHead, TransportError> {
        self.hooks.head(&self.request, self.inner.as_ref()).await
    }

    async fn next_chunk(&self) -> Result<Option<Vec<u8>>, TransportError> {
        let number = self.chunks.fetch_add(1, Ordering::SeqCst);
        self.hooks.chunk(&self.request, number, self.inner.as_ref()).await
    }

    fn cancel(&self) -> Result<(), TransportError> {
        self.inner.cancel()
    }
}
