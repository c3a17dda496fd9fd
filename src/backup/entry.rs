//! An entry as the vault keeps it: compact, still encrypted, never refused.
//!
//! A well-formed entry is packed to its raw bytes (base64 is decoded, which saves a quarter of the writing). Anything
//! else is kept as received, so that a later version of the crate may understand it; its fault is reported when it is
//! opened.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, Error, Visitor},
};
use serde_json::value::RawValue;

use super::{base64::decode_onto, limits::MAX_ENTRY_BYTES, reader::RawEntry};

/// Bytes of the ephemeral public key.
const EPHEMERAL: usize = 32;
/// Bytes of the truncated MAC.
const MAC: usize = 8;

const TAG_AS_IT_CAME: u8 = 0;
const TAG_CURVE25519_AES_SHA2: u8 = 1;
const TAG_TOO_LARGE: u8 = 2;
const TAG_BAD_ID: u8 = 3;

/// Why an entry of the backup could not become a room key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, uniffi::Enum)]
#[non_exhaustive]
pub enum FailureReason {
    /// The entry does not have the form that its backup algorithm requires.
    Malformed,
    /// The entry is larger than 64 KiB, and was not kept.
    TooLarge,
    /// The room id or the session id is longer than 255 bytes, or is not valid text.
    InvalidId,
    /// The entry does not decrypt with the backup's key: it was encrypted for another key, or is damaged.
    Undecryptable,
    /// The entry decrypts, but its content is not a room key.
    NotARoomKey,
    /// The entry decrypts to a room key of an algorithm that this version of keyferry does not know.
    UnknownAlgorithm,
    /// The session inside the entry is not the one that the backup lists it under. Accepting it would let a server
    /// swap keys.
    SessionIdMismatch,
    /// The session id is not a valid Ed25519 key, so no message can ever have been signed with it. This is detected
    /// only when the key is compared, looked up, delivered or exported.
    InvalidSessionKey,
}

impl FailureReason {
    /// Every reason, in the order of the numbers that the vault keeps.
    pub(crate) const ALL: [Self; 8] = [
        Self::Malformed,
        Self::TooLarge,
        Self::InvalidId,
        Self::Undecryptable,
        Self::NotARoomKey,
        Self::UnknownAlgorithm,
        Self::SessionIdMismatch,
        Self::InvalidSessionKey,
    ];

    /// Returns the name used in JSON output and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::InvalidId => "invalid_id",
            Self::Undecryptable => "undecryptable",
            Self::NotARoomKey => "not_a_room_key",
            Self::UnknownAlgorithm => "unknown_algorithm",
            Self::SessionIdMismatch => "session_id_mismatch",
            Self::InvalidSessionKey => "invalid_session_key",
        }
    }

    /// Returns the number that the vault keeps, counted from 1.
    pub(crate) fn code(self) -> i64 {
        Self::ALL
            .iter()
            .position(|reason| *reason == self)
            .map_or(0, |position| position as i64 + 1)
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        let position = usize::try_from(code).ok()?.checked_sub(1)?;
        Self::ALL.get(position).copied()
    }
}

/// The parts of a packed entry of `m.megolm_backup.v1.curve25519-aes-sha2`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncryptedEntry<'a> {
    pub(crate) ephemeral: &'a [u8],
    pub(crate) mac: &'a [u8],
    pub(crate) ciphertext: &'a [u8],
}

/// What an entry claims about itself. Anyone can write anything there, and some clients write nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The first message index that the key decrypts.
    pub(crate) first_message_index: Option<u32>,
    /// How often the key was forwarded before it was backed up.
    pub(crate) forwarded_count: Option<u32>,
}

/// Appends the packed form of an entry to `out`. Returns what the entry claims about itself.
pub(crate) fn pack(entry: RawEntry<'_>, out: &mut Vec<u8>) -> Claims {
    match entry {
        RawEntry::TooLarge => out.push(TAG_TOO_LARGE),
        RawEntry::BadId => out.push(TAG_BAD_ID),
        RawEntry::Json(json) => {
            let begin = out.len();
            match pack_encrypted(json, out) {
                Some(claims) => return claims,
                None => {
                    out.truncate(begin);
                    out.push(TAG_AS_IT_CAME);
                    out.extend_from_slice(&json[..json.len().min(MAX_ENTRY_BYTES)]);
                }
            }
        }
    }
    Claims::default()
}

/// Returns the parts of a packed entry, or what is wrong with it.
pub(crate) fn unpack(packed: &[u8]) -> Result<EncryptedEntry<'_>, FailureReason> {
    match packed.split_first() {
        Some((&TAG_CURVE25519_AES_SHA2, rest)) if rest.len() > EPHEMERAL + MAC => {
            let (ephemeral, rest) = rest.split_at(EPHEMERAL);
            let (mac, ciphertext) = rest.split_at(MAC);
            Ok(EncryptedEntry {
                ephemeral,
                mac,
                ciphertext,
            })
        }
        Some((&TAG_TOO_LARGE, _)) => Err(FailureReason::TooLarge),
        Some((&TAG_BAD_ID, _)) => Err(FailureReason::InvalidId),
        _ => Err(FailureReason::Malformed),
    }
}

/// An entry with its hints. One that has a hint twice does not parse as this, and is read without its hints.
#[derive(Deserialize)]
struct EntryJson<'a> {
    #[serde(borrow)]
    session_data: SessionDataJson<'a>,
    #[serde(borrow)]
    first_message_index: Option<&'a RawValue>,
    #[serde(borrow)]
    forwarded_count: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct BareEntryJson<'a> {
    #[serde(borrow)]
    session_data: SessionDataJson<'a>,
}

#[derive(Deserialize)]
struct SessionDataJson<'a> {
    #[serde(borrow)]
    ephemeral: Text<'a>,
    #[serde(borrow)]
    mac: Text<'a>,
    #[serde(borrow)]
    ciphertext: Text<'a>,
}

/// The bytes of a string. Whether they are valid text is not checked, because they are only valid as base64.
struct Text<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("base64")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(bytes)))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(bytes.to_owned())))
    }
}

fn pack_encrypted(json: &[u8], out: &mut Vec<u8>) -> Option<Claims> {
    let (data, claims) = match serde_json::from_slice::<EntryJson<'_>>(json) {
        Ok(entry) => {
            let number = |raw: Option<&RawValue>| raw.and_then(|raw| raw.get().parse().ok());
            let claims = Claims {
                first_message_index: number(entry.first_message_index),
                forwarded_count: number(entry.forwarded_count),
            };
            (entry.session_data, claims)
        }
        Err(_) => {
            let entry: BareEntryJson<'_> = serde_json::from_slice(json).ok()?;
            (entry.session_data, Claims::default())
        }
    };
    let SessionDataJson {
        ephemeral,
        mac,
        ciphertext,
    } = data;
    out.push(TAG_CURVE25519_AES_SHA2);
    let mut exactly = |text: &[u8], bytes: usize| {
        let begin = out.len();
        decode_onto(text, out)?;
        (out.len() - begin == bytes).then_some(())
    };
    exactly(&ephemeral.0, EPHEMERAL)?;
    exactly(&mac.0, MAC)?;
    let begin = out.len();
    decode_onto(&ciphertext.0, out)?;
    (out.len() > begin).then_some(claims)
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;
    use crate::backup::base64::BASE64;

    fn packed(json: &str) -> Vec<u8> {
        let mut out = vec![9];
        pack(RawEntry::Json(json.as_bytes()), &mut out);
        out.split_off(1)
    }

    #[test]
    fn a_sound_entry_is_packed_despite_odd_fields_around_it() {
        let ephemeral = BASE64.encode([1; 32]);
        let mac = BASE64.encode([2; 8]);
        for json in [
            format!(r#"{{"session_data":{{"ephemeral":"{ephemeral}","mac":"{mac}","ciphertext":"AwMD"}}}}"#),
            format!(
                r#"{{"is_verified":1,"x":[{{}}],"session_data":{{"ciphertext":"Aw\u004dD","y":null,"mac":"{mac}=","ephemeral":"{ephemeral}="}},"forwarded_count":"2"}}"#
            ),
        ] {
            let packed = packed(&json);
            let entry = unpack(&packed).expect("a sound entry");
            assert_eq!(
                (entry.ephemeral, entry.mac, entry.ciphertext),
                (&[1; 32][..], &[2; 8][..], &[3; 3][..])
            );
        }
    }

    #[test]
    fn an_unsound_entry_is_kept_unchanged() {
        for json in [
            "null",
            "{}",
            r#"{"session_data":"text"}"#,
            r#"{"session_data":{"ephemeral":"AA","mac":"AA","ciphertext":""}}"#,
        ] {
            let packed = packed(json);
            assert_eq!(&packed[1..], json.as_bytes());
            assert_eq!(unpack(&packed).err(), Some(FailureReason::Malformed));
        }
    }

    #[test]
    fn a_claim_counts_only_if_it_is_a_number() {
        let data = format!(
            r#""session_data":{{"ephemeral":"{}","mac":"{}","ciphertext":"AwMD"}}"#,
            BASE64.encode([1; 32]),
            BASE64.encode([2; 8])
        );
        for (hints, index, count) in [
            (r#""first_message_index":7,"forwarded_count": 2"#, Some(7), Some(2)),
            (r#""first_message_index": 0 "#, Some(0), None),
            (r#""first_message_index":-1,"forwarded_count":0"#, None, Some(0)),
            (r#""first_message_index":"7","forwarded_count":"0""#, None, None),
            (r#""first_message_index":4294967296"#, None, None),
            (r#""x":1"#, None, None),
            // A repeated claim is too odd to be believed, but does not cost the entry.
            (r#""first_message_index":7,"first_message_index":7"#, None, None),
        ] {
            let mut out = Vec::new();
            let claims = pack(RawEntry::Json(format!("{{{hints},{data}}}").as_bytes()), &mut out);
            assert_eq!(
                (claims.first_message_index, claims.forwarded_count),
                (index, count),
                "{hints}"
            );
            assert!(unpack(&out).is_ok(), "{hints}");
        }
        assert_eq!(pack(RawEntry::TooLarge, &mut Vec::new()), Claims::default());
    }

    #[test]
    fn every_failure_reason_has_a_code() {
        for reason in FailureReason::ALL {
            assert_eq!(FailureReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(FailureReason::from_code(0), None);
    }
}
