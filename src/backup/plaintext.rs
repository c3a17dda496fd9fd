//! The content of a decrypted entry (`BackedUpSessionData`), read as leniently as is safe.
//!
//! Only `algorithm`, `sender_key` and `session_key` are needed to decrypt a message. Any other field may be missing
//! or of the wrong type; then only that field is lost, not the key.

use std::{borrow::Cow, fmt};

use base64::Engine;
use memchr::{memchr, memchr_iter};
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

use super::{
    BackupOrigin, FailureReason, RoomKey,
    base64::{BASE64, decode_key, decode_onto},
    limits::MAX_CLAIM_TEXTS,
    session_id::SessionId,
};
use crate::secret::SecretString;

const MEGOLM_V1: &str = "m.megolm.v1.aes-sha2";
/// Version byte, message index, ratchet, Ed25519 key (Megolm specification, "Session export format").
const EXPORTED_SESSION_BYTES: usize = 1 + 4 + 128 + 32;
const EXPORT_VERSION: u8 = 1;
/// The names of the MSC4268 flag. The first name that is present decides.
const SHARED_HISTORY_NAMES: [&str; 3] = [
    "shared_history",
    "m.shared_history",
    "org.matrix.msc3061.shared_history",
];

/// A decrypted entry that has passed every check.
pub(crate) struct OpenedEntry<'a> {
    fields: Fields<'a>,
    sender_key: [u8; 32],
    session: Zeroizing<Vec<u8>>,
    session_id: SessionId,
}

impl<'a> OpenedEntry<'a> {
    /// Reads and checks the plaintext of the entry listed as `session_id`.
    pub(crate) fn parse(plaintext: &'a [u8], session_id: &SessionId) -> Result<Self, FailureReason> {
        // Checked as a whole: the parser would check each text alone.
        let plaintext = std::str::from_utf8(plaintext).map_err(|_| FailureReason::NotARoomKey)?;
        let fields: Fields<'a> = serde_json::from_str(plaintext).map_err(|_| FailureReason::NotARoomKey)?;
        if fields
            .algorithm
            .as_deref()
            .is_some_and(|algorithm| algorithm != MEGOLM_V1)
        {
            return Err(FailureReason::UnknownAlgorithm);
        }
        let (Some(_), Some(sender_key), Some(session_key)) =
            (&fields.algorithm, &fields.sender_key, fields.session_key.and_then(text))
        else {
            return Err(FailureReason::NotARoomKey);
        };
        let sender_key = decode_key(sender_key).ok_or(FailureReason::NotARoomKey)?;
        let mut session = Zeroizing::new(Vec::with_capacity(EXPORTED_SESSION_BYTES + 3));
        let decoded = decode_onto(session_key.as_bytes(), &mut session);
        if let Cow::Owned(mut copy) = session_key {
            copy.zeroize();
        }
        decoded.ok_or(FailureReason::NotARoomKey)?;
        if session.len() != EXPORTED_SESSION_BYTES || session[0] != EXPORT_VERSION {
            return Err(FailureReason::NotARoomKey);
        }
        // matrix-sdk-crypto keeps the listed id, so a wrong key under it would shut out the genuine one.
        if *session_id.to_bytes() != session[EXPORTED_SESSION_BYTES - 32..] {
            return Err(FailureReason::SessionIdMismatch);
        }
        Ok(Self {
            fields,
            sender_key,
            session,
            session_id: session_id.clone(),
        })
    }

    pub(crate) fn first_known_index(&self) -> u32 {
        u32::from_be_bytes(self.session[1..5].try_into().expect("four bytes"))
    }

    /// Returns the session in the export format: version, index, ratchet, id.
    pub(crate) fn session(&self) -> &[u8] {
        &self.session
    }

    pub(crate) fn shared_history(&self) -> bool {
        self.fields
            .shared_history
            .iter()
            .flatten()
            .next()
            .copied()
            .unwrap_or(false)
    }

    pub(crate) fn room_key(&self, room_id: &str, origin: &BackupOrigin) -> RoomKey {
        RoomKey {
            room_id: room_id.to_owned(),
            session_id: self.session_id.to_string(),
            algorithm: MEGOLM_V1.to_owned(),
            sender_key: BASE64.encode(self.sender_key),
            session_key: SecretString::from(BASE64.encode(&*self.session)),
            sender_claimed_keys: lenient(few(self.fields.sender_claimed_keys)),
            forwarding_curve25519_key_chain: lenient(few(self.fields.forwarding_chain)),
            first_known_index: self.first_known_index(),
            shared_history: self.shared_history(),
            origin: origin.clone(),
        }
    }
}

/// Returns the value, or an empty one if it is missing or has another shape.
fn lenient<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

/// Returns the value unless it holds more than [`MAX_CLAIM_TEXTS`] strings: in memory, each takes many times its
/// bytes.
fn few(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| memchr_iter(b'"', raw.get().as_bytes()).count() <= 2 * MAX_CLAIM_TEXTS)
}

/// The raw fields. If a field occurs several times, the first usable value counts.
#[derive(Default)]
struct Fields<'a> {
    algorithm: Option<Cow<'a, str>>,
    sender_key: Option<Cow<'a, str>>,
    session_key: Option<&'a RawValue>,
    sender_claimed_keys: Option<&'a RawValue>,
    forwarding_chain: Option<&'a RawValue>,
    /// In the order of [`SHARED_HISTORY_NAMES`]; any value other than `true` counts as false.
    shared_history: [Option<bool>; 3],
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the session data of a backup")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Text(name)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            match name.as_ref() {
                "algorithm" => keep_first(&mut fields.algorithm, || text(value)),
                "sender_key" => keep_first(&mut fields.sender_key, || text(value)),
                "session_key" => keep_first(&mut fields.session_key, || Some(value)),
                "sender_claimed_keys" => keep_first(&mut fields.sender_claimed_keys, || Some(value)),
                "forwarding_curve25519_key_chain" => keep_first(&mut fields.forwarding_chain, || Some(value)),
                other => {
                    if let Some(position) = SHARED_HISTORY_NAMES.iter().position(|name| *name == other) {
                        keep_first(&mut fields.shared_history[position], || Some(value.get() == "true"));
                    }
                }
            }
        }
        Ok(fields)
    }
}

fn keep_first<T>(slot: &mut Option<T>, value: impl FnOnce() -> Option<T>) {
    if slot.is_none() {
        *slot = value();
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    // The JSON is already validated, so without an escape the text is what stands between the quotes.
    if let Some(text) = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
        && memchr(b'\\', text.as_bytes()).is_none()
    {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> BackupOrigin {
        BackupOrigin {
            version: "1".to_owned(),
            public_key: String::new(),
            is_current: true,
        }
    }

    fn plaintext(extra: &str) -> (String, SessionId) {
        let mut session = vec![EXPORT_VERSION, 0, 0, 0, 5];
        session.extend([8; 128]);
        session.extend([9; 32]);
        let json = format!(
            r#"{{"algorithm":"{MEGOLM_V1}","sender_key":"{}","session_key":"{}"{extra}}}"#,
            BASE64.encode([3; 32]),
            BASE64.encode(&session)
        );
        (json, SessionId::Key([9; 32]))
    }

    #[test]
    fn malformed_optional_fields_do_not_fail_the_key() {
        for extra in [
            "",
            r#","sender_claimed_keys":[],"forwarding_curve25519_key_chain":null"#,
            r#","sender_claimed_keys":{"ed25519":7},"forwarding_curve25519_key_chain":[1,"x"],"x":{"y":[]}"#,
        ] {
            let (json, session_id) = plaintext(extra);
            let key = OpenedEntry::parse(json.as_bytes(), &session_id)
                .unwrap_or_else(|reason| panic!("{reason:?}"))
                .room_key("!a", &origin());
            assert_eq!(key.first_known_index, 5);
            assert!(key.sender_claimed_keys.is_empty() && key.forwarding_curve25519_key_chain.is_empty());
        }
    }

    #[test]
    fn the_highest_present_name_of_the_flag_decides() {
        let flag = |extra: &str| {
            let (json, session_id) = plaintext(extra);
            OpenedEntry::parse(json.as_bytes(), &session_id)
                .unwrap_or_else(|reason| panic!("{reason:?}"))
                .shared_history()
        };
        assert!(!flag(""));
        assert!(flag(r#","shared_history":true"#));
        assert!(flag(r#","m.shared_history":true"#));
        assert!(flag(r#","org.matrix.msc3061.shared_history":true"#));
        assert!(!flag(
            r#","org.matrix.msc3061.shared_history":true,"m.shared_history":false"#
        ));
        assert!(!flag(r#","shared_history":"true","m.shared_history":true"#));
        assert!(!flag(
            r#","shared_history":null,"org.matrix.msc3061.shared_history":true"#
        ));
        assert!(flag(r#","org.matrix.msc3061.shared_history":1,"shared_history":true"#));
    }

    #[test]
    fn each_invalid_plaintext_has_its_failure_reason() {
        let (json, session_id) = plaintext("");
        let parse = |json: &str, id: &SessionId| OpenedEntry::parse(json.as_bytes(), id).err();
        assert_eq!(
            parse(&json, &SessionId::Key([1; 32])),
            Some(FailureReason::SessionIdMismatch)
        );
        assert_eq!(
            parse(&json.replace("v1.aes", "v9.aes"), &session_id),
            Some(FailureReason::UnknownAlgorithm)
        );
        assert_eq!(
            parse(&json.replace("sender_key", "s"), &session_id),
            Some(FailureReason::NotARoomKey)
        );
        assert_eq!(parse("[]", &session_id), Some(FailureReason::NotARoomKey));
        assert_eq!(parse("", &session_id), Some(FailureReason::NotARoomKey));
    }
}
