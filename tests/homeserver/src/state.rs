//! The state that the connections share, and the part of it that changes while the homeserver runs.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    Fault, ServerKind, Truth, VersionAction, account::AccountInfo, counts::Counters, limit::Limit, pace::Link,
    versions::Versions,
};

/// Everything that the connections share.
pub(crate) struct Shared {
    pub truth: Truth,
    pub info: AccountInfo,
    pub kind: ServerKind,
    pub bad_room_id: bool,
    pub joined_rooms: u64,
    pub most_body: usize,
    pub latency_ms: u64,
    pub link: Link,
    pub limit: Limit,
    pub counters: Counters,
    pub stop: Notify,
    pub mutable: Mutex<Mutable>,
}

impl Shared {
    pub(crate) fn mutable(&self) -> MutexGuard<'_, Mutable> {
        self.mutable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change_version(&self, action: VersionAction) -> io::Result<()> {
        self.mutable().versions.change(action, &self.truth)
    }

    pub(crate) fn release_held_back(&self) {
        self.mutable().versions.release(self.truth.len());
    }
}

/// The part that requests and tests change.
pub(crate) struct Mutable {
    pub faults: Vec<Fault>,
    pub access_token: String,
    pub soft_logout: bool,
    pub account_data: BTreeMap<String, Value>,
    pub versions: Versions,
}
