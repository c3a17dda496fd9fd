//! Looks up room keys in the vault, offline: for a message that is on screen and cannot be decrypted.
//!
//! The first look-up opens a connection and unseals the decryption keys. Both are kept for the next look-ups, which
//! then cost one decryption each. `close_lookups` and `shutdown` release both; the app must call one of them before
//! it is suspended.

mod in_room;
mod open_vault;
mod records;

pub use records::{KeyProof, RoomKeyLookup, RoomKeyPage};

use std::sync::{Arc, Mutex};

use in_room::{InRoom, Proved};
use open_vault::OpenVault;

use crate::{
    backup::{RoomKey, copies::Presence, ratchet::MegolmEvent, session_id::SessionId},
    blocking::blocking,
    decryption_keys::DecryptionKeys,
    ids::EntryId,
    job::{AccessError, Gate, PauseCause, Work},
    locked::locked,
    vault::{ListedEntry, StoredEntry, Vault},
};

/// Maximum number of keys in a page.
const MAX_PAGE: u32 = 1_000;

/// Makes look-ups, and keeps their connection open between them.
pub(crate) struct Lookup {
    vault: Vault,
    keys: Arc<DecryptionKeys>,
    gate: Gate,
    state: Mutex<LookupState>,
}

enum LookupState {
    Closed,
    Open(Box<OpenVault>),
    ShutDown,
}

impl Lookup {
    pub(crate) fn new(vault: Vault, keys: Arc<DecryptionKeys>, gate: Gate) -> Self {
        Self {
            vault,
            keys,
            gate,
            state: Mutex::new(LookupState::Closed),
        }
    }

    pub(crate) fn close(&self) {
        let mut state = locked(&self.state);
        if matches!(*state, LookupState::Open(_)) {
            *state = LookupState::Closed;
        }
    }

    pub(crate) fn shut_down(&self) {
        *locked(&self.state) = LookupState::ShutDown;
    }

    fn with<T>(&self, work: impl FnOnce(&OpenVault) -> Result<T, AccessError>) -> Result<T, AccessError> {
        let mut state = locked(&self.state);
        if matches!(*state, LookupState::Closed) {
            let open = OpenVault::new(self.vault.clone(), self.keys.clone())?;
            *state = LookupState::Open(Box::new(open));
        }
        match &*state {
            LookupState::Open(vault) => work(vault),
            LookupState::Closed | LookupState::ShutDown => Err(AccessError::ShutDown),
        }
    }

    pub(crate) fn find(&self, room_id: &str, session_id: &str) -> Result<RoomKeyLookup, AccessError> {
        self.with(|vault| self.find_in(vault, room_id, &SessionId::parse(session_id)))
    }

    fn find_in(&self, vault: &OpenVault, room_id: &str, id: &SessionId) -> Result<RoomKeyLookup, AccessError> {
        let copies = vault.connection.copies(room_id, id)?;
        let in_room = InRoom::of(vault, room_id, id, copies)?;
        in_room.answer()
    }

    /// Opens an entry that was just fetched and is not stored, and compares it with the copies in the vault.
    pub(crate) fn open_alone(&self, entry: &StoredEntry) -> Result<RoomKeyLookup, AccessError> {
        self.with(|vault| {
            let opened = vault.open(entry.version, &entry.room_id, &entry.session, &entry.body)?;
            let key = match opened {
                Ok(key) => key,
                Err(reason) => return Ok(RoomKeyLookup::Unusable { reason }),
            };
            let copies = vault.connection.copies(&entry.room_id, &entry.session)?;
            let is_rival = copies
                .iter()
                .any(|copy| copy.counts() && copy.presence != Presence::Here && !vault.continues(copy, &key));
            match is_rival {
                // The app's crypto has taken another key for this session.
                true => Ok(RoomKeyLookup::NotFound),
                false => Ok(RoomKeyLookup::Found {
                    key,
                    other_rooms: Vec::new(),
                }),
            }
        })
    }

    /// Checks whether an event proves one of the copies of a session, and notes that in the vault.
    fn prove(&self, room_id: &str, id: &SessionId, event: &MegolmEvent) -> Result<KeyProof, AccessError> {
        let proved = self.with(|vault| {
            let copies = vault.connection.copies(room_id, id)?;
            let in_room = InRoom::of(vault, room_id, id, copies)?;
            in_room.proved_by(vault, room_id, id, event)
        })?;
        match proved {
            Proved::By(entry) => {
                let mut connection = self.vault.connect()?;
                connection.prove(entry)?;
                Ok(KeyProof::Proved)
            }
            Proved::No => Ok(KeyProof::NotProved),
            Proved::NotHere => Ok(KeyProof::NotFound),
        }
    }

    fn room_keys(&self, room_id: &str, after: EntryId, limit: usize) -> Result<RoomKeyPage, AccessError> {
        self.with(|vault| {
            let page = vault.connection.room_entries(room_id, after, limit)?;
            let last = page.entries.last().map(|listed| listed.entry.id);
            let next = last.filter(|_| page.is_full);
            let mut keys = Vec::with_capacity(page.entries.len());
            let mut locked = false;
            for ListedEntry { entry, has_copies, .. } in &page.entries {
                let opened = match has_copies {
                    true => self.key_if_best_copy(vault, room_id, entry),
                    false => vault
                        .open(entry.version, room_id, &entry.session, &entry.body)
                        .map(Result::ok),
                };
                match opened {
                    Ok(key) => keys.extend(key),
                    // The version of this entry is not unlocked; others may be.
                    Err(AccessError::Locked) => locked = true,
                    Err(error) => return Err(error),
                }
            }
            if locked && keys.is_empty() && next.is_none() {
                return Err(AccessError::Locked);
            }
            Ok(RoomKeyPage {
                keys,
                next: next.map(|last| last.0),
            })
        })
    }

    /// Returns the key of an entry that has other copies, if this entry is the copy that look-ups return.
    fn key_if_best_copy(
        &self,
        vault: &OpenVault,
        room_id: &str,
        entry: &StoredEntry,
    ) -> Result<Option<RoomKey>, AccessError> {
        let copies = vault.connection.copies(room_id, &entry.session)?;
        let in_room = InRoom::of(vault, room_id, &entry.session, copies)?;
        Ok(in_room.best().filter(|(best, _)| *best == entry.id).map(|(_, key)| key))
    }

    /// Looks up the key of a session in a room.
    pub(crate) async fn find_room_key(
        self: &Arc<Self>,
        room_id: String,
        session_id: String,
    ) -> Result<RoomKeyLookup, AccessError> {
        self.look_up(move |lookup| lookup.find(&room_id, &session_id)).await
    }

    /// Returns at most `limit` keys of a room, from those after `after`.
    pub(crate) async fn page(
        self: &Arc<Self>,
        room_id: String,
        after: Option<i64>,
        limit: u32,
    ) -> Result<RoomKeyPage, AccessError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        self.look_up(move |lookup| lookup.room_keys(&room_id, EntryId(after.unwrap_or(0)), limit))
            .await
    }

    /// Checks whether an event proves the key that it was encrypted with.
    pub(crate) async fn prove_room_key(
        self: &Arc<Self>,
        room_id: String,
        session_id: String,
        event_json: String,
    ) -> Result<KeyProof, AccessError> {
        let Some(event) = MegolmEvent::parse(&event_json) else {
            return Ok(KeyProof::NotProved);
        };
        if event.session_id.as_ref().is_some_and(|named| *named != session_id) {
            return Ok(KeyProof::NotProved);
        }
        self.look_up(move |lookup| lookup.prove(&room_id, &SessionId::parse(&session_id), &event))
            .await
    }

    /// Makes one look-up, if look-ups are allowed now. While the app is in the background, the database is open only
    /// during this call: iOS kills an app that is suspended with an open database.
    pub(crate) async fn look_up<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        self.may_look_up()?;
        let lookup = self.clone();
        let answer = blocking(move || {
            let answer = work(&lookup);
            if lookup.gate.now().causes().has(PauseCause::InBackground) {
                lookup.close();
            }
            answer
        });
        answer.await.unwrap_or(Err(AccessError::Internal))
    }

    /// Fails if look-ups are not allowed now.
    pub(crate) fn may_look_up(&self) -> Result<(), AccessError> {
        match self.gate.now().causes().stop(Work::AskVault) {
            true => Err(AccessError::VaultInaccessible),
            false => Ok(()),
        }
    }
}
