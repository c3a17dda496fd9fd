//! Base64 as Matrix clients write it, and session ids in their short form.
//!
//! A session id is the unpadded base64 of an Ed25519 public key: 43 characters for 32 bytes. The vault keeps the bytes.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Writes without padding, reads with or without, as the specification asks of readers.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A session id as the vault keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionId {
    /// The canonical form: the bytes of the key that the id names.
    Key([u8; 32]),
    /// Any other text; never opens, is kept to be counted and shown.
    Text(String),
}

impl SessionId {
    pub(crate) fn parse(text: &str) -> Self {
        let mut bytes = [0; 33];
        match BASE64.decode_slice(text, &mut bytes) {
            Ok(32) => {
                let key: [u8; 32] = bytes[..32].try_into().expect("32 of 33 bytes");
                // Only what encodes back to the same text is the same id.
                let mut again = [0; 44];
                match BASE64.encode_slice(key, &mut again) {
                    Ok(length) if &again[..length] == text.as_bytes() => Self::Key(key),
                    _ => Self::Text(text.to_owned()),
                }
            }
            _ => Self::Text(text.to_owned()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Key(key) => key,
            Self::Text(text) => text.as_bytes(),
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
}
