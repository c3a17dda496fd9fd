//! Decrypts an entry: `m.megolm_backup.v1.curve25519-aes-sha2`, built on aws-lc-rs.
//!
//! Client-server API, "Backup algorithm: m.megolm_backup.v1.curve25519-aes-sha2". A differential test in
//! `tests/it/olm_machine.rs` compares this with matrix-sdk-crypto.

use aws_lc_rs::{
    agreement::{self, PrivateKey, UnparsedPublicKey, X25519},
    cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    constant_time::verify_slices_are_equal,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    hmac,
    iv::FixedLength,
};
use zeroize::{Zeroize, Zeroizing};

use super::{FailureReason, entry::unpack, plaintext::OpenedEntry, session_id::SessionId};
use crate::secret::KeyBytes;

/// Bytes of key material that one entry needs: AES key, MAC key, initialisation vector.
const KEY_MATERIAL: usize = 32 + 32 + 16;

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
            salt: Salt::new(HKDF_SHA256, &[0; 32]),
        }
    }

    pub(crate) fn public_key(&self) -> &[u8; 32] {
        &self.public
    }

    pub(crate) fn as_bytes(&self) -> &KeyBytes {
        &self.bytes
    }

    /// Decrypts and checks one packed entry, and passes it to `then`. Afterwards the plaintext, which is in `buffer`,
    /// is wiped.
    pub(crate) fn open<T>(
        &self,
        packed: &[u8],
        session_id: &SessionId,
        buffer: &mut Vec<u8>,
        then: impl FnOnce(&OpenedEntry<'_>) -> T,
    ) -> Result<T, FailureReason> {
        let entry = unpack(packed)?;
        let material = agreement::agree(
            &self.private,
            UnparsedPublicKey::new(&X25519, entry.ephemeral),
            FailureReason::Undecryptable,
            |shared| self.key_material(shared),
        )?;
        buffer.clear();
        buffer.extend_from_slice(entry.ciphertext);
        let result = decrypt_in_place(&material, buffer)
            .and_then(|plaintext| OpenedEntry::parse(plaintext, session_id))
            .map(|opened| then(&opened));
        buffer.as_mut_slice().zeroize();
        // The MAC covers the empty string, a flaw kept for compatibility, so it protects nothing, and a session key
        // that fits its id is better proof. The MAC only shows whether a bad entry was encrypted for another key or
        // holds something else.
        result.map_err(|reason| {
            if has_mac(&material, entry.mac) {
                reason
            } else {
                FailureReason::Undecryptable
            }
        })
    }

    fn key_material(&self, shared: &[u8]) -> Result<Zeroizing<[u8; KEY_MATERIAL]>, FailureReason> {
        let mut material = Zeroizing::new([0; KEY_MATERIAL]);
        self.salt
            .extract(shared)
            .expand(&[], MaterialLength)
            .and_then(|okm| okm.fill(material.as_mut_slice()))
            .map_err(|_| FailureReason::Undecryptable)?;
        Ok(material)
    }
}

fn has_mac(material: &[u8; KEY_MATERIAL], mac: &[u8]) -> bool {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &material[32..64]), &[]);
    verify_slices_are_equal(&tag.as_ref()[..mac.len()], mac).is_ok()
}

fn decrypt_in_place<'a>(material: &[u8; KEY_MATERIAL], buffer: &'a mut [u8]) -> Result<&'a [u8], FailureReason> {
    let undecryptable = |_| FailureReason::Undecryptable;
    let key = UnboundCipherKey::new(&AES_256, &material[..32]).map_err(undecryptable)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(undecryptable)?;
    let iv: [u8; 16] = material[64..].try_into().expect("16 bytes");
    let plaintext = key
        .decrypt(buffer, DecryptionContext::Iv128(FixedLength::from(iv)))
        .map_err(undecryptable)?;
    Ok(plaintext)
}

struct MaterialLength;

impl KeyType for MaterialLength {
    fn len(&self) -> usize {
        KEY_MATERIAL
    }
}
