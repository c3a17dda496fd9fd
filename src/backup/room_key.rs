//! The room key, which is what this crate delivers, and the backup version that it came from.

use std::collections::HashMap;

use base64::Engine;
use serde::Serialize;

use super::base64::BASE64;
use crate::secret::SecretString;

/// One inbound Megolm session, as it came out of the backup (client-server API, `BackedUpSessionData`).
///
/// It is *not authenticated*: anyone who can write to the backup could have made it up. Import it as an untrusted
/// key, as crypto libraries do with keys from a backup.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct RoomKey {
    /// The room that the backup lists the session under.
    pub room_id: String,
    /// The session id: the unpadded base64 of the session's Ed25519 key. Checked against `session_key`.
    pub session_id: String,
    /// The Megolm algorithm, usually `m.megolm.v1.aes-sha2`.
    pub algorithm: String,
    /// The Curve25519 key of the device that created the session, as the backup claims; unpadded base64.
    pub sender_key: String,
    /// The session itself in the export format, as unpadded base64 of 165 bytes. Secret.
    pub session_key: SecretString,
    /// The keys that the backup claims for the sending device, by algorithm (`ed25519`). Empty if the backup has
    /// none.
    pub sender_claimed_keys: HashMap<String, String>,
    /// The devices that passed the session on, oldest first. Usually empty.
    pub forwarding_curve25519_key_chain: Vec<String>,
    /// The first message index that the session can decrypt.
    pub first_known_index: u32,
    /// Whether the key may be shared with people who are invited later (MSC4268, MSC3061). True if this copy of the
    /// session, or any copy in the vault that connects to it, says so.
    pub shared_history: bool,
    /// The backup version that this copy came from.
    pub origin: BackupOrigin,
}

/// The backup version that a room key came from.
///
/// A crypto store that uploads its keys to a backup needs it; otherwise the store uploads everything that was just
/// restored. Mark a key as backed up in `version` only if `is_current` is true and the store itself uploads to that
/// version under that public key. Version numbers can repeat; the public key tells two backups apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, uniffi::Record)]
pub struct BackupOrigin {
    /// The version, as the server names it.
    pub version: String,
    /// The public key of that version, unpadded base64.
    pub public_key: String,
    /// Whether the server said that this version is the current one, in the run or the call that returned this key.
    pub is_current: bool,
}

impl BackupOrigin {
    /// Returns the origin for a version that is not known to be the current one.
    pub(crate) fn of(version: &str, public_key: &[u8]) -> Self {
        Self {
            version: version.to_owned(),
            public_key: BASE64.encode(public_key),
            is_current: false,
        }
    }

    /// Returns the same origin with `is_current` set as given.
    #[must_use]
    pub(crate) fn with_current(&self, is_current: bool) -> Self {
        Self {
            is_current,
            ..self.clone()
        }
    }
}

/// The content of a room key in JSON, as backups and key exports hold it. The flag is written under two names: the
/// specification's, and the one that every client of today reads. Both of matrix-sdk's names together would make it
/// drop the key.
#[derive(Serialize)]
pub(crate) struct RoomKeyContent<'a> {
    algorithm: &'a str,
    sender_key: &'a str,
    session_key: &'a str,
    sender_claimed_keys: &'a HashMap<String, String>,
    forwarding_curve25519_key_chain: &'a [String],
    shared_history: bool,
    #[serde(rename = "org.matrix.msc3061.shared_history")]
    msc3061_shared_history: bool,
}

impl<'a> From<&'a RoomKey> for RoomKeyContent<'a> {
    fn from(key: &'a RoomKey) -> Self {
        Self {
            algorithm: &key.algorithm,
            sender_key: &key.sender_key,
            session_key: key.session_key.expose(),
            sender_claimed_keys: &key.sender_claimed_keys,
            forwarding_curve25519_key_chain: &key.forwarding_curve25519_key_chain,
            shared_history: key.shared_history,
            msc3061_shared_history: key.shared_history,
        }
    }
}

/// Returns a key of a new session, which begins at index 5.
#[cfg(test)]
pub(crate) fn example() -> RoomKey {
    use matrix_sdk_crypto::vodozemac::{
        Ed25519SecretKey,
        megolm::{GroupSession, InboundGroupSession, SessionConfig},
    };

    let group = GroupSession::new(SessionConfig::version_1());
    let mut session = InboundGroupSession::new(&group.session_key(), SessionConfig::version_1());
    let exported = session.export_at(5).expect("the ratchet advances");
    let signing_key = Ed25519SecretKey::new().public_key().to_base64();
    RoomKey {
        room_id: "!r:x".to_owned(),
        session_id: group.session_id(),
        algorithm: "m.megolm.v1.aes-sha2".to_owned(),
        sender_key: BASE64.encode([1; 32]),
        session_key: SecretString::from(exported.to_base64()),
        sender_claimed_keys: HashMap::from([("ed25519".to_owned(), signing_key)]),
        forwarding_curve25519_key_chain: Vec::new(),
        first_known_index: 5,
        shared_history: true,
        origin: BackupOrigin::of("1", &[9; 32]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_written_under_two_names_but_not_as_m_shared_history() {
        for shared_history in [true, false] {
            let key = RoomKey {
                shared_history,
                ..example()
            };
            let json = serde_json::to_value(RoomKeyContent::from(&key)).expect("JSON");
            assert_eq!(json["shared_history"], shared_history);
            assert_eq!(json["org.matrix.msc3061.shared_history"], shared_history);
            assert_eq!(json.get("m.shared_history"), None);
        }
    }
}
