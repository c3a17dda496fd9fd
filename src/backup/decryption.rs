//! Decrypts an entry: `m.megolm_backup.v1.curve25519-aes-sha2`, built on aws-lc-rs.
//!
//! Client-server API, "Backup algorithm: m.megolm_backup.v1.curve25519-aes-sha2". A differential test in
//! `tests/it/olm_machine.rs` compares this with matrix-sdk-crypto.

use aws_lc_rs::{
    agreement::{self, PrivateKey, UnparsedPublicKey, X25519},
    cipher::{DecryptionContext, PaddedBlockDecryptingKey},
    constant_time::verify_slices_are_equal,
    error::Unspecified,
    hkdf::Salt,
};
use zeroize::Zeroizing;

use super::{FailureReason, entry::unpack, entry_keys::EntryKeys, plaintext::OpenedEntry, session_id::SessionId};
use crate::secret::KeyBytes;

/// The private half of a backup's key.
pub(crate) struct BackupDecryptionKey {
    private: PrivateKey,
    public: [u8; 32],
    bytes: KeyBytes,
    salt: Salt,
}

impl BackupDecryptionKey {
    /// Makes the key from its private half. Any 32 bytes are valid.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let private = PrivateKey::from_private_key(&X25519, bytes).expect("any 32 bytes are an X25519 key");
        let public = private.compute_public_key().expect("an X25519 key has a public half");
        Self {
            public: public.as_ref().try_into().expect("32 bytes"),
            private,
            bytes: Zeroizing::new(*bytes),
            salt: EntryKeys::salt(),
        }
    }

    pub(crate) fn public_key(&self) -> &[u8; 32] {
        &self.public
    }

    pub(crate) fn as_bytes(&self) -> &KeyBytes {
        &self.bytes
    }

    /// Decrypts and checks one packed entry, and passes it to `then`. The plaintext stays in `buffer` until the next entry,
    /// and the caller wipes it after the last one.
    pub(crate) fn open<T>(
        &self,
        packed: &[u8],
        session_id: &SessionId,
        buffer: &mut Zeroizing<Vec<u8>>,
        then: impl FnOnce(&OpenedEntry<'_>) -> T,
    ) -> Result<T, FailureReason> {
        let entry = unpack(packed)?;
        let keys = agreement::agree(
            &self.private,
            UnparsedPublicKey::new(&X25519, entry.ephemeral),
            Unspecified,
            |shared| EntryKeys::derive(&self.salt, shared),
        )
        .map_err(|_| FailureReason::Undecryptable)?;
        if buffer.capacity() < entry.ciphertext.len() {
            // Not grown in place: that would leave a copy of the last plaintext behind.
            *buffer = Zeroizing::new(Vec::with_capacity(entry.ciphertext.len()));
        }
        buffer.clear();
        buffer.extend_from_slice(entry.ciphertext);
        let result = decrypt_in_place(&keys, buffer)
            .map_err(|_| FailureReason::Undecryptable)
            .and_then(|plaintext| OpenedEntry::parse(plaintext, session_id))
            .map(|opened| then(&opened));
        // The MAC covers the empty string, a flaw kept for compatibility, so it protects nothing, and a session key
        // that fits its id is better proof. The MAC only shows whether a bad entry was encrypted for another key or
        // holds something else.
        result.map_err(|reason| {
            let has_mac = verify_slices_are_equal(&keys.mac(), entry.mac).is_ok();
            if has_mac { reason } else { FailureReason::Undecryptable }
        })
    }
}

fn decrypt_in_place<'a>(keys: &EntryKeys, buffer: &'a mut [u8]) -> Result<&'a [u8], Unspecified> {
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(keys.cipher_key()?)?;
    let plaintext = key.decrypt(buffer, DecryptionContext::Iv128(keys.initialisation_vector()))?;
    Ok(plaintext)
}
