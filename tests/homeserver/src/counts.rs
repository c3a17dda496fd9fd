//! Counts requests and the bytes sent in answer to them.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::EndpointKind;

/// Requests since the start or since the last reset, without control requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Requests by kind, whatever their outcome. Kinds without requests are missing.
    pub by_endpoint: BTreeMap<EndpointKind, u64>,
    /// Requests without a valid access token. They are also counted in `by_endpoint`.
    pub unauthorized: u64,
    /// Body bytes handed to the network, without chunk framing.
    pub body_bytes: u64,
    /// The highest number of requests being answered at the same time.
    pub most_at_once: u64,
}

impl RequestCounts {
    /// Returns the number of requests of one kind.
    pub fn of(&self, endpoint: EndpointKind) -> u64 {
        self.by_endpoint.get(&endpoint).copied().unwrap_or(0)
    }

    /// Returns the number of requests of all kinds.
    pub fn total(&self) -> u64 {
        self.by_endpoint.values().sum()
    }
}

/// The counters behind [`RequestCounts`].
#[derive(Default)]
pub(crate) struct Counters {
    requests: Mutex<Requests>,
    body_bytes: AtomicU64,
}

#[derive(Default)]
struct Requests {
    by_endpoint: BTreeMap<EndpointKind, u64>,
    unauthorized: u64,
    now: u64,
    most_at_once: u64,
}

/// One request that is being answered.
pub(crate) struct Answering<'a>(&'a Counters);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.with(|requests| requests.now -= 1);
    }
}

impl Counters {
    pub(crate) fn begin(&self, endpoint: EndpointKind) -> Answering<'_> {
        self.with(|requests| {
            *requests.by_endpoint.entry(endpoint).or_default() += 1;
            requests.now += 1;
            requests.most_at_once = requests.most_at_once.max(requests.now);
        });
        Answering(self)
    }

    pub(crate) fn unauthorized(&self) {
        self.with(|requests| requests.unauthorized += 1);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        // Relaxed is enough: nothing else depends on this sum.
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> RequestCounts {
        self.with(|requests| RequestCounts {
            by_endpoint: requests.by_endpoint.clone(),
            unauthorized: requests.unauthorized,
            body_bytes: self.body_bytes.load(Ordering::Relaxed),
            most_at_once: requests.most_at_once,
        })
    }

    pub(crate) fn reset(&self) {
        self.with(|requests| {
            *requests = Requests {
                now: requests.now,
                most_at_once: requests.now,
                ..Requests::default()
            };
            self.body_bytes.store(0, Ordering::Relaxed);
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut Requests) -> T) -> T {
        look(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
