//! The decryption keys in memory, one per backup version.
//!
//! Who holds them: the client. With a sealed vault they are read from it when a run or a look-up begins, and dropped
//! when it ends. Without one they stay until the client is shut down, as there is nowhere else to have them from.

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    backup::decryption::BackupDecryptionKey,
    secret::KeyBytes,
    vault::{Connection, VaultError},
};

/// Decryption keys by the row id of their version.
#[derive(Default)]
pub(crate) struct DecryptionKeys {
    by_version: RwLock<HashMap<i64, Arc<BackupDecryptionKey>>>,
    changes: AtomicU64,
}

impl DecryptionKeys {
    pub(crate) fn get(&self, version: i64) -> Option<Arc<BackupDecryptionKey>> {
        self.by_version.read().ok()?.get(&version).cloned()
    }

    pub(crate) fn has(&self, version: i64) -> bool {
        self.by_version.read().is_ok_and(|keys| keys.contains_key(&version))
    }

    /// A key with this public half, of whichever version: a backup may be made anew with the same key.
    pub(crate) fn with_public_key(&self, public_key: &[u8; 32]) -> Option<Arc<BackupDecryptionKey>> {
        self.by_version
            .read()
            .ok()?
            .values()
            .find(|key| key.public_key() == public_key)
            .cloned()
    }

    /// Rises with every key that is added.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    pub(crate) fn insert(&self, version: i64, key: &KeyBytes) {
        if let Ok(mut keys) = self.by_version.write()
            && keys
                .insert(version, Arc::new(BackupDecryptionKey::from_bytes(key)))
                .is_none()
        {
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

    /// A set of its own for a piece of work, so that a run that ends meanwhile does not take its keys away.
    pub(crate) fn snapshot(&self, connection: &Connection) -> Result<Self, VaultError> {
        let snapshot = Self::default();
        if let (Ok(mut own), Ok(shared)) = (snapshot.by_version.write(), self.by_version.read()) {
            own.clone_from(&shared);
        }
        snapshot.load(connection)?;
        Ok(snapshot)
    }

    /// Drops every key.
    pub(crate) fn clear(&self) {
        if let Ok(mut keys) = self.by_version.write() {
            keys.clear();
        }
    }
}
