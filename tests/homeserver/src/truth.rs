//! What is really in the backup. Nothing is stored: every key is derived from the seed and its index.

use std::ops::Range;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    Config,
    crypto::{self, Seed},
};

const SENDERS: u64 = 32;

/// The ways in which entries are broken or strange in the wild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// The ciphertext is noise. Not usable.
    Undecryptable,
    /// The session id is not the key inside the entry. Not usable.
    ForeignSessionId,
    /// `session_data` is a string. Not usable.
    SessionDataIsText,
    /// Two of the hints are missing and `forwarded_count` is a string. Usable.
    HintsMissing,
    /// The flag in the plaintext is null, which means false. Usable.
    FlagIsNull,
    /// `sender_claimed_keys` is missing. Usable.
    ClaimedKeysMissing,
}

impl Oddity {
    const ALL: [Self; 6] = [
        Self::Undecryptable,
        Self::ForeignSessionId,
        Self::SessionDataIsText,
        Self::HintsMissing,
        Self::FlagIsNull,
        Self::ClaimedKeysMissing,
    ];

    /// Whether a lenient client gets a room key out of the entry.
    pub fn usable(self) -> bool {
        matches!(self, Self::HintsMissing | Self::FlagIsNull | Self::ClaimedKeysMissing)
    }
}

/// One room key as a client should see it after opening its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrueKey {
    /// The room id under which the entry is stored.
    pub room_id: String,
    /// The session id under which the entry is stored: the Ed25519 key at the end of `session_key`,
    /// except with [`Oddity::ForeignSessionId`].
    pub session_id: String,
    /// The Curve25519 key of the sender, in base64.
    pub sender_key: String,
    /// The Ed25519 key that the sender claims to have; `None` if the entry does not name one.
    pub sender_claimed_ed25519: Option<String>,
    /// 165 bytes in base64: version 1, message index, ratchet, Ed25519 key.
    pub session_key: String,
    /// The message index inside `session_key`.
    pub first_known_index: u32,
    /// The flag of MSC4268, whichever name it was written under.
    pub shared_history: bool,
    /// Whether a client can get a room key out of the entry.
    pub usable: bool,
    /// What is odd about the entry, if anything.
    pub oddity: Option<Oddity>,
}

struct Sender {
    curve25519: String,
    ed25519: String,
}

/// All rooms and room keys, by index. The keys of a room have consecutive indices.
pub struct Truth {
    seed: Seed,
    /// The first index of every room, and the number of keys as a last element.
    starts: Vec<u64>,
    odd_every: Option<u64>,
    twins: u64,
    senders: Vec<Sender>,
}

impl Truth {
    /// Derives the same truth as a homeserver with this configuration.
    pub fn new(config: &Config) -> Self {
        let seed = Seed(config.seed);
        let mut starts = vec![0];
        let mut next = 0;
        for size in config.sizes() {
            next += size;
            starts.push(next);
        }
        let senders = (0..SENDERS).map(|number| Sender {
            curve25519: crypto::base64(&seed.bytes("sender curve25519", number)),
            ed25519: crypto::base64(&crypto::ed25519_public(&seed.bytes("sender ed25519", number))),
        });
        Self {
            seed,
            starts,
            odd_every: config.odd_entries.then_some(config.odd_every.max(1)),
            twins: config.twins,
            senders: senders.collect(),
        }
    }

    /// Returns the number of room keys.
    pub fn len(&self) -> u64 {
        *self.starts.last().expect("there is always one element")
    }

    /// Whether the backup holds no key at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of rooms, including those without keys.
    pub fn rooms(&self) -> u64 {
        self.starts.len() as u64 - 1
    }

    /// Returns the id of a room. Every fifth id has the form of room version 12, without a server name.
    pub fn room_id(&self, room: u64) -> String {
        let bytes = self.seed.bytes("room", room);
        if room % 5 == 4 {
            return format!("!{}", URL_SAFE_NO_PAD.encode(bytes));
        }
        let letters: String = bytes[..18].iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        format!("!{letters}:localhost")
    }

    /// Returns the room that a key belongs to.
    pub fn room_of(&self, index: u64) -> u64 {
        self.starts.partition_point(|start| *start <= index) as u64 - 1
    }

    /// Returns the indices of the keys of a room.
    pub fn room_range(&self, room: u64) -> Range<u64> {
        let room = usize::try_from(room).expect("rooms are counted in memory");
        self.starts[room]..self.starts[room + 1]
    }

    /// Returns the index of the same session in another room, if there is one.
    pub fn twin(&self, index: u64) -> Option<u64> {
        let apart = self.len().saturating_sub(self.twins);
        if index < self.twins {
            Some(index + apart)
        } else {
            index.checked_sub(apart).filter(|twin| *twin < self.twins)
        }
    }

    /// Returns what is odd about an entry, if anything.
    pub fn oddity(&self, index: u64) -> Option<Oddity> {
        let every = self.odd_every?;
        let round = usize::try_from(index / every % 6).expect("it is below 6");
        (index % every == every - 1).then_some(Oddity::ALL[round])
    }

    /// Derives one room key.
    pub fn key(&self, index: u64) -> TrueKey {
        let oddity = self.oddity(index);
        let room_id = self.room_id(self.room_of(index));
        // From here on everything is derived from the first of two twins, so that they are equal.
        let index = self.twin(index).map_or(index, |twin| twin.min(index));
        let public = crypto::ed25519_public(&self.seed.bytes("session", index));
        let traits = self.seed.bytes("traits", index);
        let first_known_index = if traits[0] < 192 { 0 } else { u32::from(traits[1]) };

        let mut session_key = Vec::with_capacity(165);
        session_key.push(1);
        session_key.extend_from_slice(&first_known_index.to_be_bytes());
        for part in 0..4 {
            session_key.extend_from_slice(&self.seed.bytes("ratchet", index * 4 + part));
        }
        session_key.extend_from_slice(&public);

        let session_id = match oddity {
            Some(Oddity::ForeignSessionId) => crypto::ed25519_public(&self.seed.bytes("foreign session", index)),
            _ => public,
        };
        let sender = &self.senders[usize::from(traits[2]) % self.senders.len()];
        TrueKey {
            room_id,
            session_id: crypto::base64(&session_id),
            sender_key: sender.curve25519.clone(),
            sender_claimed_ed25519: match oddity {
                Some(Oddity::ClaimedKeysMissing) => None,
                _ => Some(sender.ed25519.clone()),
            },
            session_key: crypto::base64(&session_key),
            first_known_index,
            shared_history: traits[3] % 2 == 1 && oddity != Some(Oddity::FlagIsNull),
            usable: oddity.is_none_or(Oddity::usable),
            oddity,
        }
    }
}
