//! Session ids in their short form.
//!
//! A session id is the unpadded base64 of an Ed25519 public key: 43 characters for 32 bytes. The vault keeps the bytes.

use std::borrow::Cow;

use base64::Engine;

use super::base64::{BASE64, decode_canonical_key};

/// Prefix of a text that is as long as a key (32 bytes). No text begins with this byte.
const NO_KEY: u8 = 0xff;

/// A session id as the vault keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionId {
    /// The canonical form: the bytes of the key that the id encodes.
    Key([u8; 32]),
    /// Any other text. Such an entry never opens; its id is kept so that it can be counted and shown.
    Text(String),
}

impl SessionId {
    pub(crate) fn parse(text: &str) -> Self {
        match decode_canonical_key(text) {
            Some(key) => Self::Key(key),
            None => Self::Text(text.to_owned()),
        }
    }

    /// Returns the form that the vault keeps: the 32 bytes of a key, or a text of any other length.
    pub(crate) fn to_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Key(key) => Cow::Borrowed(key),
            Self::Text(text) if text.len() == 32 => Cow::Owned([&[NO_KEY], text.as_bytes()].concat()),
            Self::Text(text) => Cow::Borrowed(text.as_bytes()),
        }
    }

    /// Restores an id from the form that the vault keeps.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        match (<[u8; 32]>::try_from(bytes), bytes) {
            (Ok(key), _) => Self::Key(key),
            (Err(_), [NO_KEY, text @ ..] | text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
        }
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => formatter.write_str(&BASE64.encode(key)),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_canonical_id_takes_the_short_form() {
        let id = BASE64.encode([7; 32]);
        assert_eq!(SessionId::parse(&id), SessionId::Key([7; 32]));
        assert_eq!(SessionId::parse(&id).to_string(), id);
        let padded = format!("{id}=");
        assert_eq!(SessionId::parse(&padded), SessionId::Text(padded.clone()));
        let mut trailing = id.clone();
        trailing.replace_range(42.., "d");
        assert_eq!(SessionId::parse(&trailing), SessionId::Text(trailing.clone()));
        assert_eq!(SessionId::parse(""), SessionId::Text(String::new()));
    }

    #[test]
    fn a_session_id_survives_the_vault_unchanged() {
        let id = BASE64.encode([7; 32]);
        for text in [
            id.as_str(),
            "",
            "s",
            &"?".repeat(31),
            &"?".repeat(32),
            &"ÿ".repeat(16),
            &"?".repeat(33),
        ] {
            let parsed = SessionId::parse(text);
            assert_eq!(SessionId::from_bytes(&parsed.to_bytes()), parsed, "{text}");
            assert_eq!(parsed.to_string(), text);
        }
    }
}
