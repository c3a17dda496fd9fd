//! The copies of a session in one room: opens and compares them for one look-up, and determines which one the app
//! gets.

use std::collections::HashMap;

use super::{open_vault::OpenVault, records::RoomKeyLookup};
use crate::{
    backup::{
        FailureReason, RoomKey,
        copies::{Copy, Presence, best_in_room, may_be_shared},
        ratchet::{MegolmEvent, Ratchet},
        session_id::SessionId,
    },
    compare::Compared,
    ids::EntryId,
    job::AccessError,
    vault::{CopyState, Placement, StoredCopy, room_number},
};

/// The result of checking an event against the copies of a session.
pub(super) enum Proved {
    By(EntryId),
    No,
    NotHere,
}

/// The copies of a session, as a look-up in one room sees them. Copies that wait to be opened or compared are opened
/// and compared for this look-up only.
pub(super) struct InRoom {
    room: i64,
    copies: Vec<StoredCopy>,
    keys: HashMap<EntryId, RoomKey>,
    other_rooms: Vec<String>,
    is_locked: bool,
}

impl InRoom {
    pub(super) fn of(
        vault: &OpenVault,
        room_id: &str,
        id: &SessionId,
        mut copies: Vec<StoredCopy>,
    ) -> Result<Self, AccessError> {
        let hash = vault.connection.room_hash(room_id);
        let mut other_rooms = Vec::new();
        for copy in copies.iter().filter(|copy| copy.room_hash != hash && copy.is_opened()) {
            let name = vault.connection.room_of_copy(copy)?;
            if !other_rooms.contains(&name) {
                other_rooms.push(name);
            }
        }
        copies.retain(|copy| copy.room_hash == hash);
        let mut in_room = Self {
            room: room_number(&hash),
            copies,
            keys: HashMap::new(),
            other_rooms,
            is_locked: false,
        };
        in_room.open_all(vault, room_id, id)?;
        Ok(in_room)
    }

    /// Opens the copies that have never been opened, compares them, and opens the copy that counts.
    fn open_all(&mut self, vault: &OpenVault, room_id: &str, id: &SessionId) -> Result<(), AccessError> {
        for position in 0..self.copies.len() {
            let copy = &self.copies[position];
            if copy.state != CopyState::Unopened || copy.body.is_empty() {
                continue;
            }
            let entry = copy.entry;
            let state = match vault.open(copy.version, room_id, id, &copy.body) {
                Ok(Ok(key)) => {
                    let state = CopyState::Opened {
                        first_index: key.first_known_index,
                        shared_history: key.shared_history,
                        fingerprint: vault.fingerprint(&key),
                    };
                    self.keys.insert(entry, key);
                    state
                }
                Ok(Err(reason)) => CopyState::Failed(reason),
                Err(AccessError::Locked) => {
                    self.is_locked = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.copies[position].state = state;
            self.copies[position].class = None;
        }
        self.compare_all(vault, id);
        while let Some(best) = self.best_copy() {
            let entry = best.entry;
            if self.keys.contains_key(&entry) {
                break;
            }
            match vault.open(best.version, room_id, id, &best.body)? {
                Ok(key) => drop(self.keys.insert(entry, key)),
                // The next best copy counts then.
                Err(reason) => {
                    for copy in self.copies.iter_mut().filter(|copy| copy.entry == entry) {
                        copy.state = CopyState::Failed(reason);
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts every copy that has not been compared yet into its class.
    fn compare_all(&mut self, vault: &OpenVault, id: &SessionId) {
        let mut order: Vec<usize> = (0..self.copies.len()).collect();
        order.sort_by_key(|position| self.copies[*position].entry);
        for position in order {
            let copy = &self.copies[position];
            if !copy.is_opened() || copy.class.is_some() {
                continue;
            }
            let entry = copy.entry;
            let class = match vault.comparer(id).compare(&self.copies, entry) {
                Compared::Placed(Placement::Joins(class)) => Some(class),
                Compared::Placed(Placement::Founds) => Some(entry),
                // Its class cannot be determined now: copies that are compared rank before it.
                Compared::Placed(Placement::NotNeeded) | Compared::Locked => None,
                Compared::Unusable => {
                    self.copies[position].state = CopyState::Failed(FailureReason::InvalidSessionKey);
                    continue;
                }
            };
            self.copies[position].set_class(class);
        }
    }

    fn facts(&self) -> Vec<Copy> {
        self.copies.iter().filter_map(StoredCopy::facts).collect()
    }

    fn best_copy(&self) -> Option<&StoredCopy> {
        let facts = self.facts();
        let best = facts[best_in_room(&facts, self.room)?].entry;
        self.copies.iter().find(|copy| copy.entry == best)
    }

    /// Returns the key that look-ups in this room return, and its entry.
    pub(super) fn best(&self) -> Option<(EntryId, RoomKey)> {
        let best = self.best_copy()?;
        let mut key = self.keys.get(&best.entry)?.clone();
        key.shared_history = may_be_shared(&self.facts(), self.room, best.class.unwrap_or(best.entry));
        Some((best.entry, key))
    }

    pub(super) fn answer(&self) -> Result<RoomKeyLookup, AccessError> {
        if let Some((_, key)) = self.best() {
            return Ok(RoomKeyLookup::Found {
                key,
                other_rooms: self.other_rooms.clone(),
            });
        }
        if self.copies.iter().any(|copy| copy.presence == Presence::Trimmed) {
            return Ok(RoomKeyLookup::Trimmed);
        }
        if self.is_locked {
            return Err(AccessError::Locked);
        }
        let failures = self.copies.iter().rev().filter_map(|copy| match copy.state {
            CopyState::Failed(reason) => Some(reason),
            _ => None,
        });
        Ok(match failures.into_iter().next() {
            Some(reason) => RoomKeyLookup::Unusable { reason },
            None => RoomKeyLookup::NotFound,
        })
    }

    /// Returns the first copy, in order of arrival, that the event proves.
    pub(super) fn proved_by(
        &self,
        vault: &OpenVault,
        room_id: &str,
        id: &SessionId,
        event: &MegolmEvent,
    ) -> Result<Proved, AccessError> {
        let mut any = false;
        for copy in self
            .copies
            .iter()
            .filter(|copy| copy.is_opened() && !copy.body.is_empty())
        {
            let key = match self.keys.get(&copy.entry) {
                Some(key) => key.clone(),
                None => match vault.open(copy.version, room_id, id, &copy.body)? {
                    Ok(key) => key,
                    Err(_) => continue,
                },
            };
            any = true;
            if Ratchet::of(&key).is_some_and(|mut ratchet| ratchet.is_proved_by(event, room_id)) {
                return Ok(Proved::By(copy.entry));
            }
        }
        match any {
            true => Ok(Proved::No),
            false if self.is_locked => Err(AccessError::Locked),
            false => Ok(Proved::NotHere),
        }
    }
}
