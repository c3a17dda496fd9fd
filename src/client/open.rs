//! Opening a client: checks the app's options, gets the vault's key from the app or its keyring, and sets a vault
//! aside.

use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

use super::{
    keyring::Keyring,
    open_error::OpenError,
    options::{Account, VaultProtection},
};
use crate::{
    blocking::blocking,
    secret::SecretBytes,
    vault::{OpenVaultError, Protection, Vault, VaultError, new_vault_key},
};

/// Length of a vault key, in bytes.
const VAULT_KEY_BYTES: usize = 32;

/// Moves a vault that can no longer be opened out of the way, so that `KeyBackupClient.open` creates a new one in its
/// place. Nothing is deleted. Returns the new path of the old vault, in the same directory, or `None` if there was no
/// vault. First shut down the clients that have the vault open, in every process: any that is left is told that the
/// vault is gone.
///
/// The new vault fetches everything from the server again. These are lost with the old vault: keys that the server no
/// longer has, the decryption key (unlock again), and a preference that was not yet written.
///
/// # Errors
/// `OpenError.VaultInUse` if a client in this process or another is using the vault, as far as the damage lets that
/// be seen; `OpenError.UnusableDataDir` if the vault cannot be moved.
#[uniffi::export(async_runtime = "tokio")]
pub async fn set_vault_aside(data_dir: String) -> Result<Option<String>, OpenError> {
    let moved = blocking(move || Vault::set_aside(Path::new(&data_dir))).await;
    match moved.ok_or(OpenError::Internal)? {
        Ok(moved) => Ok(moved.map(|path| path.display().to_string())),
        Err(OpenVaultError::Vault(VaultError::Busy)) => Err(OpenError::VaultInUse),
        Err(error) => Err(error.into()),
    }
}

/// Checks an account and returns the URL of its homeserver.
pub(super) fn check_account(account: &Account) -> Result<Url, OpenError> {
    let url = Url::parse(&account.homeserver_url)
        .ok()
        .filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        })
        .ok_or(OpenError::InvalidHomeserverUrl)?;
    if !is_user_id(&account.user_id) || account.device_id.is_empty() {
        return Err(OpenError::InvalidAccount);
    }
    Ok(url)
}

/// Checks that the text of a data directory is not empty.
pub(super) fn check_directory(data_dir: &str) -> Result<PathBuf, OpenError> {
    let directory = PathBuf::from(data_dir);
    if !directory.is_absolute() && data_dir.trim().is_empty() {
        return Err(OpenError::UnusableDataDir);
    }
    Ok(directory)
}

/// Opens the vault in that directory, or creates one. A key of the wrong form is refused before anything is created.
/// Blocks.
pub(super) fn open_vault(
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

/// Returns the protection with the keyring's key, or with a new key, stored in the keyring, for a new vault.
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

fn is_user_id(user_id: &str) -> bool {
    user_id
        .strip_prefix('@')
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(_, server)| !server.is_empty() && user_id.len() <= 255)
}
