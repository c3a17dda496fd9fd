//! The ratchet of a Megolm session: decides whether two copies are the same session, and whether an event proves one.
//!
//! An exported session carries no signature: anyone who knows a session's public key can write an export that opens.
//! Two copies are one session only if advancing the earlier ratchet to the index of the later one yields the later
//! one, byte for byte. vodozemac does the cryptography.

use matrix_sdk_crypto::vodozemac::megolm::{ExportedSessionKey, InboundGroupSession, MegolmMessage, SessionConfig};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{RoomKey, base64::decode_onto, limits::MAX_EVENT_BYTES};

/// The ratchet of one copy of a session.
pub(crate) struct Ratchet(InboundGroupSession);

impl Ratchet {
    /// Reads a session in the export format. Returns `None` if its id is not an Ed25519 key.
    pub(crate) fn import(session: &[u8]) -> Option<Self> {
        let key = ExportedSessionKey::from_bytes(session).ok()?;
        Some(Self(InboundGroupSession::import(&key, SessionConfig::version_1())))
    }

    /// Reads the session of a room key. Returns `None` if its id is not an Ed25519 key.
    pub(crate) fn of(key: &RoomKey) -> Option<Self> {
        let mut session = Zeroizing::new(Vec::with_capacity(3 * key.session_key.expose().len() / 4 + 3));
        decode_onto(key.session_key.expose().as_bytes(), &mut session)?;
        Self::import(&session)
    }

    /// Returns the session advanced to an index, in the export format, or `None` if the session begins later. Takes
    /// at most 0.2 ms at any index, because the ratchet skips in four strides.
    pub(crate) fn at(&mut self, index: u32) -> Option<Zeroizing<Vec<u8>>> {
        Some(Zeroizing::new(self.0.export_at(index)?.to_bytes()))
    }

    /// Whether the session decrypts the event, and the event's plaintext names that room.
    pub(crate) fn is_proved_by(&mut self, event: &MegolmEvent, room_id: &str) -> bool {
        #[derive(Deserialize)]
        struct Plaintext {
            room_id: String,
        }
        let Ok(decrypted) = self.0.decrypt(&event.message) else {
            return false;
        };
        let plaintext = Zeroizing::new(decrypted.plaintext);
        serde_json::from_slice::<Plaintext>(&plaintext).is_ok_and(|plaintext| plaintext.room_id == room_id)
    }
}

/// An event encrypted with Megolm (`m.room.encrypted`).
pub(crate) struct MegolmEvent {
    message: MegolmMessage,
    /// The session that the event says it is encrypted with, if it says so.
    pub(crate) session_id: Option<String>,
}

impl MegolmEvent {
    /// Reads the JSON of the event, or of its content alone. Returns `None` if it is not a Megolm message or is
    /// larger than [`MAX_EVENT_BYTES`].
    pub(crate) fn parse(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Content {
            ciphertext: String,
            session_id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Event {
            content: Content,
        }
        if json.len() > MAX_EVENT_BYTES {
            return None;
        }
        let content = match serde_json::from_str::<Event>(json) {
            Ok(event) => event.content,
            Err(_) => serde_json::from_str(json).ok()?,
        };
        Some(Self {
            message: MegolmMessage::from_base64(&content.ciphertext).ok()?,
            session_id: content.session_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use matrix_sdk_crypto::vodozemac::megolm::GroupSession;
    use serde_json::json;

    use super::*;

    const ROOM: &str = "!r:x";

    fn event(session: &mut GroupSession, plaintext: &serde_json::Value) -> String {
        let ciphertext = session.encrypt(plaintext.to_string()).to_base64();
        json!({ "type": "m.room.encrypted", "content": { "ciphertext": ciphertext, "session_id": session.session_id() } })
            .to_string()
    }

    #[test]
    fn an_event_proves_its_session_and_its_room() {
        let mut sender = GroupSession::new(SessionConfig::version_1());
        let key = InboundGroupSession::new(&sender.session_key(), SessionConfig::version_1())
            .export_at(0)
            .expect("from the beginning")
            .to_bytes();
        let text = event(
            &mut sender,
            &json!({ "room_id": ROOM, "type": "m.room.message", "content": {} }),
        );
        let parsed = MegolmEvent::parse(&text).expect("an event");
        assert_eq!(parsed.session_id, Some(sender.session_id()));
        let mut ratchet = Ratchet::import(&key).expect("a session");
        assert!(ratchet.is_proved_by(&parsed, ROOM));
        assert!(!ratchet.is_proved_by(&parsed, "!other:x"));
        // Neither a forged ratchet under the same id nor a copy that begins too late decrypts it.
        let mut forged = key.clone();
        forged[70] ^= 1;
        assert!(!Ratchet::import(&forged).expect("a session").is_proved_by(&parsed, ROOM));
        let late = ratchet.at(1).expect("advanced");
        assert!(!Ratchet::import(&late).expect("a session").is_proved_by(&parsed, ROOM));
        // None of these is a Megolm event.
        for odd in [
            "",
            "{}",
            "[]",
            r#"{"content":{}}"#,
            r#"{"ciphertext":"AAAA"}"#,
            r#"{"content":{"ciphertext":5}}"#,
        ] {
            assert!(MegolmEvent::parse(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_ratchet_advances_and_never_goes_back() {
        let sender = GroupSession::new(SessionConfig::version_1());
        let session = InboundGroupSession::new(&sender.session_key(), SessionConfig::version_1());
        let key = session.export_at_first_known_index().to_bytes();
        let mut ratchet = Ratchet::import(&key).expect("a session");
        let late = ratchet.at(5_000).expect("advanced");
        let mut later = Ratchet::import(&late).expect("a session");
        assert_eq!(later.at(4_999), None);
        assert_eq!(later.at(u32::MAX), ratchet.at(u32::MAX));
        // Half of all 32-byte strings are not Ed25519 keys.
        let invalid = (0..=255).find(|byte| {
            let mut altered = key.clone();
            altered[140] = *byte;
            Ratchet::import(&altered).is_none()
        });
        assert!(invalid.is_some());
    }
}
