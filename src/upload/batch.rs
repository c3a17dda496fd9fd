//! One upload: which entries it has, and how large it may be. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{backup::encryption::OutgoingEntry, homeserver::HomeserverError};

/// Bytes of the first request. nginx refuses more than 1 MiB unless it is configured otherwise.
const FIRST_BYTES: usize = 1_000_000;
/// Bytes of the first request in a run that ends soon: a larger one might never arrive in one piece.
const FIRST_BYTES_IN_A_HURRY: usize = 64 * 1024;
const HURRY: Duration = Duration::from_secs(5);
const LEAST_BYTES: usize = 16 * 1024;
/// Limits the memory that an upload takes. All homeservers take at least three times as much.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// A request that takes less time may be followed by a larger one; one that takes more, by a smaller one.
const FAST: Duration = Duration::from_millis(800);
const SLOW: Duration = Duration::from_millis(2_000);

/// How many bytes a request may have. Adapts to how the server answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSize {
    bytes: usize,
    most: usize,
}

impl BatchSize {
    /// Returns the size of the first request of a run that ends after `time_left`; `None`: it has no limit.
    pub(crate) fn first(time_left: Option<Duration>) -> Self {
        let is_in_a_hurry = time_left.is_some_and(|left| left < HURRY);
        Self {
            bytes: if is_in_a_hurry {
                FIRST_BYTES_IN_A_HURRY
            } else {
                FIRST_BYTES
            },
            most: MOST_BYTES,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        self.bytes
    }

    /// Adapts to a request of `sent` bytes that the server has taken in this time.
    pub(crate) fn adapt_to_success(&mut self, sent: usize, took: Duration) {
        if took > SLOW {
            self.bytes = (self.bytes / 2).max(LEAST_BYTES);
        } else if took < FAST && sent > self.bytes / 2 {
            self.bytes = (self.bytes * 2).min(self.most);
        }
    }

    /// Adapts to a request of `sent` bytes that failed. Returns whether a smaller one may succeed.
    pub(crate) fn adapt_to_failure(&mut self, sent: usize, error: &HomeserverError) -> bool {
        let is_too_large = matches!(error, HomeserverError::RequestTooLarge);
        // Some proxies cut the connection instead of answering 413, and a slow link takes too long.
        let may_be_too_large = is_too_large
            || matches!(
                error,
                HomeserverError::Transport(_) | HomeserverError::RateLimited { .. }
            );
        let smaller = sent.min(self.bytes) / 2;
        if !may_be_too_large || smaller < LEAST_BYTES {
            return false;
        }
        self.bytes = smaller;
        if is_too_large {
            self.most = smaller;
        }
        true
    }
}

/// The entries of one request, by room and session.
#[derive(Default)]
pub(crate) struct Batch {
    rooms: BTreeMap<String, Sessions>,
    bytes: usize,
    keys: u64,
    /// How many of the keys the version does not have under any index, as far as the vault knows.
    new: u64,
}

#[derive(Default, Serialize)]
struct Sessions {
    sessions: BTreeMap<String, OutgoingEntry>,
}

impl Batch {
    /// Adds an entry. `is_new`: the version has no entry of this name.
    pub(crate) fn push(&mut self, room_id: &str, session_id: String, entry: OutgoingEntry, is_new: bool) {
        // Besides the entry: quotes, colons, braces and the names of the hints.
        self.bytes += entry.bytes() + session_id.len() + 16;
        if !self.rooms.contains_key(room_id) {
            self.bytes += room_id.len() + 24;
            self.rooms.insert(room_id.to_owned(), Sessions::default());
        }
        let room = self.rooms.get_mut(room_id).expect("it was inserted above");
        room.sessions.insert(session_id, entry);
        self.keys += 1;
        self.new += u64::from(is_new);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys == 0
    }

    pub(crate) fn keys(&self) -> u64 {
        self.keys
    }

    pub(crate) fn new_keys(&self) -> u64 {
        self.new
    }

    /// Returns about how many bytes the body has.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the body of the request.
    pub(crate) fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            rooms: &'a BTreeMap<String, Sessions>,
        }
        let mut body = Vec::with_capacity(self.bytes + 64);
        serde_json::to_writer(&mut body, &Body { rooms: &self.rooms }).expect("text and numbers are valid JSON");
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::homeserver::TransportError;

    #[test]
    fn requests_grow_while_the_server_is_fast_and_shrink_when_it_is_not() {
        let mut size = BatchSize::first(None);
        assert!(size.bytes() < 1 << 20);
        assert!(BatchSize::first(Some(Duration::from_secs(1))).bytes() < FIRST_BYTES / 10);
        assert_eq!(BatchSize::first(Some(Duration::from_secs(30))).bytes(), FIRST_BYTES);
        size.adapt_to_success(900_000, Duration::from_millis(100));
        assert_eq!(size.bytes(), 2 * FIRST_BYTES);
        // A small request says nothing about a large one.
        size.adapt_to_success(1_000, Duration::from_millis(1));
        assert_eq!(size.bytes(), 2 * FIRST_BYTES);
        for _ in 0..5 {
            size.adapt_to_success(size.bytes(), Duration::ZERO);
        }
        assert_eq!(size.bytes(), MOST_BYTES);
        size.adapt_to_success(MOST_BYTES, Duration::from_millis(1_500));
        assert_eq!(size.bytes(), MOST_BYTES, "one to two seconds are what we want");
        size.adapt_to_success(MOST_BYTES, Duration::from_secs(3));
        assert_eq!(size.bytes(), MOST_BYTES / 2);
    }

    #[test]
    fn a_request_that_was_too_large_is_never_made_again() {
        let mut size = BatchSize::first(None);
        assert!(size.adapt_to_failure(1_000_000, &HomeserverError::RequestTooLarge));
        assert_eq!(size.bytes(), 500_000);
        size.adapt_to_success(500_000, Duration::ZERO);
        assert_eq!(size.bytes(), 500_000);
        // A cut connection may be a proxy that does not answer 413.
        assert!(size.adapt_to_failure(500_000, &TransportError::Interrupted.into()));
        size.adapt_to_success(250_000, Duration::ZERO);
        assert_eq!(size.bytes(), 500_000);
        while size.adapt_to_failure(size.bytes(), &HomeserverError::RequestTooLarge) {}
        assert!((LEAST_BYTES..2 * LEAST_BYTES).contains(&size.bytes()));
        let mut size = BatchSize::first(None);
        assert!(!size.adapt_to_failure(1_000_000, &HomeserverError::Forbidden));
        assert_eq!(size.bytes(), FIRST_BYTES);
    }
}
