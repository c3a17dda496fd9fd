//! Secret storage (4S) as account data holds it: key descriptions and encrypted secrets.

use serde_json::{Value, json};

use crate::crypto;

/// Whether base64 is written with padding. Both forms exist in the wild, and readers must accept either.
#[derive(Clone, Copy)]
pub(crate) enum Padding {
    With,
    Without,
}

/// One secret storage key.
pub(crate) struct StorageKey {
    pub id: String,
    pub key: [u8; 32],
    pub padding: Padding,
}

impl StorageKey {
    /// Returns the content of `m.secret_storage.key.ID`.
    pub(crate) fn description(&self, iv: [u8; 32], passphrase: Option<Value>) -> Value {
        let check = self.seal("", &[0; 32], iv);
        let mut description = json!({
            "algorithm": "m.secret_storage.v1.aes-hmac-sha2",
            "iv": check["iv"],
            "mac": check["mac"],
        });
        if let Some(passphrase) = passphrase {
            description["passphrase"] = passphrase;
        }
        description
    }

    /// Encrypts a secret under its name. Half of `random` becomes the initialisation vector.
    pub(crate) fn seal(&self, name: &str, secret: &[u8], random: [u8; 32]) -> Value {
        let keys: [u8; 64] = crypto::hkdf(&self.key, name);
        let (aes_key, mac_key) = keys.split_at(32);
        let mut iv = [0; 16];
        iv.copy_from_slice(&random[..16]);
        // Bit 63 is cleared because some counter implementations stop at 64 bits.
        iv[8] &= 0x7F;
        let mut ciphertext = secret.to_vec();
        let aes_key = aes_key.try_into().expect("half of 64 bytes");
        crypto::aes_ctr(aes_key, iv, &mut ciphertext);
        let mac = crypto::hmac_sha256(mac_key, &ciphertext);
        json!({
            "iv": self.text(&iv),
            "ciphertext": self.text(&ciphertext),
            "mac": self.text(&mac),
        })
    }

    fn text(&self, bytes: &[u8]) -> String {
        match self.padding {
            Padding::With => crypto::padded_base64(bytes),
            Padding::Without => crypto::base64(bytes),
        }
    }
}
