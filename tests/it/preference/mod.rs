//! The backup preference: what a sign-in decides, what is written and when, and what the host is told.

mod notices;
mod setting;
mod sign_in;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use keyferry::{
    AccountDataEvent, DeterminedPolicy, HttpExchange, HttpHead, HttpMethod, HttpRequest, KeyBackupClient,
    PendingReason, PreferencePolicy, PreferenceWrite, TransportError, UndeterminedPolicy,
};
use serde_json::Value;

use crate::support::{
    Setup,
    transport::{HookedTransport, Hooks},
};

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
pub(super) async fn open_over(
    setup: &Setup,
    policy: PreferencePolicy,
    transport: HookedTransport<Meddling>,
) -> Arc<KeyBackupClient> {
    let mut options = setup.options();
    options.preference = Some(policy);
    setup
        .open_over(options, Arc::new(transport))
        .await
        .expect("the client opens")
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

type BeforeRequest = dyn Fn(&HttpRequest) -> Result<(), TransportError> + Send + Sync;

/// Looks at every request before it is made, and can refuse it.
pub(super) struct Meddling(Box<BeforeRequest>);

impl Hooks for Meddling {
    fn before(&self, request: &HttpRequest) -> Result<(), TransportError> {
        (self.0)(request)
    }
}

/// Returns a transport that shows every request before it is made, and does not make those that are refused.
pub(super) fn meddling(
    before: impl Fn(&HttpRequest) -> Result<(), TransportError> + Send + Sync + 'static,
) -> HookedTransport<Meddling> {
    HookedTransport::new(Meddling(Box::new(before)))
}

/// Returns a transport without a network.
pub(super) fn without_network() -> HookedTransport<Meddling> {
    meddling(|_| Err(TransportError::Offline))
}

/// Loses the answer to the first write, which reaches the server.
#[derive(Default)]
pub(super) struct LosesAnAnswer {
    has_lost: AtomicBool,
}

#[async_trait]
impl Hooks for LosesAnAnswer {
    async fn head(&self, request: &HttpRequest, answer: &dyn HttpExchange) -> Result<HttpHead, TransportError> {
        let is_lost = request.method == HttpMethod::Put && !self.has_lost.swap(true, Ordering::SeqCst);
        let head = answer.head().await?;
        // An error that is not retried at once.
        if is_lost {
            Err(TransportError::Offline)
        } else {
            Ok(head)
        }
    }
}
