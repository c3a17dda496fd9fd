//! The keys of one entry, derived from a Diffie-Hellman secret between the backup's key and the entry's own
//! (`m.megolm_backup.v1.curve25519-aes-sha2`). Shared by encryption and decryption.

use aws_lc_rs::{
    cipher::{AES_256, UnboundCipherKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    hmac,
    iv::FixedLength,
};
use zeroize::Zeroizing;

/// Bytes of the truncated MAC.
const MAC_BYTES: usize = 8;
/// Bytes of key material that one entry needs: AES key, MAC key, initialisation vector.
const MATERIAL_BYTES: usize = 32 + 32 + 16;

pub(super) struct EntryKeys(Zeroizing<[u8; MATERIAL_BYTES]>);

impl EntryKeys {
    /// Returns the salt that [`EntryKeys::derive`] takes. Making it costs a hash, so it is made once for each backup.
    pub(super) fn salt() -> Salt {
        Salt::new(HKDF_SHA256, &[0; 32])
    }

    pub(super) fn derive(salt: &Salt, shared_secret: &[u8]) -> Result<Self, Unspecified> {
        let mut material = Zeroizing::new([0; MATERIAL_BYTES]);
        salt.extract(shared_secret)
            .expand(&[], MaterialLength)
            .and_then(|okm| okm.fill(material.as_mut_slice()))?;
        Ok(Self(material))
    }

    pub(super) fn cipher_key(&self) -> Result<UnboundCipherKey, Unspecified> {
        UnboundCipherKey::new(&AES_256, &self.0[..32])
    }

    pub(super) fn initialisation_vector(&self) -> FixedLength<16> {
        let bytes: [u8; 16] = self.0[64..].try_into().expect("16 bytes");
        FixedLength::from(bytes)
    }

    /// Returns the MAC of the entry. It covers the empty string, a flaw kept for compatibility.
    pub(super) fn mac(&self) -> [u8; MAC_BYTES] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0[32..64]), &[]);
        tag.as_ref()[..MAC_BYTES].try_into().expect("8 bytes")
    }
}

struct MaterialLength;

impl KeyType for MaterialLength {
    fn len(&self) -> usize {
        MATERIAL_BYTES
    }
}
