//! What a client is opened with.

use std::{fmt, sync::Arc};

use super::keyring::Keyring;
use crate::{
    download::DownloadPolicy,
    homeserver::FileDownloads,
    preference::PreferencePolicy,
    secret::{SecretBytes, SecretString},
};

/// A signed-in account.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Account {
    /// The base URL of the homeserver's client API, after discovery: `https://matrix.example.org`.
    pub homeserver_url: String,
    /// The full user id: `@alice:example.org`.
    pub user_id: String,
    /// The device id. A vault that is opened for another device delivers everything again.
    pub device_id: String,
}

/// What a client is opened with.
#[derive(Clone, uniffi::Record)]
pub struct ClientOptions {
    /// Whose backup it is.
    pub account: Account,
    /// A directory of the crate's own, one per account; it is made if it is not there. On Android below
    /// `noBackupFilesDir`; on iOS excluded from backup and readable after first unlock.
    pub data_dir: String,
    /// How secrets are kept.
    pub protection: VaultProtection,
    /// How the app takes part in the backup preference that the user's clients share (MSC4287). `None`: as
    /// [`PreferencePolicy::default`] does it, which follows a value, asks the user where there is none, and writes both
    /// forms.
    #[uniffi(default = None)]
    pub preference: Option<PreferencePolicy>,
    /// What the download may use. `None`: as [`DownloadPolicy::default`] has it.
    #[uniffi(default = None)]
    pub download: Option<DownloadPolicy>,
    /// What this process is called when another one asks who is running: `app`, `notification extension`. `None`: `app`.
    #[uniffi(default = None)]
    pub process_name: Option<String>,
    /// Downloads of the OS that go on while the app is suspended, where the app has them: a background `URLSession`.
    #[uniffi(default = None)]
    pub file_downloads: Option<Arc<dyn FileDownloads>>,
}

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
