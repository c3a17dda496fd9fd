//! The few cryptographic primitives that the other modules use.

use aws_lc_rs::{
    agreement, cipher, digest, hkdf, hmac, iv::FixedLength, pbkdf2, signature::Ed25519KeyPair, signature::KeyPair,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

/// The source of everything that looks random.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub u64);

impl Seed {
    /// Derives 32 bytes for a purpose and a number.
    pub(crate) fn bytes(self, purpose: &str, number: u64) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(purpose.as_bytes());
        context.update(&self.0.to_be_bytes());
        context.update(&number.to_be_bytes());
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

pub(crate) fn padded_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Returns the public half of the Ed25519 key with this seed, which is always a valid point.
pub(crate) fn ed25519_public(seed: &[u8; 32]) -> [u8; 32] {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
    let mut out = [0; 32];
    out.copy_from_slice(pair.public_key().as_ref());
    out
}

/// Returns the public half of an X25519 key.
pub(crate) fn x25519_public(private: &[u8; 32]) -> [u8; 32] {
    let public = x25519_private(private)
        .compute_public_key()
        .expect("every X25519 key has a public half");
    let mut out = [0; 32];
    out.copy_from_slice(public.as_ref());
    out
}

/// Returns the shared secret of two X25519 keys.
pub(crate) fn x25519_shared(private: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, public);
    let mut out = [0; 32];
    agreement::agree(&x25519_private(private), peer, "no agreement", |secret| {
        out.copy_from_slice(secret);
        Ok(())
    })
    .expect("both keys are our own, so not of low order");
    out
}

fn x25519_private(private: &[u8; 32]) -> agreement::PrivateKey {
    agreement::PrivateKey::from_private_key(&agreement::X25519, private).expect("any 32 bytes are an X25519 key")
}

struct OutputLength(usize);

impl hkdf::KeyType for OutputLength {
    fn len(&self) -> usize {
        self.0
    }
}

/// Derives `N` bytes with HKDF-SHA256 and a salt of 32 zero bytes.
pub(crate) fn hkdf<const N: usize>(secret: &[u8], info: &str) -> [u8; N] {
    let mut out = [0; N];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[0; 32])
        .extract(secret)
        .expand(&[info.as_bytes()], OutputLength(N))
        .and_then(|okm| okm.fill(&mut out))
        .expect("the length is far below the limit of HKDF");
    out
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

/// Derives 32 bytes from a passphrase with PBKDF2 and HMAC-SHA512. The salt is used as text, not decoded.
pub(crate) fn pbkdf2(passphrase: &str, salt: &str, iterations: u32) -> [u8; 32] {
    let mut out = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        iterations.try_into().expect("iterations are above 0"),
        salt.as_bytes(),
        passphrase.as_bytes(),
        &mut out,
    );
    out
}

/// Encrypts in place with AES-256-CTR. The initial counter block is `iv`.
pub(crate) fn aes_ctr(key: &[u8; 32], iv: [u8; 16], data: &mut [u8]) {
    let key = cipher::UnboundCipherKey::new(&cipher::AES_256, key).expect("the key has 32 bytes");
    cipher::EncryptingKey::ctr(key)
        .and_then(|key| key.less_safe_encrypt(data, cipher::EncryptionContext::Iv128(FixedLength::from(iv))))
        .expect("AES-CTR takes any data");
}

/// A key and an initialisation vector for AES-256-CBC with PKCS7 padding.
pub(crate) struct CbcKey {
    key: cipher::PaddedBlockEncryptingKey,
    iv: [u8; 16],
}

impl CbcKey {
    pub(crate) fn new(key: &[u8], iv: &[u8]) -> Self {
        let key = cipher::UnboundCipherKey::new(&cipher::AES_256, key).expect("the key has 32 bytes");
        Self {
            key: cipher::PaddedBlockEncryptingKey::cbc_pkcs7(key).expect("AES has a CBC mode"),
            iv: iv.try_into().expect("the vector has 16 bytes"),
        }
    }

    pub(crate) fn encrypt(&self, data: &mut Vec<u8>) {
        let iv = cipher::EncryptionContext::Iv128(FixedLength::from(self.iv));
        self.key
            .less_safe_encrypt(data, iv)
            .expect("padded AES-CBC takes any data");
    }
}
