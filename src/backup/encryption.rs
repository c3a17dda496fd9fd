//! Encrypts room keys to a backup's public key: `m.megolm_backup.v1.curve25519-aes-sha2`, built on aws-lc-rs.
//!
//! Client-server API, "Backup algorithm: m.megolm_backup.v1.curve25519-aes-sha2". Tests compare it with
//! matrix-sdk-crypto, which has to read every entry.

use aws_lc_rs::{
    agreement::{self, PrivateKey, UnparsedPublicKey, X25519},
    cipher::{EncryptionContext, PaddedBlockEncryptingKey},
    error::Unspecified,
    hkdf::Salt,
};
use base64::Engine;
use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

use super::{base64::BASE64, entry_keys::EntryKeys, room_key::RoomKeyContent};
use crate::{backup::RoomKey, random::random};

/// The most bytes that padding adds.
const PADDING: usize = 16;

/// The public half of a backup's key.
pub(crate) struct BackupEncryptionKey {
    public: [u8; 32],
    salt: Salt,
}

/// One entry, as it is put into a backup.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OutgoingEntry {
    pub(crate) first_message_index: u32,
    pub(crate) forwarded_count: u32,
    /// Always false: nothing that is read from a backup is verified.
    is_verified: bool,
    session_data: SessionData,
}

impl OutgoingEntry {
    /// Returns about how many bytes of JSON it is.
    pub(crate) fn bytes(&self) -> usize {
        let data = &self.session_data;
        // The names and the numbers take 150 at most.
        data.ciphertext.len() + data.ephemeral.len() + data.mac.len() + 150
    }
}

#[derive(Clone, Debug, Serialize)]
struct SessionData {
    ciphertext: String,
    ephemeral: String,
    mac: String,
}

impl BackupEncryptionKey {
    pub(crate) fn new(public: [u8; 32]) -> Self {
        Self {
            public,
            salt: EntryKeys::salt(),
        }
    }

    /// Encrypts a room key. `buffer` holds the plaintext for a moment, and is wiped. Returns `None` if the public key
    /// is one with which no secret can be shared.
    pub(crate) fn encrypt(&self, key: &RoomKey, forwarded_count: u32, buffer: &mut Vec<u8>) -> Option<OutgoingEntry> {
        let encrypted = self.session_data(key, buffer);
        buffer.as_mut_slice().zeroize();
        buffer.clear();
        Some(OutgoingEntry {
            first_message_index: key.first_known_index,
            forwarded_count,
            is_verified: false,
            session_data: encrypted.ok()?,
        })
    }

    fn session_data(&self, key: &RoomKey, buffer: &mut Vec<u8>) -> Result<SessionData, Unspecified> {
        let ephemeral = PrivateKey::from_private_key(&X25519, random::<32>().as_slice()).map_err(|_| Unspecified)?;
        let peer = UnparsedPublicKey::new(&X25519, self.public);
        let keys = agreement::agree(&ephemeral, peer, Unspecified, |shared| {
            EntryKeys::derive(&self.salt, shared)
        })?;
        let plaintext = write_content(key, buffer)?;
        let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(keys.cipher_key()?)?;
        cipher.less_safe_encrypt(plaintext, EncryptionContext::Iv128(keys.initialisation_vector()))?;
        Ok(SessionData {
            ciphertext: BASE64.encode(&buffer),
            ephemeral: BASE64.encode(ephemeral.compute_public_key()?),
            mac: BASE64.encode(keys.mac()),
        })
    }
}

/// Writes the plaintext of an entry into `buffer`, with room for the padding: a buffer that grows leaves a copy of the
/// key behind.
fn write_content<'b>(key: &RoomKey, buffer: &'b mut Vec<u8>) -> Result<&'b mut Vec<u8>, Unspecified> {
    let content = RoomKeyContent::from(key);
    let mut length = Length(0);
    serde_json::to_writer(&mut length, &content).map_err(|_| Unspecified)?;
    buffer.clear();
    if buffer.capacity() < length.0 + PADDING {
        drop(Zeroizing::new(std::mem::take(buffer)));
        buffer.reserve(2 * (length.0 + PADDING));
    }
    serde_json::to_writer(&mut *buffer, &content).map_err(|_| Unspecified)?;
    Ok(buffer)
}

/// Counts bytes.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use matrix_sdk_crypto::{olm::BackedUpRoomKey, store::types::BackupDecryptionKey as TheirKey};
    use serde_json::Value;

    use super::*;
    use crate::backup::{
        decryption::BackupDecryptionKey, entry::pack, reader::RawEntry, room_key::example, session_id::SessionId,
    };

    fn encrypted(key: &RoomKey) -> (Value, [u8; 32]) {
        let private = [9; 32];
        let public = *BackupDecryptionKey::from_bytes(&private).public_key();
        let entry = BackupEncryptionKey::new(public).encrypt(key, 2, &mut Vec::new());
        (serde_json::to_value(entry.expect("an entry")).expect("JSON"), private)
    }

    #[test]
    fn an_entry_decrypts_to_the_key_that_was_put_in() {
        for shared_history in [true, false] {
            let key = RoomKey {
                shared_history,
                ..example()
            };
            let (entry, private) = encrypted(&key);
            let mut packed = Vec::new();
            let claims = pack(RawEntry::Json(entry.to_string().as_bytes()), &mut packed);
            assert_eq!((claims.first_message_index, claims.forwarded_count), (Some(5), Some(2)));
            assert_eq!(entry["is_verified"], false);
            let session = SessionId::parse(&key.session_id);
            let opened = BackupDecryptionKey::from_bytes(&private).open(
                &packed,
                &session,
                &mut Zeroizing::default(),
                |opened| opened.room_key(&key.room_id, &key.origin),
            );
            assert_eq!(opened, Ok(key));
        }
    }

    #[test]
    fn matrix_sdk_crypto_reads_an_entry_with_its_flag() {
        for shared_history in [true, false] {
            let key = RoomKey {
                shared_history,
                ..example()
            };
            let (entry, private) = encrypted(&key);
            let data = serde_json::from_value(entry["session_data"].clone()).expect("session data");
            let theirs: BackedUpRoomKey = TheirKey::from_bytes(&private)
                .decrypt_session_data(data)
                .expect("it decrypts");
            assert_eq!(theirs.shared_history, shared_history);
            assert_eq!(theirs.session_key.to_base64(), key.session_key.expose());
            assert_eq!(theirs.sender_key.to_base64(), key.sender_key);
            let claimed = theirs.sender_claimed_keys.iter().next().map(|(_, key)| key.to_base64());
            assert_eq!(claimed.as_ref(), key.sender_claimed_keys.get("ed25519"));
        }
    }

    #[test]
    fn every_entry_is_encrypted_differently_and_leaves_no_plaintext() {
        let key = example();
        let public = *BackupDecryptionKey::from_bytes(&[9; 32]).public_key();
        let encryption = BackupEncryptionKey::new(public);
        let mut buffer = Vec::new();
        let first = encryption.encrypt(&key, 0, &mut buffer).expect("an entry");
        assert!(buffer.is_empty());
        let second = encryption.encrypt(&key, 0, &mut buffer).expect("an entry");
        assert_ne!(first.session_data.ciphertext, second.session_data.ciphertext);
        assert_ne!(first.session_data.ephemeral, second.session_data.ephemeral);
    }

    #[test]
    fn a_public_key_that_shares_no_secret_encrypts_nothing() {
        assert!(
            BackupEncryptionKey::new([0; 32])
                .encrypt(&example(), 0, &mut Vec::new())
                .is_none()
        );
    }
}
