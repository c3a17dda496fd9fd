//! Secrets that wipe themselves and print nothing.
//!
//! Every key, passphrase and token that Rust owns is in one of these types or in a `Zeroizing` buffer. The one
//! exception is the access token in the header of a request, because the transport owns that record. A secret that
//! crosses to Kotlin or Swift becomes a plain value there, which those languages cannot wipe.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret text: a session key, a passphrase, a recovery key or an access token. A plain `String` in Kotlin and
/// Swift.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretString(String);

impl SecretString {
    /// Returns the text itself. Never put it in a log or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretString(…)")
    }
}

uniffi::custom_type!(SecretString, String, {
    lower: |secret| secret.0.clone(),
    try_lift: |text| Ok(SecretString(text)),
});

/// Secret bytes, such as a vault key. `ByteArray` in Kotlin and `Data` in Swift.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Returns the bytes themselves. Never put them in a log or an error.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretBytes(…)")
    }
}

uniffi::custom_type!(SecretBytes, Vec<u8>, {
    lower: |secret| secret.0.clone(),
    try_lift: |bytes| Ok(SecretBytes(bytes)),
});

/// The bytes of a key, wiped when dropped.
pub(crate) type KeyBytes = zeroize::Zeroizing<[u8; 32]>;
