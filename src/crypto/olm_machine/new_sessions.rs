//! Saves sessions that the store does not have, without looking for each of them again and without announcing them.
//!
//! `Store::import_room_keys` looks every session up, builds maps of all of them for its report and its log, and then
//! saves them. Where a session is known to be absent, only the saving is left.

use matrix_sdk_crypto::{
    olm::{ExportedRoomKey, InboundGroupSession},
    store::{CryptoStore, CryptoStoreError, Store},
};

use super::backup_marks::BackupMarks;

/// Sessions to be saved together.
#[derive(Default)]
pub(super) struct NewSessions {
    /// Sessions that the backup, to which the machine uploads, has already.
    marked: Vec<InboundGroupSession>,
    unmarked: Vec<InboundGroupSession>,
}

impl NewSessions {
    /// Adds the session of a key. Returns false if the store cannot read it.
    pub(super) fn add(&mut self, key: &ExportedRoomKey, marked: bool) -> bool {
        let Ok(session) = InboundGroupSession::from_export(key) else {
            return false;
        };
        if marked {
            session.mark_as_backed_up();
            self.marked.push(session);
        } else {
            self.unmarked.push(session);
        }
        true
    }

    /// Saves the sessions, in one transaction unless only some of them are marked.
    pub(super) async fn save(self, store: &Store, marks: &BackupMarks) -> Result<(), CryptoStoreError> {
        for session in &self.marked {
            marks.note(session.room_id(), session.session_id());
        }
        for (mut sessions, marked) in [(self.unmarked, false), (self.marked, true)] {
            if sessions.is_empty() {
                continue;
            }
            // The store has an index by sender and session: consecutive rows then fall on the same page of it.
            sessions.sort_unstable_by(|one, other| {
                let sender = |session: &InboundGroupSession| session.sender_key().to_bytes();
                (sender(one), one.session_id()).cmp(&(sender(other), other.session_id()))
            });
            CryptoStore::save_inbound_group_sessions(&**store, sessions, marks.version_if(marked)).await?;
        }
        Ok(())
    }
}
