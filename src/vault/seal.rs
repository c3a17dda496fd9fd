//! Sealing of secrets and room ids in the vault, and keyed hashes of ids.
//!
//! One 32-byte vault key, from the app, from the host's keyring or derived from a passphrase, gives two keys. One
//! seals decryption keys and room ids. The other hashes, so that rooms can be found without storing their ids in
//! the clear, and so that a server cannot choose ids that collide. Without a vault key, no secret is written, and
//! room ids are stored in the clear.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey},
    digest, hkdf,
};
use siphasher::{sip::SipHasher24, sip128::Hasher128, sip128::SipHasher24 as SipHasher24Of128};
use std::hash::Hasher;
use zeroize::Zeroizing;

use super::VaultError;
use crate::{random::random, secret::KeyBytes};

const NONCE: usize = 12;

/// The purpose of a sealed value. A value that was sealed for one purpose does not open for another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sealed<'a> {
    KeyCheck,
    RoomId,
    DecryptionKey {
        version: &'a str,
    },
    /// The decryption key of a version that may not exist yet.
    NewKey,
}

impl Sealed<'_> {
    fn context(self) -> Vec<u8> {
        match self {
            Self::KeyCheck => b"check".to_vec(),
            Self::RoomId => b"room".to_vec(),
            Self::DecryptionKey { version } => [b"key ", version.as_bytes()].concat(),
            Self::NewKey => b"new key".to_vec(),
        }
    }
}

/// A keyed hash of a copy of a session. Two copies with the same fingerprint are equal.
pub(crate) type Fingerprint = [u8; 16];

/// A keyed hash of a session and its room. The upper half depends only on the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameHash(pub(crate) i64);

impl NameHash {
    const OF_ROOM: u64 = 0xffff_ffff;

    /// Returns the lowest and the highest hash that the session can have, over all rooms.
    pub(crate) fn of_session(self) -> (i64, i64) {
        let first = self.0.cast_unsigned() & !Self::OF_ROOM;
        (first.cast_signed(), (first | Self::OF_ROOM).cast_signed())
    }
}

/// The keys of an open vault.
pub(crate) struct VaultKeys {
    seal: Option<LessSafeKey>,
    index: Zeroizing<[u8; 16]>,
}

impl VaultKeys {
    /// Returns the keys of a vault that is sealed with `vault_key`.
    pub(crate) fn sealed(vault_key: &[u8; 32]) -> Self {
        let seal = derive::<32>(vault_key, b"keyferry seal");
        let index = derive::<16>(vault_key, b"keyferry index");
        let seal = UnboundKey::new(&AES_256_GCM_SIV, seal.as_slice()).expect("a key of 32 bytes is valid");
        Self {
            seal: Some(LessSafeKey::new(seal)),
            index,
        }
    }

    /// Returns the keys of a vault without a vault key. They cannot seal anything.
    pub(crate) fn open(index: [u8; 16]) -> Self {
        Self {
            seal: None,
            index: Zeroizing::new(index),
        }
    }

    pub(crate) fn can_seal(&self) -> bool {
        self.seal.is_some()
    }

    /// Returns the hash by which a room is found.
    pub(crate) fn room_hash(&self, room_id: &str) -> [u8; 16] {
        let mut hasher = SipHasher24Of128::new_with_key(&self.index);
        hasher.write(room_id.as_bytes());
        hasher.finish128().as_bytes()
    }

    /// Returns a keyed hash of any bytes. Different values can have the same hash.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.index);
        hasher.write(bytes);
        hasher.finish()
    }

    /// Returns the hash by which a session in a room is found. The upper half depends only on the session, so that
    /// all rooms of a session are adjacent in the index. Different sessions can have the same hash: callers must
    /// compare.
    pub(crate) fn name_hash(&self, session: &[u8], room_hash: &[u8; 16]) -> NameHash {
        let mut hasher = SipHasher24::new_with_key(&self.index);
        hasher.write(session);
        let of_session = hasher.finish();
        hasher.write(room_hash);
        NameHash((of_session & !NameHash::OF_ROOM | hasher.finish() & NameHash::OF_ROOM).cast_signed())
    }

    /// Returns the fingerprint of a session in the export format. It covers index, ratchet and id, and reveals
    /// none of them.
    pub(crate) fn fingerprint(&self, session: &[u8]) -> Fingerprint {
        let mut hasher = SipHasher24Of128::new_with_key(&self.index);
        hasher.write(session);
        hasher.finish128().as_bytes()
    }

    /// Seals a value. Without a vault key, returns the value unchanged: then it must not be called with a secret.
    pub(crate) fn seal(&self, what: Sealed<'_>, value: &[u8]) -> Vec<u8> {
        let Some(key) = &self.seal else {
            return value.to_vec();
        };
        // Reserve the whole length: if the vector had to grow, a copy of the plaintext would stay in freed memory.
        let mut sealed = Vec::with_capacity(value.len() + MAX_TAG_LEN + NONCE);
        sealed.extend_from_slice(value);
        // Random nonces are safe: this cipher tolerates a nonce that repeats.
        let nonce = random::<NONCE>();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(what.context()),
            &mut sealed,
        )
        .expect("a short value can be sealed");
        sealed.extend_from_slice(nonce.as_slice());
        sealed
    }

    pub(crate) fn unseal(&self, what: Sealed<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let mut value = Zeroizing::new(sealed.to_vec());
        let Some(key) = &self.seal else {
            return Ok(value);
        };
        let split = value.len().checked_sub(NONCE).ok_or(VaultError::Unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(&value[split..]).map_err(|_| VaultError::Unsealable)?;
        value.truncate(split);
        let length = key
            .open_in_place(nonce, Aad::from(what.context()), &mut value)
            .map_err(|_| VaultError::Unsealable)?
            .len();
        value.truncate(length);
        Ok(value)
    }
}

/// Returns a new random vault key, for a keyring to store.
pub(crate) fn new_vault_key() -> KeyBytes {
    random()
}

/// Returns a salted hash that identifies an account or device without storing its id.
pub(crate) fn account_hash(salt: &[u8], kind: &str, id: &str) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [salt, kind.as_bytes(), &[0], id.as_bytes()] {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

fn derive<const N: usize>(vault_key: &[u8; 32], info: &[u8]) -> Zeroizing<[u8; N]> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = Zeroizing::new([0; N]);
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, vault_key)
        .expand(&[info], Length(N))
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .expect("HKDF supports this length");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_for_its_purpose() {
        let keys = VaultKeys::sealed(&[1; 32]);
        let sealed = keys.seal(Sealed::DecryptionKey { version: "2" }, b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(
            **keys
                .unseal(Sealed::DecryptionKey { version: "2" }, &sealed)
                .expect("the value opens"),
            *b"secret"
        );
        assert!(keys.unseal(Sealed::DecryptionKey { version: "3" }, &sealed).is_err());
        assert!(keys.unseal(Sealed::RoomId, &sealed).is_err());
        assert!(
            VaultKeys::sealed(&[2; 32])
                .unseal(Sealed::DecryptionKey { version: "2" }, &sealed)
                .is_err()
        );
        assert!(keys.unseal(Sealed::RoomId, b"short").is_err());
    }
}
