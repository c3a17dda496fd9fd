//! The client: what an app opens once per signed-in account, and the parts that its jobs share.

mod host;
mod protection;

pub use host::{HostError, JobHost, Keyring, TokenRequest, WakeUp, WakeUpPurpose};
pub use protection::VaultProtection;

use protection::open_vault;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use url::Url;

use crate::{
    blocking::blocking,
    decryption_keys::DecryptionKeys,
    download::{DownloadPolicy, KeyDownload},
    homeserver::{AccountDownloads, FileDownloads, Homeserver, HttpTransport},
    lookup::{Lookup, RoomKeyLookup},
    on_demand::{Flights, OnDemandError, RoomFetch, WantedSession},
    preference::{KeyBackupPreference, PreferencePolicy},
    sink::RoomKeySink,
    vault::{OpenVaultError, Vault, VaultError},
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

/// The key backup of one account.
///
/// Open it once and keep it: it holds no database, no connection and no thread while nothing is asked of it. Call
/// `shutdown` when the account signs out, or the callbacks leak.
#[derive(uniffi::Object)]
pub struct KeyBackupClient {
    pub(crate) parts: Mutex<Option<Arc<Parts>>>,
    pub(crate) download: Arc<KeyDownload>,
    preference: Arc<KeyBackupPreference>,
    pub(crate) lookup: Arc<Lookup>,
    pub(crate) session_flights: Flights<WantedSession, Result<RoomKeyLookup, OnDemandError>>,
    pub(crate) room_flights: Flights<String, Result<RoomFetch, OnDemandError>>,
    pub(crate) export: crate::export::ExportStop,
}

/// What the jobs of a client share.
pub(crate) struct Parts {
    pub(crate) homeserver: Homeserver,
    pub(crate) host: Arc<dyn JobHost>,
    pub(crate) sink: Option<Arc<dyn RoomKeySink>>,
    pub(crate) vault: Vault,
    pub(crate) keys: Arc<DecryptionKeys>,
    pub(crate) process_name: String,
    pub(crate) files: Option<AccountDownloads>,
}

/// A client could not be opened. Nothing is left half made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum OpenError {
    /// The homeserver URL is no `https://` or `http://` URL.
    #[error("the homeserver URL is invalid")]
    InvalidHomeserverUrl,
    /// The user id is not of the form `@local:server`, or the device id is empty.
    #[error("the user id or device id is invalid")]
    InvalidAccount,
    /// The data directory is no path, or cannot be made, read or written now.
    #[error("the data directory cannot be used")]
    UnusableDataDir,
    /// The key or the passphrase is not the one that this vault was made with, or no 32 bytes, or empty.
    #[error("the vault key or passphrase is wrong")]
    WrongVaultKey,
    /// The vault was made with another kind of protection.
    #[error("the vault is protected in another way")]
    OtherProtection,
    /// The keyring cannot be read or written now, or has lost the key of a vault that is there.
    #[error("the keyring gave no key")]
    KeyringUnavailable {
        /// The vault is there, and the keyring is sure to have no key for it: it was restored without its keyring.
        key_lost: bool,
    },
    /// The vault is another account's.
    #[error("the vault belongs to another account")]
    OtherAccount,
    /// The vault was written by a newer version of the crate: update the app.
    #[error("the vault is of a newer version")]
    VaultTooNew,
    /// The vault is damaged beyond what the database mends by itself. `set_vault_aside` makes room for a new one.
    #[error("the vault is damaged")]
    VaultDamaged,
    /// There is no space left on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// `set_vault_aside` only: somebody is at work on the vault, in this process or another. End that, and call again.
    #[error("the vault is in use")]
    VaultInUse,
    /// A bug in the crate or in a callback of the app: the log says more.
    #[error("the vault could not be opened because of a bug")]
    Internal,
}

impl From<OpenVaultError> for OpenError {
    fn from(error: OpenVaultError) -> Self {
        log::warn!("the vault does not open: {error}");
        match error {
            OpenVaultError::WrongKey => Self::WrongVaultKey,
            OpenVaultError::OtherProtection => Self::OtherProtection,
            OpenVaultError::OtherAccount => Self::OtherAccount,
            OpenVaultError::TooNew { .. } => Self::VaultTooNew,
            OpenVaultError::Vault(VaultError::DiskFull) => Self::DiskFull,
            OpenVaultError::Directory(error) if error.kind() == std::io::ErrorKind::StorageFull => Self::DiskFull,
            OpenVaultError::Directory(_)
            | OpenVaultError::Vault(
                VaultError::Inaccessible | VaultError::Busy | VaultError::Overtaken | VaultError::Gone,
            ) => Self::UnusableDataDir,
            OpenVaultError::Vault(VaultError::Panicked) => Self::Internal,
            OpenVaultError::Vault(VaultError::Corrupt | VaultError::Unsealable | VaultError::Sqlite(_)) => {
                Self::VaultDamaged
            }
        }
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupClient {
    /// Opens the vault of an account, or makes one. Does not touch the network.
    ///
    /// # Errors
    /// An [`OpenError`]; nothing is left half made.
    #[uniffi::constructor]
    pub async fn open(
        options: ClientOptions,
        transport: Arc<dyn HttpTransport>,
        host: Arc<dyn JobHost>,
        sink: Option<Arc<dyn RoomKeySink>>,
    ) -> Result<Arc<Self>, OpenError> {
        let Account {
            homeserver_url,
            user_id,
            device_id,
        } = options.account;
        let url = Url::parse(&homeserver_url)
            .ok()
            .filter(|url| {
                matches!(url.scheme(), "https" | "http")
                    && url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
            })
            .ok_or(OpenError::InvalidHomeserverUrl)?;
        if !is_user_id(&user_id) || device_id.is_empty() {
            return Err(OpenError::InvalidAccount);
        }
        let directory = PathBuf::from(&options.data_dir);
        if !directory.is_absolute() && options.data_dir.trim().is_empty() {
            return Err(OpenError::UnusableDataDir);
        }
        let policy = options.preference.unwrap_or_default();
        let files = options
            .file_downloads
            .map(|downloads| AccountDownloads::new(downloads, &user_id, &device_id));
        let homeserver = Homeserver::new(&url, &user_id, transport, host.clone());
        let open = move || open_vault(&options.protection, &directory, &user_id, &device_id);
        let vault = blocking(open).await.unwrap_or(Err(OpenError::Internal))?;
        let keys = Arc::new(DecryptionKeys::default());
        let parts = Arc::new(Parts {
            homeserver,
            host,
            sink,
            vault: vault.clone(),
            keys: keys.clone(),
            process_name: options.process_name.unwrap_or_else(|| "app".to_owned()),
            files,
        });
        let lookup = Arc::new(Lookup::new(vault, keys));
        let download = KeyDownload::new(parts.clone(), options.download.unwrap_or_default(), lookup.clone());
        Ok(Arc::new(Self {
            download: Arc::new(download),
            preference: Arc::new(KeyBackupPreference::new(parts.clone(), policy)),
            lookup,
            session_flights: Flights::default(),
            room_flights: Flights::default(),
            parts: Mutex::new(Some(parts)),
            export: crate::export::ExportStop::default(),
        }))
    }

    /// The download of the backup: always the same object.
    pub fn download(&self) -> Arc<KeyDownload> {
        self.download.clone()
    }

    /// The preference that the user's clients share: always the same object.
    pub fn preference(&self) -> Arc<KeyBackupPreference> {
        self.preference.clone()
    }

    /// Ends everything, wipes keys, discards what the OS downloads into files, and drops the callbacks. For the end of the
    /// account's session, or before its vault is set aside or deleted: it may be called more than once, and afterwards every
    /// call answers that the client is shut down, and a run that it is paused. The vault stays on disk.
    pub fn shutdown(&self) {
        self.export.stop();
        self.download.shut_down();
        self.preference.shut_down();
        self.lookup.shut_down();
        if let Ok(mut parts) = self.parts.lock()
            && let Some(parts) = parts.take()
        {
            parts.keys.clear();
            if let Some(files) = &parts.files {
                files.close();
            }
        }
    }
}

/// Moves a vault that does not open any more out of the way, so that `KeyBackupClient.open` makes a new one there. Nothing is
/// deleted: returns where it lies now, in the same directory; `None` if there was no vault. Shut down the clients that have it
/// first, in every process: whoever still has one is told that the vault is gone.
///
/// The new vault gets everything from the server again. What is lost with the old one: keys that the server has no more, the
/// decryption key (unlock again), and a preference that was not yet written.
///
/// # Errors
/// [`OpenError::VaultInUse`] if somebody is at work on it, as far as the damage lets one see that;
/// [`OpenError::UnusableDataDir`] if it cannot be moved.
#[uniffi::export(async_runtime = "tokio")]
pub async fn set_vault_aside(data_dir: String) -> Result<Option<String>, OpenError> {
    let moved = blocking(move || Vault::set_aside(Path::new(&data_dir))).await;
    match moved.ok_or(OpenError::Internal)? {
        Ok(moved) => Ok(moved.map(|path| path.display().to_string())),
        Err(OpenVaultError::Vault(VaultError::Busy)) => Err(OpenError::VaultInUse),
        Err(error) => Err(error.into()),
    }
}

impl KeyBackupClient {
    pub(crate) fn parts(&self) -> Option<Arc<Parts>> {
        self.parts.lock().ok()?.clone()
    }
}

fn is_user_id(user_id: &str) -> bool {
    user_id
        .strip_prefix('@')
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(_, server)| !server.is_empty() && user_id.len() <= 255)
}
