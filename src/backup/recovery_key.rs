//! Turns what a user types or an app holds into key bytes. Pure: the caller finds out which key it is.

use aws_lc_rs::pbkdf2;
use base64::Engine;
use matrix_sdk_crypto::{backups::DecodeError, store::types::BackupDecryptionKey};
use zeroize::Zeroizing;

use super::{base64::BASE64, limits::MAX_KDF_ITERATIONS, version::PassphraseInfo};
use crate::secret::KeyBytes;

/// A text with more base58 characters than this cannot be 35 bytes.
const MAX_BASE58_CHARS: usize = 64;

/// Why a text is not a recovery key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecoveryKeyFlaw {
    /// It has a character that base58 does not have, or too few or too many characters.
    NotBase58,
    /// The parity or the prefix is wrong, usually because of a typing error.
    Mistyped,
}

/// The error for key derivation parameters that are out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnacceptableKdf;

/// Returns the 32 bytes of a base58 recovery key, of secret storage or of a backup (client-server API, "Key
/// representation").
pub(crate) fn parse_base58(text: &str) -> Result<KeyBytes, RecoveryKeyFlaw> {
    // Allocated in full: growing it would leave parts of the key behind in memory.
    let mut compact = Zeroizing::new(String::with_capacity(text.len()));
    compact.extend(text.chars().filter(|c| !c.is_whitespace()));
    if compact.len() > MAX_BASE58_CHARS {
        return Err(RecoveryKeyFlaw::NotBase58);
    }
    let key = BackupDecryptionKey::from_base58(&compact).map_err(|error| match error {
        DecodeError::Parity(..) | DecodeError::Prefix(..) => RecoveryKeyFlaw::Mistyped,
        _ => RecoveryKeyFlaw::NotBase58,
    })?;
    // `from_base58` ignores bytes after the parity, so the key must encode back to the same text.
    let again = Zeroizing::new(key.to_base58());
    if again.as_str() != compact.as_str() {
        return Err(RecoveryKeyFlaw::NotBase58);
    }
    Ok(Zeroizing::new(*key.as_bytes()))
}

/// Returns the 32 bytes of a decryption key in base64, as apps pass it around and as `m.megolm_backup.v1` holds it.
pub(crate) fn parse_base64(text: &str) -> Option<KeyBytes> {
    let bytes = Zeroizing::new(BASE64.decode(text.trim()).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

/// Derives the key of a passphrase: PBKDF2-HMAC-SHA-512 over the salt *as text*, as both the legacy backup passphrase
/// and secret storage define it. Can take seconds: the server sets the number of rounds, within bounds.
pub(crate) fn derive(passphrase: &str, info: &PassphraseInfo) -> Result<KeyBytes, UnacceptableKdf> {
    let iterations = checked_iterations(info)?;
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        iterations,
        info.salt.as_bytes(),
        passphrase.as_bytes(),
        key.as_mut_slice(),
    );
    Ok(key)
}

/// Returns the number of rounds, if a phone should run that many and the key has 256 bits.
pub(crate) fn checked_iterations(info: &PassphraseInfo) -> Result<std::num::NonZeroU32, UnacceptableKdf> {
    u32::try_from(info.iterations)
        .ok()
        .filter(|iterations| *iterations <= MAX_KDF_ITERATIONS && info.bits == 256)
        .and_then(std::num::NonZeroU32::new)
        .ok_or(UnacceptableKdf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_in_a_key_is_ignored_but_a_typo_is_an_error() {
        let key = BackupDecryptionKey::from_bytes(&[42; 32]);
        let compact = key.to_base58();
        let spaced: String = compact.chars().flat_map(|c| [c, '\u{a0}', '\n']).collect();
        assert_eq!(*parse_base58(&compact).expect("a key"), [42; 32]);
        assert_eq!(*parse_base58(&spaced).expect("a key"), [42; 32]);
        let mut typo: Vec<char> = compact.chars().collect();
        typo[20] = if typo[20] == 'x' { 'y' } else { 'x' };
        assert_eq!(
            parse_base58(&typo.into_iter().collect::<String>()).err(),
            Some(RecoveryKeyFlaw::Mistyped)
        );
        for text in [
            "",
            "0OIl",
            "abc",
            &format!("{compact}{compact}"),
            &format!("{compact}1"),
        ] {
            assert!(parse_base58(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rounds_out_of_range_are_not_run() {
        for (iterations, bits) in [(0, 256), (-1, 256), (4_000_000_000, 256), (i64::MAX, 256), (1000, 128)] {
            let info = PassphraseInfo {
                salt: "s".to_owned(),
                iterations,
                bits,
            };
            assert_eq!(derive("p", &info).err(), Some(UnacceptableKdf));
        }
    }

    #[test]
    fn base64_of_32_bytes_is_read_with_or_without_padding() {
        assert_eq!(
            *parse_base64(&format!(" {}=\n", BASE64.encode([5; 32]))).expect("a key"),
            [5; 32]
        );
        assert!(parse_base64(&BASE64.encode([5; 31])).is_none());
        assert!(parse_base64("not base64!").is_none());
    }
}
