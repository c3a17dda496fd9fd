//! Which sessions the app's crypto may have by now.
//!
//! Each key has to be held against a copy that is there already, and to look for one costs half as much as the whole delivery.
//! So the sessions of a small store are noted once, and then all that come in, ours and those of others; only where that
//! cannot be, each is looked for.

use std::{
    array,
    hash::{BuildHasher, RandomState},
    pin::Pin,
};

use futures_util::{FutureExt, Stream, StreamExt};
use matrix_sdk_crypto::{
    OlmMachine,
    store::{CryptoStoreError, DynCryptoStore, types::RoomKeyInfo},
};

/// Bytes of a store whose sessions are read once: some five thousand of them.
const SMALL_STORE_BYTES: usize = 8 * 1024 * 1024;

/// The sessions of one machine's store.
pub(super) struct LocalSessions {
    /// Of which store: only an address, to tell when the app has replaced its machine.
    store: usize,
    /// `None`: any session may be there.
    noted: Option<SessionFilter>,
    /// What has come in since, from wherever. `None` in place of what was missed.
    news: Pin<Box<dyn Stream<Item = Option<Vec<RoomKeyInfo>>> + Send>>,
}

impl LocalSessions {
    pub(super) async fn of(machine: &OlmMachine) -> Result<Self, CryptoStoreError> {
        let store = machine.store();
        // From before the reading on: none is missed.
        let news = Box::pin(store.room_keys_received_stream().map(Result::ok));
        let mut noted = None;
        if store.get_size().await?.is_some_and(|bytes| bytes <= SMALL_STORE_BYTES) {
            let filter = noted.insert(SessionFilter::new());
            for session in store.get_inbound_group_sessions().await? {
                filter.add(session.session_id());
            }
        }
        Ok(Self {
            store: address(machine),
            noted,
            news,
        })
    }

    pub(super) fn are_of(&self, machine: &OlmMachine) -> bool {
        self.store == address(machine)
    }

    /// False if it is sure not to be there.
    pub(super) fn may_have(&self, session_id: &str) -> bool {
        self.noted.as_ref().is_none_or(|noted| noted.may_have(session_id))
    }

    /// Notes what has come in since the last time.
    pub(super) fn note_news(&mut self) {
        while let Some(news) = self.news.next().now_or_never() {
            // The stream has ended, or was read too late.
            let Some(news) = news.flatten() else {
                self.noted = None;
                return;
            };
            if let Some(noted) = &mut self.noted {
                news.iter().for_each(|key| noted.add(&key.session_id));
            }
        }
    }
}

fn address(machine: &OlmMachine) -> usize {
    std::ptr::from_ref::<DynCryptoStore>(&**machine.store())
        .cast::<()>()
        .addr()
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
