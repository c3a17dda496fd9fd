//! Which delivered keys count as backed up: the machine uploads every key without that mark, and none that has it.
//!
//! A store on SQLite has one mark for a key, whichever backup it was made for. So one that is made too much is a key that
//! never reaches the user's backup; one too few costs an upload. In doubt there is none.

use std::sync::Mutex;

use matrix_sdk_crypto::{
    OlmMachine,
    store::{CryptoStore, CryptoStoreError, Store, types::BackupKeys},
};
use ruma::{OwnedRoomId, RoomId};

use crate::backup::BackupOrigin;

/// The backup that a machine uploads to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UploadTarget {
    version: String,
    /// Unpadded base64.
    public_key: String,
}

impl UploadTarget {
    /// `None` also where that cannot be told: then nothing may be marked.
    async fn of(machine: &OlmMachine) -> Option<Self> {
        let backups = machine.backup_machine();
        let version = backups.backup_version().await?;
        Self::new(version, backups.get_backup_keys().await.ok()?)
    }

    /// The machine does not tell the public key that it encrypts to, but the store has the private one with its version.
    fn new(version: String, stored: BackupKeys) -> Option<Self> {
        let key = stored.decryption_key?;
        (stored.backup_version.as_ref() == Some(&version)).then(|| Self {
            public_key: key.megolm_v1_public_key().to_base64(),
            version,
        })
    }
}

/// Whether what came from there is in the backup that the machine uploads to.
fn may_be_marked(target: Option<&UploadTarget>, origin: &BackupOrigin) -> bool {
    target.is_some_and(|target| {
        origin.is_current && origin.version == target.version && origin.public_key == target.public_key
    })
}

/// The marks of one delivery.
pub(super) struct BackupMarks {
    target: Option<UploadTarget>,
    /// What has been marked, or is about to be.
    made: Mutex<Vec<(OwnedRoomId, String)>>,
}

impl BackupMarks {
    pub(super) async fn for_delivery_to(machine: &OlmMachine) -> Self {
        Self {
            target: UploadTarget::of(machine).await,
            made: Mutex::default(),
        }
    }

    pub(super) fn may_be_made(&self, origin: &BackupOrigin) -> bool {
        may_be_marked(self.target.as_ref(), origin)
    }

    /// What the store is told of a session that is saved with the mark, or without.
    pub(super) fn version_if(&self, marked: bool) -> Option<&str> {
        self.target
            .as_ref()
            .filter(|_| marked)
            .map(|target| target.version.as_str())
    }

    /// Notes a session that will be saved with the mark: before that, as the store may take it and fail after.
    pub(super) fn note(&self, room_id: &RoomId, session_id: &str) {
        if let Ok(mut made) = self.made.lock() {
            made.push((room_id.to_owned(), session_id.to_owned()));
        }
    }

    /// Marks sessions that the store has as the backup has them, and forgets them.
    pub(super) async fn make(
        &self,
        store: &Store,
        sessions: &mut Vec<(OwnedRoomId, String)>,
    ) -> Result<(), CryptoStoreError> {
        let sessions = std::mem::take(sessions);
        let (Some(target), false) = (&self.target, sessions.is_empty()) else {
            return Ok(());
        };
        let names: Vec<_> = sessions.iter().map(|(room, session)| (&**room, &**session)).collect();
        names.iter().for_each(|(room, session)| self.note(room, session));
        store
            .mark_inbound_group_sessions_as_backed_up(&target.version, &names)
            .await
    }

    /// Takes the marks back if the machine uploads to another backup by now: that one may not have the keys.
    ///
    /// Whoever changes the backup later resets all marks by that, these too.
    pub(super) async fn settle(&self, machine: &OlmMachine) -> Result<(), CryptoStoreError> {
        let made = self.made.lock().map(|mut made| std::mem::take(&mut *made));
        let made = made.unwrap_or_default();
        if made.is_empty() || UploadTarget::of(machine).await == self.target {
            return Ok(());
        }
        let store = machine.store();
        for (room_id, session_id) in made {
            if let Some(session) = store.get_inbound_group_session(&room_id, &session_id).await?
                && session.backed_up()
            {
                session.reset_backup_state();
                // One at a time: what comes in between the two would be overwritten.
                CryptoStore::save_inbound_group_sessions(&**store, vec![session], None).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use matrix_sdk_crypto::store::types::BackupDecryptionKey;

    use super::*;

    fn stored(version: Option<&str>, key: Option<u8>) -> BackupKeys {
        BackupKeys {
            decryption_key: key.map(|byte| BackupDecryptionKey::from_bytes(&[byte; 32])),
            backup_version: version.map(str::to_owned),
        }
    }

    fn public_key(byte: u8) -> String {
        BackupDecryptionKey::from_bytes(&[byte; 32])
            .megolm_v1_public_key()
            .to_base64()
    }

    #[test]
    fn a_target_is_what_the_machine_uploads_to_with_a_key_of_that_version() {
        let target = |stored| UploadTarget::new("2".to_owned(), stored);
        let found = target(stored(Some("2"), Some(1))).expect("a target");
        assert_eq!((found.version, found.public_key), ("2".to_owned(), public_key(1)));
        assert_eq!(target(stored(Some("1"), Some(1))), None);
        assert_eq!(target(stored(None, Some(1))), None);
        assert_eq!(target(stored(Some("2"), None)), None);
    }

    #[test]
    fn only_what_is_in_that_very_backup_may_be_marked() {
        let target = UploadTarget::new("2".to_owned(), stored(Some("2"), Some(1)));
        let origin = |version: &str, key, is_current| BackupOrigin {
            version: version.to_owned(),
            public_key: public_key(key),
            is_current,
        };
        for (origin, may) in [
            (origin("2", 1, true), true),
            (origin("2", 1, false), false),
            (origin("1", 1, true), false),
            // Version numbers repeat.
            (origin("2", 3, true), false),
        ] {
            assert_eq!(may_be_marked(target.as_ref(), &origin), may, "{origin:?}");
            assert!(!may_be_marked(None, &origin), "{origin:?}");
        }
    }
}
