//! The decryption keys in memory, one per backup version.
//!
//! The client owns them. With a sealed vault they are read from the vault when a run or a look-up begins and dropped
//! when it ends; a new key stays until the next run has ended. Without a sealed vault they stay until the client is
//! shut down, because they are stored nowhere else.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    backup::decryption::BackupDecryptionKey,
    ids::VersionRowId,
    locked::locked,
    secret::KeyBytes,
    vault::{Connection, VaultError, VersionRow},
};

/// The decryption keys, by the row id of their backup version.
#[derive(Default)]
pub(crate) struct DecryptionKeys {
    by_version: Mutex<HashMap<VersionRowId, Arc<BackupDecryptionKey>>>,
    changes: AtomicU64,
}

impl DecryptionKeys {
    pub(crate) fn get(&self, version: VersionRowId) -> Option<Arc<BackupDecryptionKey>> {
        locked(&self.by_version).get(&version).cloned()
    }

    pub(crate) fn has(&self, version: VersionRowId) -> bool {
        locked(&self.by_version).contains_key(&version)
    }

    /// Whether the entries of that version can be opened with a key from memory or from the vault.
    pub(crate) fn can_open(&self, version: &VersionRow) -> bool {
        version.has_key || self.has(version.id)
    }

    /// Returns a known key that also fits a version that has not been unlocked: a backup may be created again with
    /// the key of an earlier one.
    pub(crate) fn known_for(
        &self,
        version: &VersionRow,
        connection: &Connection,
    ) -> Result<Option<Arc<BackupDecryptionKey>>, VaultError> {
        match version.public_key {
            Some(public_key) if !self.can_open(version) => Ok(self.snapshot(connection)?.with_public_key(&public_key)),
            _ => Ok(None),
        }
    }

    /// Returns a number that increases with every key that is added.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    pub(crate) fn insert(&self, version: VersionRowId, key: &KeyBytes) {
        let key = Arc::new(BackupDecryptionKey::from_bytes(key));
        let known = locked(&self.by_version).insert(version, key);
        if known.is_none() {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Adds the keys that the vault keeps.
    pub(crate) fn load(&self, connection: &Connection) -> Result<(), VaultError> {
        for (version, key) in connection.decryption_keys()? {
            if !self.has(version) {
                self.insert(version, &key);
            }
        }
        Ok(())
    }

    /// Returns a separate set of keys for one piece of work, so that a run that ends in the meantime does not take
    /// its keys away.
    pub(crate) fn snapshot(&self, connection: &Connection) -> Result<Self, VaultError> {
        let snapshot = Self {
            by_version: Mutex::new(locked(&self.by_version).clone()),
            changes: AtomicU64::default(),
        };
        snapshot.load(connection)?;
        Ok(snapshot)
    }

    /// Drops every key.
    pub(crate) fn clear(&self) {
        locked(&self.by_version).clear();
    }

    fn with_public_key(&self, public_key: &[u8; 32]) -> Option<Arc<BackupDecryptionKey>> {
        let keys = locked(&self.by_version);
        keys.values().find(|key| key.public_key() == public_key).cloned()
    }
}
