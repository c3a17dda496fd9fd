//! What can change while the homeserver runs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    Fault, Truth,
    account::{self, AccountInfo},
    counts::Counters,
    pace::Link,
    store::Store,
};

/// What another client does to the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionAction {
    /// Deletes the current version; the one before it becomes current again, if there is one.
    Delete,
    /// Creates a version with a new key and without entries. Secret storage keeps the old key.
    New,
    /// Creates a version with the same key and the same entries.
    NewWithKeys,
}

/// All that the connections share.
pub(crate) struct Shared {
    pub truth: Truth,
    pub store: Store,
    pub info: AccountInfo,
    pub auth_data: Value,
    pub seed: u64,
    pub joined_rooms: u64,
    pub latency_ms: u64,
    pub link: Link,
    pub counters: Counters,
    pub stop: Notify,
    pub mutable: Mutex<Mutable>,
}

impl Shared {
    pub(crate) fn mutable(&self) -> MutexGuard<'_, Mutable> {
        self.mutable.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The backup versions, oldest first.
pub(crate) struct Versions {
    list: Vec<Version>,
    next: u64,
}

/// One backup version.
#[derive(Clone, Copy)]
pub(crate) struct Version {
    number: u64,
    /// Whether the account's keys lie in it, encrypted to the account's backup key.
    pub own: bool,
}

impl Versions {
    pub(crate) fn new() -> Self {
        let first = Version {
            number: account::FIRST_VERSION,
            own: true,
        };
        Self {
            list: vec![first],
            next: account::FIRST_VERSION + 1,
        }
    }

    pub(crate) fn current(&self) -> Option<Version> {
        self.list.last().copied()
    }

    pub(crate) fn find(&self, number: &str) -> Option<Version> {
        let version = self.list.iter().find(|version| version.number.to_string() == number);
        version.copied()
    }

    pub(crate) fn change(&mut self, action: VersionAction) {
        let own = match action {
            VersionAction::Delete => {
                self.list.pop();
                return;
            }
            VersionAction::New => false,
            VersionAction::NewWithKeys => true,
        };
        let number = self.next;
        self.list.push(Version { number, own });
        self.next += 1;
    }
}

impl Version {
    /// The version as `/room_keys/version` shows it.
    pub(crate) fn describe(self, shared: &Shared, wrong_count: Option<u64>) -> Value {
        let (auth_data, count) = if self.own {
            (shared.auth_data.clone(), shared.truth.len())
        } else {
            (account::foreign_auth_data(shared.seed, self.number), 0)
        };
        serde_json::json!({
            "auth_data": auth_data,
            "version": self.number.to_string(),
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "etag": count.to_string(),
            "count": wrong_count.unwrap_or(count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{VersionAction, Versions};

    #[test]
    fn deleting_the_current_version_brings_the_previous_one_back() {
        let mut versions = Versions::new();
        versions.change(VersionAction::New);
        assert!(versions.current().is_some_and(|version| !version.own));
        assert!(versions.find("1").is_some_and(|version| version.own));
        versions.change(VersionAction::Delete);
        assert!(versions.current().is_some_and(|version| version.own));
        assert!(versions.find("2").is_none());
        versions.change(VersionAction::Delete);
        assert!(versions.current().is_none());
        versions.change(VersionAction::NewWithKeys);
        assert!(versions.find("3").is_some_and(|version| version.own));
    }
}
