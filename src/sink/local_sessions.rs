//! Which sessions the app's crypto may have by now.
//!
//! Each key has to be held against a copy that is there already, and to look for one costs half as much as the whole delivery.
//! So the sessions of a small store are noted once, and then all that come in, ours and those of others; only where that
//! cannot be, each is looked for.

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

/// Bytes of a store whose sessions are read once: some five thousand of them.
const SMALL_STORE_BYTES: usize = 8 * 1024 * 1024;
/// Sessions of others whose room is noted, too.
const MOST_ROOMS: usize = 10_000;

/// The sessions of one machine's store.
pub(super) struct LocalSessions {
    /// Of which machine: only an address, to tell when the app has replaced it.
    machine: usize,
    /// `None`: any session may be there.
    noted: Option<SessionFilter>,
    /// The rooms of those that did not come from here.
    rooms: HashMap<String, OwnedRoomId>,
    /// What has come in since, from wherever. `None` in place of what was missed.
    news: Pin<Box<dyn Stream<Item = Option<Vec<RoomKeyInfo>>> + Send>>,
}

/// Whether a session is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    No,
    Perhaps,
    /// Under another room. A database that has one place for a session would lose it to an import.
    Elsewhere,
}

impl LocalSessions {
    pub(super) async fn of(machine: &OlmMachine) -> Result<Self, CryptoStoreError> {
        let store = machine.store();
        // From before the reading on: none is missed.
        let news = Box::pin(store.room_keys_received_stream().map(Result::ok));
        let mut sessions = Self {
            machine: address(machine),
            noted: None,
            rooms: HashMap::new(),
            news,
        };
        // Where one of them cannot be read, that is a matter of this one.
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

    /// Whether the session is there, which is then on its way.
    pub(super) fn offer(&mut self, room_id: &RoomId, session_id: &str) -> Presence {
        let Some(noted) = &mut self.noted else {
            return Presence::Perhaps;
        };
        if self.rooms.get(session_id).is_some_and(|room| room != room_id) {
            return Presence::Elsewhere;
        }
        let may_have = noted.may_have(session_id);
        // Also if nobody is there to hear of it: the store may take it after the delivery was given up.
        noted.add(session_id);
        match may_have {
            true => Presence::Perhaps,
            false => Presence::No,
        }
    }

    /// Notes what has come in since the last time, of which `is_ours` came from here. False if some of it was missed.
    pub(super) fn note_news(&mut self, is_ours: impl Fn(&str) -> bool) -> bool {
        // A task that has used its turn up would see nothing there.
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

/// Of what all clones of a machine share.
fn address(machine: &OlmMachine) -> usize {
    std::ptr::from_ref(machine.store()).addr()
}

/// A Bloom filter: half a megabyte, however many there are. At half a million sessions it is wrong about one in forty, which
/// costs a look.
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

    /// Four of them, from two halves of one hash.
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
    fn what_was_added_is_never_missed_and_little_else_is_taken_for_it() {
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
