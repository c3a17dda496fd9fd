//! How the vault's secrets are kept, as the app has it, and the opening of a vault with that.

use std::{fmt, path::Path, sync::Arc};

use zeroize::Zeroizing;

use super::{OpenError, host::Keyring};
use crate::{
    secret::{SecretBytes, SecretString},
    vault::{Protection, Vault, new_vault_key},
};

/// Bytes of a vault key.
const VAULT_KEY_BYTES: usize = 32;

/// How secrets in the vault are kept: the backup's decryption key and the room ids.
#[derive(Clone, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum VaultProtection {
    /// By a key that the crate makes and the host's keyring keeps. The right choice on a phone.
    Keyring {
        /// Keychain or Keystore.
        keyring: Arc<dyn Keyring>,
    },
    /// By a key that the app keeps.
    Key {
        /// 32 random bytes.
        key: SecretBytes,
    },
    /// By a passphrase; opening then takes about a tenth of a second of key derivation.
    Passphrase {
        /// The passphrase, not empty.
        passphrase: SecretString,
    },
    /// Not at all: nothing secret is written, room ids lie open, and a restart needs the recovery key again.
    NoProtection,
}

impl fmt::Debug for VaultProtection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Keyring { .. } => "Keyring",
            Self::Key { .. } => "Key(…)",
            Self::Passphrase { .. } => "Passphrase(…)",
            Self::NoProtection => "NoProtection",
        })
    }
}

/// Opens the vault in that directory, or makes one. What is no key is refused before anything is made. Blocks.
pub(crate) fn open_vault(
    protection: &VaultProtection,
    directory: &Path,
    user_id: &str,
    device_id: &str,
) -> Result<Vault, OpenError> {
    let open = |protection| Vault::open(directory, user_id, device_id, || Ok(protection));
    match protection {
        VaultProtection::NoProtection => open(Protection::None),
        VaultProtection::Key { key } => open(by_key(key)?),
        VaultProtection::Passphrase { passphrase } if passphrase.expose().is_empty() => Err(OpenError::WrongVaultKey),
        VaultProtection::Passphrase { passphrase } => {
            open(Protection::Passphrase(Zeroizing::new(passphrase.expose().to_owned())))
        }
        VaultProtection::Keyring { keyring } => Vault::open(directory, user_id, device_id, || {
            by_keyring(keyring.as_ref(), directory, user_id)
        }),
    }
}

fn by_key(key: &SecretBytes) -> Result<Protection, OpenError> {
    let key: [u8; VAULT_KEY_BYTES] = key.expose().try_into().map_err(|_| OpenError::WrongVaultKey)?;
    Ok(Protection::Key(Zeroizing::new(key)))
}

/// By the key that the keyring has, or by a new one for a new vault.
fn by_keyring(keyring: &dyn Keyring, directory: &Path, user_id: &str) -> Result<Protection, OpenError> {
    let unavailable = |key_lost| OpenError::KeyringUnavailable { key_lost };
    let name = format!("keyferry {user_id}");
    match keyring.load(name.clone()).map_err(|_| unavailable(false))? {
        Some(secret) => by_key(&secret),
        None if Vault::exists(directory) => Err(match Vault::is_sealed_with_a_key(directory)? {
            true => unavailable(true),
            false => OpenError::OtherProtection,
        }),
        None => {
            let made = new_vault_key();
            keyring
                .store(name, SecretBytes::from(made.to_vec()))
                .map_err(|_| unavailable(false))?;
            Ok(Protection::Key(made))
        }
    }
}
