//! What the homeserver is to hold and how it is to be reached.

use crate::ServerKind;

/// The make-up of one homeserver. The same values always give the same account and the same keys.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which homeserver it behaves like.
    pub server: ServerKind,
    /// How many room keys the backup holds.
    pub keys: u64,
    /// How many rooms they are spread over, as evenly as possible.
    pub rooms: u64,
    /// How many of the rooms, counted from the last, are missing from `/joined_rooms`.
    pub left_rooms: u64,
    /// How many of the last keys are the first ones once more, in another room.
    pub twins: u64,
    /// How many of the last keys are not in the backup before [`crate::Homeserver::release_held_back`].
    pub held_back: u64,
    /// Every key, id and secret is derived from it.
    pub seed: u64,
    /// The port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// How long every answer waits before its head is sent.
    pub latency_ms: u64,
    /// The speed of the link, shared by all connections. Only body bytes count.
    pub bytes_per_second: Option<u64>,
    /// Whether every [`Config::odd_every`]th entry has one of the forms of [`crate::Oddity`].
    pub odd_entries: bool,
    /// How far apart the odd entries are: with 10 they are the indices 9, 19, 29 and so on.
    pub odd_every: u64,
    /// The number of keys of every room. If not empty, it replaces `keys` and `rooms`.
    pub room_sizes: Vec<u64>,
    /// The number of the version that is there at the start; those that follow go on counting from it.
    pub first_version: u64,
    /// Whether every version with entries has one more under a room id that is none. It is never served; on Conduit
    /// it fails the answer for everything, and on other servers nothing happens.
    pub bad_room_id: bool,
    /// Derives the backup decryption key from this passphrase, as clients did before secret storage.
    pub legacy_passphrase: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerKind::Synapse,
            keys: 100,
            rooms: 10,
            left_rooms: 0,
            twins: 0,
            held_back: 0,
            seed: 1,
            port: 0,
            latency_ms: 0,
            bytes_per_second: None,
            odd_entries: false,
            odd_every: 1000,
            room_sizes: Vec::new(),
            first_version: 1,
            bad_room_id: false,
            legacy_passphrase: None,
        }
    }
}

impl Config {
    /// The number of keys room by room, whichever way it was given.
    pub(crate) fn sizes(&self) -> Vec<u64> {
        if !self.room_sizes.is_empty() {
            return self.room_sizes.clone();
        }
        let rooms = self.rooms.max(1);
        (0..rooms)
            .map(|room| self.keys / rooms + u64::from(room < self.keys % rooms))
            .collect()
    }
}
