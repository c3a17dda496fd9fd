//! Tracks which sessions the app's crypto may have by now.
//!
//! Each key must be compared with a copy that is already there, and looking for one costs half as much as the whole
//! delivery. So the sessions of a small store are noted once, and then all that arrive, from us or from others. Only
//! where that is not possible is each session looked for.

use std::{
    array,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    pin::Pin,
};

use futures_util::{FutureExt, Stream, StreamExt};
use matrix_sdk_crypto::{
    OlmMachine,
    store::{CryptoStoreError, types::RoomKeyInfo},
};
use ruma::{OwnedRoomId, RoomId};
use tokio::task::unconstrained;

/// Bytes of a store whose sessions are read once: about five thousand sessions.
const SMALL_STORE_BYTES: usize = 8 * 1024 * 1024;
/// Sessions from others whose room is noted, too.
const MOST_ROOMS: usize = 10_000;

/// The sessions of one machine's store.
pub(super) struct LocalSessions {
    /// The address of the machine's store, to notice when the app has replaced the machine.
    machine: usize,
    /// The noted sessions. `None` means that any session may be in the store.
    noted: Option<SessionFilter>,
    /// The rooms of sessions that we did not deliver.
    rooms: HashMap<String, OwnedRoomId>,
    /// Sessions that have arrived since, from anywhere. An item is `None` if some were missed.
    news: Pin<Box<dyn Stream<Item = Option<Vec<RoomKeyInfo>>> + Send>>,
}

/// Whether a session is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    No,
    Perhaps,
    /// The store has it under another room. A database with one row for each session would lose that row to an
    /// import.
    Elsewhere,
}

impl LocalSessions {
    pub(super) async fn of(machine: &OlmMachine) -> Result<Self, CryptoStoreError> {
        let store = machine.store();
        // Subscribe before reading, so that no session is missed.
        let news = Box::pin(store.room_keys_received_stream().map(Result::ok));
        let mut sessions = Self {
            machine: address(machine),
            noted: None,
            rooms: HashMap::new(),
            news,
        };
        // If one of them cannot be read, only that one may suffer: nothing is noted, and each session is looked for.
        if store.get_size().await?.is_some_and(|bytes| bytes <= SMALL_STORE_BYTES)
            && let Ok(found) = store.get_inbound_group_sessions().await
        {
            let noted = sessions.noted.insert(SessionFilter::new());
            for session in found {
                noted.add(session.session_id());
                let room_id = session.room_id().to_owned();
                sessions.rooms.insert(session.session_id().to_owned(), room_id);
            }
        }
        Ok(sessions)
    }

    pub(super) fn are_of(&self, machine: &OlmMachine) -> bool {
        self.machine == address(machine)
    }

    /// Returns whether the session is in the store, and notes that it is about to be.
    pub(super) fn offer(&mut self, room_id: &RoomId, session_id: &str) -> Presence {
        let Some(noted) = &mut self.noted else {
            return Presence::Perhaps;
        };
        if self.rooms.get(session_id).is_some_and(|room| room != room_id) {
            return Presence::Elsewhere;
        }
        let may_have = noted.may_have(session_id);
        // Noted even if the answer is never received: the store may take the session after the delivery was
        // abandoned.
        noted.add(session_id);
        match may_have {
            true => Presence::Perhaps,
            false => Presence::No,
        }
    }

    /// Notes sessions that have arrived since the last call; `is_ours` tells which came from here. Returns false if
    /// some that should have been noted were missed.
    pub(super) fn note_news(&mut self, is_ours: impl Fn(&str) -> bool) -> bool {
        // `unconstrained`, because a task that has used up its tokio budget would see an empty stream.
        while let Some(news) = unconstrained(self.news.next()).now_or_never() {
            let Some(news) = news.flatten() else {
                return self.noted.is_none();
            };
            let Some(noted) = &mut self.noted else { continue };
            for key in news {
                noted.add(&key.session_id);
                if !is_ours(&key.session_id) && self.rooms.len() < MOST_ROOMS {
                    self.rooms.insert(key.session_id, key.room_id);
                }
            }
        }
        true
    }
}

/// Returns the address of the store, which all clones of a machine share.
fn address(machine: &OlmMachine) -> usize {
    std::ptr::from_ref(machine.store()).addr()
}

/// A Bloom filter of half a megabyte, however many sessions it holds. With half a million, about one answer in forty
/// is a false positive, which costs a look-up.
struct SessionFilter {
    bits: Vec<u64>,
    hasher: RandomState,
}

impl SessionFilter {
    const WORDS: usize = 1 << 16;

    fn new() -> Self {
        Self {
            bits: vec![0; Self::WORDS],
            hasher: RandomState::new(),
        }
    }

    fn add(&mut self, session_id: &str) {
        for (word, bit) in self.places(session_id) {
            self.bits[word] |= bit;
        }
    }

    fn may_have(&self, session_id: &str) -> bool {
        self.places(session_id)
            .iter()
            .all(|(word, bit)| self.bits[*word] & bit != 0)
    }

    /// Returns the four bits of a session id, from the two halves of one hash.
    fn places(&self, session_id: &str) -> [(usize, u64); 4] {
        let hash = self.hasher.hash_one(session_id);
        let (first, step) = (hash & 0xffff_ffff, hash >> 32 | 1);
        array::from_fn(|number| {
            let place = first + step * number as u64;
            ((place >> 6) as usize % Self::WORDS, 1 << (place & 63))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_misses_no_added_session_and_rarely_mistakes_another() {
        let mut filter = SessionFilter::new();
        let id = |number: u32| format!("{number:043}");
        (0..500_000).for_each(|number| filter.add(&id(number)));
        assert!((0..500_000).all(|number| filter.may_have(&id(number))));
        let wrong = (500_000..600_000)
            .filter(|number| filter.may_have(&id(*number)))
            .count();
        assert!(wrong < 4_000, "{wrong} of 100,000");
    }
}
