//! The options with which a client is opened.

use std::{fmt, sync::Arc};

use super::keyring::Keyring;
use crate::{
    crypto::{BackupSigner, RoomKeySource, SecretKeeper},
    download::DownloadPolicy,
    homeserver::FileDownloads,
    preference::PreferencePolicy,
    secret::{SecretBytes, SecretString},
};

/// A signed-in account.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Account {
    /// The base URL of the homeserver's client API, after discovery, such as `https://matrix.example.org`.
    pub homeserver_url: String,
    /// The full user id, such as `@alice:example.org`.
    pub user_id: String,
    /// The device id. A vault that is opened for another device delivers everything again.
    pub device_id: String,
}

/// The options with which a client is opened.
#[derive(Clone, uniffi::Record)]
pub struct ClientOptions {
    /// The account whose backup it is.
    pub account: Account,
    /// A directory that only the crate uses, one per account. It is created if it does not exist. On Android put it
    /// below `noBackupFilesDir`; on iOS exclude it from backup and make it readable after first unlock.
    pub data_dir: String,
    /// How the secrets in the vault are kept.
    pub protection: VaultProtection,
    /// How the app takes part in the backup preference that the user's clients share (MSC4287). With `None` the app
    /// follows an existing value, asks the user if there is none, and writes both the stable and the unstable form.
    #[uniffi(default = None)]
    pub preference: Option<PreferencePolicy>,
    /// What the download may use. `None` uses the defaults of `DownloadPolicy`.
    #[uniffi(default = None)]
    pub download: Option<DownloadPolicy>,
    /// The name of this process that is reported when another process asks who is running: `app`, `notification
    /// extension`. `None` means `app`.
    #[uniffi(default = None)]
    pub process_name: Option<String>,
    /// Downloads by the OS that continue while the app is suspended, for apps that have them: a background
    /// `URLSession`. `None` if the app has none.
    #[uniffi(default = None)]
    pub file_downloads: Option<Arc<dyn FileDownloads>>,
    /// Writes to secret storage. Needed to reset the backup, together with the next two.
    #[uniffi(default = None)]
    pub secret_keeper: Option<Arc<dyn SecretKeeper>>,
    /// Signs a new backup version.
    #[uniffi(default = None)]
    pub backup_signer: Option<Arc<dyn BackupSigner>>,
    /// The app's crypto as a source of keys. Alone it is enough to keep an existing backup up to date.
    #[uniffi(default = None)]
    pub room_key_source: Option<Arc<dyn RoomKeySource>>,
}

impl ClientOptions {
    /// Returns options in which everything that can be left out is: for Rust, where records have no defaults.
    pub fn new(account: Account, data_dir: impl Into<String>, protection: VaultProtection) -> Self {
        Self {
            account,
            data_dir: data_dir.into(),
            protection,
            preference: None,
            download: None,
            process_name: None,
            file_downloads: None,
            secret_keeper: None,
            backup_signer: None,
            room_key_source: None,
        }
    }
}

/// How the secrets in the vault are kept: the backup decryption keys and the room ids.
#[derive(Clone, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum VaultProtection {
    /// Sealed with a key that the crate creates and the host's keyring keeps. The right choice on a phone.
    Keyring {
        /// The Keychain or Keystore.
        keyring: Arc<dyn Keyring>,
    },
    /// Sealed with a key that the app keeps.
    Key {
        /// The key: 32 random bytes.
        key: SecretBytes,
    },
    /// Sealed with a passphrase. Opening then spends about 0.1 seconds on key derivation.
    Passphrase {
        /// The passphrase; must not be empty.
        passphrase: SecretString,
    },
    /// Not sealed: no secret is written, room ids are readable, and a restart needs the recovery key again.
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
