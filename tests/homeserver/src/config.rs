//! What the homeserver holds and how clients reach it.

use crate::ServerKind;

/// The configuration of one homeserver. The same values always produce the same account and the same keys.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which homeserver implementation it imitates.
    pub server: ServerKind,
    /// How many room keys the backup holds.
    pub keys: u64,
    /// How many rooms the keys are spread over, as evenly as possible.
    pub rooms: u64,
    /// How many of the rooms, counted from the last, are missing from `/joined_rooms`.
    pub left_rooms: u64,
    /// How many of the last keys repeat the first ones, in another room.
    pub twins: u64,
    /// How many of the last keys stay out of the backup until [`crate::Homeserver::release_held_back`] is called.
    pub held_back: u64,
    /// The localpart of the account's user id.
    pub user: String,
    /// The seed from which every key, id and secret is derived.
    pub seed: u64,
    /// The port on 127.0.0.1; 0 takes any free port.
    pub port: u16,
    /// How long every answer waits before its head is sent, in ms.
    pub latency_ms: u64,
    /// The speed of the link, shared by all connections. Only body bytes count. `None` means no limit.
    pub bytes_per_second: Option<u64>,
    /// Whether every [`Config::odd_every`]th entry has one of the forms of [`crate::Oddity`].
    pub odd_entries: bool,
    /// How far apart the odd entries are: with 10, the entries at indices 9, 19, 29 and so on are odd.
    pub odd_every: u64,
    /// The number of keys in each room. If not empty, this replaces `keys` and `rooms`.
    pub room_sizes: Vec<u64>,
    /// The number of the backup version that exists at the start. Later versions count on from it.
    pub first_version: u64,
    /// Whether every version with entries has one more entry under an invalid room id. That entry is never served. It
    /// makes Conduit fail to answer a request for all keys; other servers ignore it.
    pub bad_room_id: bool,
    /// The most bytes of a request's body, as a proxy in front of the server may have it; `None`: as the server has it.
    pub most_body: Option<usize>,
    /// A passphrase from which to derive the backup decryption key, as clients did before secret storage.
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
            user: "alice".to_owned(),
            seed: 1,
            port: 0,
            latency_ms: 0,
            bytes_per_second: None,
            odd_entries: false,
            odd_every: 1000,
            room_sizes: Vec::new(),
            first_version: 1,
            bad_room_id: false,
            most_body: None,
            legacy_passphrase: None,
        }
    }
}

impl Config {
    /// Returns the number of keys in each room, from `room_sizes` or else from `keys` and `rooms`.
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
