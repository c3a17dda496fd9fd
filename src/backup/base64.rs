//! Base64 as Matrix clients write it: without padding. A reader must take it with padding, too.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use base64_simd::{Out, STANDARD_NO_PAD};

/// Writes without padding and reads with or without it, as the specification requires of readers.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes of a key, and of its canonical base64.
const KEY: usize = 32;
const CANONICAL_KEY: usize = 43;

/// Decodes what [`BASE64`] decodes, and appends it to `out`. Returns `None`, with anything at the end of `out`, if it is
/// not base64.
pub(crate) fn decode_onto(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // Nearly all base64 is canonical. This decoder takes nothing else, and needs a tenth of the time.
    match STANDARD_NO_PAD.decode_append(text, out) {
        Ok(()) => Some(()),
        Err(_) => BASE64.decode_vec(text, out).ok(),
    }
}

/// Returns the key that this is the base64 of. `None` if it is not base64, or not of 32 bytes.
pub(crate) fn decode_key(text: &str) -> Option<[u8; KEY]> {
    decode_canonical_key(text).or_else(|| {
        // The decoder requires room for whole groups of three bytes.
        let mut bytes = [0; KEY + 4];
        let length = BASE64.decode_slice(text, &mut bytes).ok()?;
        bytes[..length].try_into().ok()
    })
}

/// Returns the key that this is the canonical base64 of: without padding, and with unused bits that are zero, so that
/// encoding the key gives the same text.
pub(crate) fn decode_canonical_key(text: &str) -> Option<[u8; KEY]> {
    let mut key = [0; KEY];
    if text.len() != CANONICAL_KEY {
        return None;
    }
    STANDARD_NO_PAD
        .decode(text.as_bytes(), Out::from_slice(&mut key))
        .ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_decoders_take_what_the_lenient_one_takes() {
        for length in 0..100_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37) ^ length).collect();
            let text = BASE64.encode(&bytes);
            let mut decoded = vec![7];
            assert_eq!(decode_onto(text.as_bytes(), &mut decoded), Some(()));
            assert_eq!(decoded[1..], bytes, "appended");
            let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
            let mut decoded = Vec::new();
            assert_eq!(decode_onto(padded.as_bytes(), &mut decoded), Some(()));
            assert_eq!(decoded, bytes, "with padding");
        }
        for other in ["A", "AAAA\n", "AA A", "AA-_", "AAAAA", "\u{fc}AAA"] {
            assert_eq!(decode_onto(other.as_bytes(), &mut Vec::new()), None, "{other:?}");
        }
        let mut decoded = Vec::new();
        assert_eq!(decode_onto(b"AB", &mut decoded), Some(()), "trailing bits");
        assert_eq!(decoded, [0]);
    }

    #[test]
    fn only_one_text_is_canonical() {
        let key = [0xfe; 32];
        let text = BASE64.encode(key);
        assert_eq!(decode_canonical_key(&text), Some(key));
        let trailing = format!("{}5", &text[..42]);
        for other in [format!("{text}="), trailing] {
            assert_eq!(decode_canonical_key(&other), None);
            assert_eq!(decode_key(&other), Some(key), "{other}");
        }
        for other in [
            String::new(),
            BASE64.encode([1; 31]),
            BASE64.encode([1; 33]),
            "?".repeat(43),
        ] {
            assert_eq!(decode_key(&other), None, "{other}");
        }
    }
}
