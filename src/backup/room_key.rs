//! The room key: what the whole crate is there to bring.

use std::collections::HashMap;

use base64::Engine;

use super::session_id::BASE64;
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
    /// Whether the key may be shared with people invited later (MSC4268, MSC3061). True if any copy of the session that the
    /// vault has, and that connects to this one, says true; false otherwise.
    pub shared_history: bool,
    /// The backup version that this copy came from.
    pub origin: BackupOrigin,
}

/// The backup version that a room key came from.
///
/// A crypto store that uploads its keys to a backup needs it, or it uploads everything that was just restored: mark a key as
/// backed up in `version` only if `is_current` is true, and only if the store itself uploads to that version under that
/// public key. Version numbers can repeat; the public key tells two backups apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, uniffi::Record)]
pub struct BackupOrigin {
    /// The version, as the server names it.
    pub version: String,
    /// The public key of that version, unpadded base64.
    pub public_key: String,
    /// Whether the server said, in the run or the call that gave out this key, that this version is the current one.
    pub is_current: bool,
}

impl BackupOrigin {
    /// A version that is not known to be the current one.
    pub(crate) fn of(version: &str, public_key: &[u8]) -> Self {
        Self {
            version: version.to_owned(),
            public_key: BASE64.encode(public_key),
            is_current: false,
        }
    }

    /// The same version, current or not.
    #[must_use]
    pub(crate) fn with_current(&self, is_current: bool) -> Self {
        Self {
            is_current,
            ..self.clone()
        }
    }
}
