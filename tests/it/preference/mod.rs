//! The backup preference: what a sign-in decides, what is written and when, and what the host is told.

mod notices;
mod setting;
mod sign_in;

use std::sync::Arc;

use async_trait::async_trait;
use keyferry::{
    AccountDataEvent, DeterminedPolicy, HttpExchange, HttpHead, HttpMethod, HttpRequest, HttpTransport,
    KeyBackupClient, PendingReason, PreferencePolicy, PreferenceWrite, ReqwestTransport, TransportError,
    UndeterminedPolicy,
};
use keyferry_test_homeserver::{FaultKind, Homeserver};
use serde_json::{Value, json};

use crate::common::Setup;

pub(super) const STABLE: &str = "m.key_backup";
pub(super) const UNSTABLE: &str = "m.org.matrix.custom.backup_disabled";

pub(super) fn policy(undetermined: UndeterminedPolicy) -> PreferencePolicy {
    PreferencePolicy::TakePart {
        determined: DeterminedPolicy::Follow,
        undetermined,
        write_unstable: true,
    }
}

pub(super) async fn open(setup: &Setup, policy: PreferencePolicy) -> Arc<KeyBackupClient> {
    let mut options = setup.options();
    options.preference = Some(policy);
    setup.open_with(options).await.expect("the client opens")
}

/// Opens a client with a transport that interferes with its requests.
pub(super) async fn open_over(setup: &Setup, policy: PreferencePolicy, transport: Meddling) -> Arc<KeyBackupClient> {
    let mut options = setup.options();
    options.preference = Some(policy);
    setup
        .open_over(options, Arc::new(transport))
        .await
        .expect("the client opens")
}

pub(super) fn forms(homeserver: &Homeserver) -> (Option<Value>, Option<Value>) {
    (homeserver.account_data(STABLE), homeserver.account_data(UNSTABLE))
}

pub(super) fn both(enabled: bool) -> (Option<Value>, Option<Value>) {
    (
        Some(json!({ "enabled": enabled })),
        Some(json!({ "disabled": !enabled })),
    )
}

pub(super) fn status(code: u16, body: Value) -> FaultKind {
    FaultKind::Status {
        code,
        body,
        headers: Default::default(),
    }
}

pub(super) fn pending(write: &PreferenceWrite) -> &PendingReason {
    match write {
        PreferenceWrite::Pending { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

pub(super) fn account_data(event_type: &str, content: Value) -> AccountDataEvent {
    AccountDataEvent {
        event_type: event_type.to_owned(),
        content_json: content.to_string(),
    }
}

pub(super) type BeforeRequest = dyn Fn(&HttpRequest) -> Result<(), TransportError> + Send + Sync;

/// A transport that looks at every request before it is made, and can refuse it.
pub(super) struct Meddling {
    inner: ReqwestTransport,
    before: Box<BeforeRequest>,
}

impl Meddling {
    pub(super) fn new(before: impl Fn(&HttpRequest) -> Result<(), TransportError> + Send + Sync + 'static) -> Self {
        Self {
            inner: ReqwestTransport::new().expect("a transport"),
            before: Box::new(before),
        }
    }

    /// Returns a transport without a network.
    pub(super) fn offline() -> Self {
        Self::new(|_| Err(TransportError::Offline))
    }
}

impl HttpTransport for Meddling {
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        (self.before)(&request)?;
        self.inner.start(request)
    }

    fn close_idle(&self) -> Result<(), TransportError> {
        self.inner.close_idle()
    }
}

/// A transport whose first write reaches the server, but the answer to it is lost.
pub(super) struct LosesAnAnswer {
    inner: ReqwestTransport,
    has_lost: std::sync::atomic::AtomicBool,
}

impl LosesAnAnswer {
    pub(super) fn new() -> Self {
        Self {
            inner: ReqwestTransport::new().expect("a transport"),
            has_lost: false.into(),
        }
    }
}

impl HttpTransport for LosesAnAnswer {
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        let is_write = request.method == HttpMethod::Put;
        let exchange = self.inner.start(request)?;
        if is_write && !self.has_lost.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Ok(Arc::new(LostAnswer(exchange)));
        }
        Ok(exchange)
    }

    fn close_idle(&self) -> Result<(), TransportError> {
        self.inner.close_idle()
    }
}

struct LostAnswer(Arc<dyn HttpExchange>);

#[async_trait]
impl HttpExchange for LostAnswer {
    async fn head(&self) -> Result<HttpHead, TransportError> {
        self.0.head().await?;
        // An error that is not retried at once.
        Err(TransportError::Offline)
    }

    async fn next_chunk(&self) -> Result<Option<Vec<u8>>, TransportError> {
        self.0.next_chunk().await
    }

    fn cancel(&self) -> Result<(), TransportError> {
        self.0.cancel()
    }
}
