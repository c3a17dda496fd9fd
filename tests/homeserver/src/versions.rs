//! The backup versions, and what other clients do to them.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Config, ServerKind, Truth, account::BackupKey, misbehave::Lies, store::Store, uploads::Uploads};

/// What another client does to the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionAction {
    /// Deletes the current version, or the newest one if none is current. The version before it, if any, becomes
    /// current again, except on Dendrite, where no version is current until the next one is created.
    Delete,
    /// Deletes the oldest version.
    DeleteOldest,
    /// Creates a version with a new key and without entries. Secret storage keeps the old key.
    New,
    /// Creates a version with the same key and the same entries.
    NewWithKeys,
    /// Creates a version with a new key and encrypts the same room keys to it. Secret storage keeps the old key.
    /// No request is answered until all entries are encrypted.
    NewWithOtherKey,
    /// Updates the current version with the `auth_data` that it already has. This changes the etag on all servers but
    /// Synapse and Dendrite, and repairs the damage of [`Self::EmptyUpload`].
    TouchAuthData,
    /// Uploads an empty set of keys to the current version. From then on, Dendrite answers 500 when it is asked to
    /// describe the version, although its keys can still be read. On other servers nothing changes.
    EmptyUpload,
}

/// The backup versions, oldest first.
pub(crate) struct Versions {
    kind: ServerKind,
    list: Vec<Version>,
    /// The version that existed at the start. It is kept after its deletion, for [`VersionAction::NewWithKeys`].
    first: Version,
    next: u64,
    seed: u64,
}

/// One backup version.
#[derive(Clone)]
pub(crate) struct Version {
    number: u64,
    /// The key, if it is one of this homeserver's making.
    pub key: Option<BackupKey>,
    auth_data: Value,
    /// The account's keys, encrypted to this version's key, if any were ever put into it.
    pub store: Option<Arc<Store>>,
    /// How many of those keys, counted from the first, are in this version.
    pub count: u64,
    /// What clients have put into it, shared by the copies of this object.
    uploads: Arc<Mutex<Uploads>>,
    /// How often the etag changed without a change of the keys that it had from the start.
    touches: u64,
    /// Whether the server cannot describe the version, because its `auth_data` is gone.
    auth_data_is_lost: bool,
}

impl Versions {
    pub(crate) fn new(key: BackupKey, truth: &Truth, config: &Config) -> io::Result<Self> {
        let count = truth.len().saturating_sub(config.held_back);
        let first = Version::with_entries(config.first_version, key, truth, config.seed, count)?;
        Ok(Self {
            kind: config.server,
            list: vec![first.clone()],
            first,
            next: config.first_version + 1,
            seed: config.seed,
        })
    }

    pub(crate) fn current(&self) -> Option<Version> {
        let position = self.current_position()?;
        Some(self.list[position].clone())
    }

    /// Returns the numbers of all versions, oldest first.
    pub(crate) fn numbers(&self) -> Vec<String> {
        self.list.iter().map(Version::number).collect()
    }

    pub(crate) fn find(&self, number: &str) -> Option<Version> {
        let version = self.list.iter().find(|version| version.number.to_string() == number);
        version.cloned()
    }

    /// Returns the version as `/room_keys/version` describes it, or `None` if the server cannot describe it.
    pub(crate) fn describe(&self, version: &Version, lies: &Lies) -> Option<Value> {
        (!version.auth_data_is_lost).then(|| {
            serde_json::json!({
                "auth_data": version.auth_data,
                "version": version.number.to_string(),
                "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
                "etag": lies.etag.clone().unwrap_or_else(|| self.etag(version)),
                "count": lies.count.unwrap_or_else(|| self.count(version)),
            })
        })
    }

    pub(crate) fn change(&mut self, action: VersionAction, truth: &Truth) -> io::Result<()> {
        let number = self.next;
        let foreign = || BackupKey::foreign(self.seed, number);
        let version = match action {
            VersionAction::Delete => {
                let newest = self.list.len().checked_sub(1);
                if let Some(position) = self.current_position().or(newest) {
                    self.list.remove(position);
                }
                return Ok(());
            }
            VersionAction::DeleteOldest => {
                if !self.list.is_empty() {
                    self.list.remove(0);
                }
                return Ok(());
            }
            VersionAction::TouchAuthData | VersionAction::EmptyUpload => {
                if let Some(position) = self.current_position() {
                    self.list[position].update(action, self.kind);
                }
                return Ok(());
            }
            VersionAction::New => Version::new(number, foreign())?,
            VersionAction::NewWithKeys => Version {
                number,
                uploads: Arc::new(Mutex::new(Uploads::new()?)),
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

    /// Puts all keys into every version that has entries.
    pub(crate) fn release(&mut self, all: u64) {
        for version in self.list.iter_mut().chain([&mut self.first]) {
            if version.store.is_some() {
                version.count = all;
            }
        }
    }

    /// Creates a version as a client does, and returns its number.
    pub(crate) fn create(&mut self, auth_data: Value) -> io::Result<String> {
        let version = Version::empty(self.next, None, auth_data)?;
        self.next += 1;
        let number = version.number();
        self.list.push(version);
        Ok(number)
    }

    /// Gives a version other `auth_data`. Returns false if there is no such version.
    pub(crate) fn update_auth_data(&mut self, number: &str, auth_data: Value) -> bool {
        let kind = self.kind;
        self.change_one(number, |version| {
            version.auth_data = auth_data;
            version.update(VersionAction::TouchAuthData, kind);
        })
    }

    /// Deletes a version. Returns false if there is no such version.
    pub(crate) fn delete(&mut self, number: &str) -> bool {
        let before = self.list.len();
        self.list.retain(|version| version.number() != number);
        self.list.len() < before
    }

    /// Notes that an upload has changed something, or that it had no keys. Returns the count and the etag.
    pub(crate) fn note_upload(&mut self, number: &str, has_changed: bool, is_empty: bool) -> Option<(u64, String)> {
        let kind = self.kind;
        self.change_one(number, |version| {
            if is_empty {
                version.update(VersionAction::EmptyUpload, kind);
            }
            version.touches += u64::from(has_changed && kind.moves_etag_with_keys());
        });
        let version = self.find(number)?;
        Some((self.count(&version), self.etag(&version)))
    }

    fn change_one(&mut self, number: &str, change: impl FnOnce(&mut Version)) -> bool {
        let version = self.list.iter_mut().find(|version| version.number() == number);
        version.map(change).is_some()
    }

    fn current_position(&self) -> Option<usize> {
        if self.kind.sorts_versions_as_text() {
            return (0..self.list.len()).max_by_key(|position| self.list[*position].number.to_string());
        }
        let newest = self.list.len().checked_sub(1)?;
        let was_deleted = self.list[newest].number + 1 < self.next;
        let none = was_deleted && self.kind.remembers_that_the_newest_version_was_deleted();
        (!none).then_some(newest)
    }

    fn count(&self, version: &Version) -> u64 {
        if !self.kind.counts_versions_that_begin_alike() {
            return version.all_count();
        }
        let number = version.number.to_string();
        let alike = |other: &&Version| other.number.to_string().starts_with(&number);
        self.list.iter().filter(alike).map(Version::all_count).sum()
    }

    fn etag(&self, version: &Version) -> String {
        if version.all_count() == 0 && self.kind.has_empty_etag_without_keys() {
            return String::new();
        }
        let by_keys = if self.kind.moves_etag_with_keys() {
            version.count
        } else {
            0
        };
        (by_keys + version.touches).to_string()
    }
}

impl Version {
    fn new(number: u64, key: BackupKey) -> io::Result<Self> {
        let auth_data = key.auth_data.clone();
        Self::empty(number, Some(key), auth_data)
    }

    fn empty(number: u64, key: Option<BackupKey>, auth_data: Value) -> io::Result<Self> {
        Ok(Self {
            number,
            key,
            auth_data,
            store: None,
            count: 0,
            uploads: Arc::new(Mutex::new(Uploads::new()?)),
            touches: 0,
            auth_data_is_lost: false,
        })
    }

    /// Returns what clients have put into it.
    pub(crate) fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn auth_data(&self) -> &Value {
        &self.auth_data
    }

    pub(crate) fn number(&self) -> String {
        self.number.to_string()
    }

    fn all_count(&self) -> u64 {
        self.count + self.uploads().new_count()
    }

    fn with_entries(number: u64, key: BackupKey, truth: &Truth, seed: u64, count: u64) -> io::Result<Self> {
        let store = Store::new(truth, seed, key.public())?;
        Ok(Self {
            store: Some(Arc::new(store)),
            count,
            ..Self::new(number, key)?
        })
    }

    fn update(&mut self, action: VersionAction, kind: ServerKind) {
        self.auth_data_is_lost = match action {
            VersionAction::EmptyUpload => self.auth_data_is_lost || kind.loses_auth_data_to_an_empty_upload(),
            _ => false,
        };
        self.touches += u64::from(action == VersionAction::TouchAuthData && kind.moves_etag_with_auth_data());
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
    fn deleting_the_oldest_version_leaves_the_current_one() {
        let (truth, mut versions) = three_keys(0);
        let mut change = |action| {
            versions.change(action, &truth).expect("the file can be written");
            versions.list.iter().map(|version| version.number).collect::<Vec<_>>()
        };
        assert_eq!(change(VersionAction::New), [1, 2]);
        assert_eq!(change(VersionAction::DeleteOldest), [2]);
        assert_eq!(change(VersionAction::DeleteOldest), [0; 0]);
        assert_eq!(change(VersionAction::DeleteOldest), [0; 0]);
        for action in [VersionAction::TouchAuthData, VersionAction::EmptyUpload] {
            assert_eq!(change(action), [0; 0]);
        }
        assert_eq!(change(VersionAction::New), [3]);
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
