//! What can change while the homeserver runs.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    Config, Fault, Truth,
    account::{self, AccountInfo, BackupKey},
    counts::Counters,
    misbehave::Lies,
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
    /// Creates a version with a new key and with entries of its own for the same room keys. Secret storage keeps the
    /// old key. Until all entries are encrypted, nothing is answered.
    NewWithOtherKey,
}

/// All that the connections share.
pub(crate) struct Shared {
    pub truth: Truth,
    pub info: AccountInfo,
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

/// The backup versions, oldest first.
pub(crate) struct Versions {
    list: Vec<Version>,
    /// The one that was there at the start. It outlives its deletion, for [`VersionAction::NewWithKeys`].
    first: Version,
    next: u64,
    seed: u64,
}

/// One backup version.
#[derive(Clone)]
pub(crate) struct Version {
    number: u64,
    pub key: BackupKey,
    /// The account's keys, encrypted to this version's key, if any were ever put into it.
    pub store: Option<Arc<Store>>,
    /// How many of them, counted from the first, are in it.
    pub count: u64,
}

impl Versions {
    pub(crate) fn new(key: BackupKey, truth: &Truth, config: &Config) -> io::Result<Self> {
        let count = truth.len().saturating_sub(config.held_back);
        let first = Version::with_entries(account::FIRST_VERSION, key, truth, config.seed, count)?;
        Ok(Self {
            list: vec![first.clone()],
            first,
            next: account::FIRST_VERSION + 1,
            seed: config.seed,
        })
    }

    pub(crate) fn current(&self) -> Option<Version> {
        self.list.last().cloned()
    }

    pub(crate) fn find(&self, number: &str) -> Option<Version> {
        let version = self.list.iter().find(|version| version.number.to_string() == number);
        version.cloned()
    }

    fn change(&mut self, action: VersionAction, truth: &Truth) -> io::Result<()> {
        let number = self.next;
        let foreign = || BackupKey::foreign(self.seed, number);
        let version = match action {
            VersionAction::Delete => {
                self.list.pop();
                return Ok(());
            }
            VersionAction::New => Version {
                number,
                key: foreign(),
                store: None,
                count: 0,
            },
            VersionAction::NewWithKeys => Version {
                number,
                ..self.first.clone()
            },
            VersionAction::NewWithOtherKey => {
                Version::with_entries(number, foreign(), truth, self.seed, self.first.count)?
            }
        };
        self.list.push(version);
        self.next += 1;
        Ok(())
    }

    /// Lets the versions that have entries have all of them.
    fn release(&mut self, all: u64) {
        for version in self.list.iter_mut().chain([&mut self.first]) {
            if version.store.is_some() {
                version.count = all;
            }
        }
    }
}

impl Version {
    fn with_entries(number: u64, key: BackupKey, truth: &Truth, seed: u64, count: u64) -> io::Result<Self> {
        let store = Store::new(truth, seed, key.public())?;
        Ok(Self {
            number,
            key,
            store: Some(Arc::new(store)),
            count,
        })
    }

    /// The version as `/room_keys/version` shows it.
    pub(crate) fn describe(&self, lies: &Lies) -> Value {
        serde_json::json!({
            "auth_data": self.key.auth_data,
            "version": self.number.to_string(),
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "etag": lies.etag.clone().unwrap_or_else(|| self.count.to_string()),
            "count": lies.count.unwrap_or(self.count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{VersionAction, Versions};
    use crate::{Config, Truth, account::Account};

    fn three_keys(held_back: u64) -> (Truth, Versions) {
        let config = Config {
            keys: 3,
            held_back,
            ..Config::default()
        };
        let truth = Truth::new(&config);
        let key = Account::new(&config, "").backup_key;
        let versions = Versions::new(key, &truth, &config).expect("the file can be written");
        (truth, versions)
    }

    #[test]
    fn deleting_the_current_version_brings_the_previous_one_back() {
        let (truth, mut versions) = three_keys(0);
        let mut change = |action| {
            versions.change(action, &truth).expect("the file can be written");
            (versions.current(), versions.find("1"))
        };
        let (current, first) = change(VersionAction::New);
        assert!(current.is_some_and(|version| version.number == 2 && version.count == 0));
        assert!(first.is_some_and(|version| version.count == 3));
        let (current, _) = change(VersionAction::Delete);
        assert!(current.is_some_and(|version| version.number == 1));
        let (current, first) = change(VersionAction::Delete);
        assert!(current.is_none() && first.is_none());
        let (current, _) = change(VersionAction::NewWithKeys);
        assert!(current.is_some_and(|version| version.number == 3 && version.count == 3));
    }

    #[test]
    fn held_back_keys_are_released_into_every_version_with_entries() {
        let (truth, mut versions) = three_keys(2);
        for action in [
            VersionAction::New,
            VersionAction::NewWithKeys,
            VersionAction::NewWithOtherKey,
        ] {
            versions.change(action, &truth).expect("the file can be written");
        }
        let counts = |versions: &Versions| versions.list.iter().map(|version| version.count).collect::<Vec<_>>();
        assert_eq!(counts(&versions), [1, 0, 1, 1]);
        versions.release(truth.len());
        assert_eq!(counts(&versions), [3, 0, 3, 3]);
        for action in [VersionAction::NewWithKeys, VersionAction::NewWithOtherKey] {
            versions.change(action, &truth).expect("the file can be written");
        }
        assert_eq!(counts(&versions), [3, 0, 3, 3, 3, 3]);
    }
}
