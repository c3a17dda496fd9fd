//! The room key: what the whole crate is there to bring.

use std::collections::HashMap;

use crate::secret::SecretString;

/// One inbound Megolm session, as it came out of the backup (client-server API, `BackedUpSessionData`).
///
/// It is *not authenticated*: whoever can write to the backup could have made it up. Import it as an untrusted key,
/// as crypto libraries do with keys from a backup.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct RoomKey {
    /// The room that the backup lists the session under.
    pub room_id: String,
    /// The session id: the unpadded base64 of the session's Ed25519 key. Checked against `session_key`.
    pub session_id: String,
    /// The Megolm algorithm, `m.megolm.v1.aes-sha2` as a rule.
    pub algorithm: String,
    /// The Curve25519 key of the device that is said to have made the session, unpadded base64.
    pub sender_key: String,
    /// The session itself in the export format (unpadded base64 of 165 bytes). Secret.
    pub session_key: SecretString,
    /// The keys that the sending device is said to have, by algorithm (`ed25519`). Empty where the backup has none.
    pub sender_claimed_keys: HashMap<String, String>,
    /// The devices that passed the session on, oldest first. Empty as a rule.
    pub forwarding_curve25519_key_chain: Vec<String>,
    /// The first message index that the session can decrypt.
    pub first_known_index: u32,
    /// Whether the key may be shared with people invited later (MSC4268, MSC3061). False unless the backup says true.
    pub shared_history: bool,
}
