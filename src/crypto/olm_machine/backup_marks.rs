//! Decides which delivered keys are marked as backed up. The machine uploads every key that lacks the mark, and none
//! that has it.
//!
//! A store on SQLite has one mark for each key, whichever backup it was made for. A mark too many is a key that never
//! reaches the user's backup; a mark too few costs one upload. So in doubt, none is made.

use std::sync::Mutex;

use matrix_sdk_crypto::{
    OlmMachine,
    store::{CryptoStore, CryptoStoreError, Store, types::BackupKeys},
};
use ruma::{OwnedRoomId, RoomId};

use crate::{backup::BackupOrigin, crypto::BackupTarget, locked::locked};

/// The backup that a machine uploads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UploadTarget {
    version: String,
    /// Unpadded base64.
    public_key: String,
}

impl UploadTarget {
    /// Returns `None` also if the target cannot be determined; then nothing may be marked.
    pub(super) async fn of(machine: &OlmMachine) -> Option<Self> {
        let backups = machine.backup_machine();
        let version = backups.backup_version().await?;
        Self::new(version, backups.get_backup_keys().await.ok()?)
    }

    /// Derives the public key from the private one that the store keeps with its version, because the machine does
    /// not expose the public key that it encrypts to.
    fn new(version: String, stored: BackupKeys) -> Option<Self> {
        let key = stored.decryption_key?;
        (stored.backup_version.as_ref() == Some(&version)).then(|| Self {
            public_key: key.megolm_v1_public_key().to_base64(),
            version,
        })
    }
}

impl From<UploadTarget> for BackupTarget {
    fn from(target: UploadTarget) -> Self {
        Self {
            version: target.version,
            public_key: target.public_key,
        }
    }
}

/// Whether a key of this origin is in the backup that the machine uploads to.
fn may_be_marked(target: Option<&UploadTarget>, origin: &BackupOrigin) -> bool {
    target.is_some_and(|target| {
        origin.is_current && origin.version == target.version && origin.public_key == target.public_key
    })
}

/// The marks of one delivery.
pub(super) struct BackupMarks {
    target: Option<UploadTarget>,
    /// Sessions that have been marked, or are about to be.
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

    /// Returns the version to pass to the store with a session that is saved with the mark; `None` without the mark.
    pub(super) fn version_if(&self, marked: bool) -> Option<&str> {
        self.target
            .as_ref()
            .filter(|_| marked)
            .map(|target| target.version.as_str())
    }

    /// Notes a session that will be saved with the mark. Called before saving, because the store may take the session
    /// and then fail.
    pub(super) fn note(&self, room_id: &RoomId, session_id: &str) {
        locked(&self.made).push((room_id.to_owned(), session_id.to_owned()));
    }

    /// Marks sessions that the store has exactly as the backup has them, and clears the list.
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

    /// Removes the marks if the machine now uploads to another backup, which may not have the keys.
    ///
    /// A later change of the backup resets all marks, including these.
    pub(super) async fn settle(&self, machine: &OlmMachine) -> Result<(), CryptoStoreError> {
        let made = std::mem::take(&mut *locked(&self.made));
        if made.is_empty() || UploadTarget::of(machine).await == self.target {
            return Ok(());
        }
        let store = machine.store();
        for (room_id, session_id) in made {
            if let Some(session) = store.get_inbound_group_session(&room_id, &session_id).await?
                && session.backed_up()
            {
                session.reset_backup_state();
                // One at a time: a copy that arrives between reading and saving would be overwritten.
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
    fn a_target_needs_the_stored_version_and_its_key() {
        let target = |stored| UploadTarget::new("2".to_owned(), stored);
        let found = target(stored(Some("2"), Some(1))).expect("a target");
        assert_eq!((found.version, found.public_key), ("2".to_owned(), public_key(1)));
        assert_eq!(target(stored(Some("1"), Some(1))), None);
        assert_eq!(target(stored(None, Some(1))), None);
        assert_eq!(target(stored(Some("2"), None)), None);
    }

    #[test]
    fn only_a_key_of_that_very_backup_may_be_marked() {
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
