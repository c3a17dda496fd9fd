//! The results of look-ups.

use crate::backup::{FailureReason, RoomKey};

/// The result of looking for the key of a session in a room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "bindings have no boxes, and it is made once for a call"
)]
pub enum RoomKeyLookup {
    /// The key was found. If the session has several copies whose ratchets connect, this is the one that begins
    /// earliest. If they do not connect, it is the one that an event has proved (`prove_room_key`), or else the one
    /// that came first.
    Found {
        /// The key.
        key: RoomKey,
        /// Other rooms that the backup has the same session under. Usually empty; if not, the server may be moving
        /// keys. Decrypting an event shows whether the key belongs to this room, because the plaintext names its
        /// room.
        other_rooms: Vec<String>,
    },
    /// The key is not in the vault. It may be in the backup: check whether the download is complete.
    NotFound,
    /// The app's crypto has taken the key, and the app's policy has removed it from the vault. `fetch_session`
    /// fetches it again.
    Trimmed,
    /// The backup has an entry for the key, but it can never be used.
    Unusable {
        /// Why the entry cannot be used.
        reason: FailureReason,
    },
}

/// A page of the keys of one room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RoomKeyPage {
    /// The keys, each once, as `find_room_key` returns them. Keys that cannot be opened are left out.
    pub keys: Vec<RoomKey>,
    /// Pass this as `after` to get the next page; `None` on the last page.
    pub next: Option<i64>,
}

/// The result of `prove_room_key`: whether an event shows that a key is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum KeyProof {
    /// The event proves the key. From now on this key ranks before every other copy of its session, everywhere and
    /// across restarts.
    Proved,
    /// No copy in the vault decrypts the event, its plaintext names another room, or it cannot be parsed or names
    /// another session. This does not show that the key is forged: the event may be forged, or be from before the key
    /// begins. `fetch_room` may bring another copy.
    NotProved,
    /// The vault has no usable key for this session in this room.
    NotFound,
}
