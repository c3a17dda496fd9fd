//! The client: the object that an app opens once per signed-in account.
//!
//! - `options`, `open`, `open_error`: opening a client
//! - `keys`: single keys and rooms, unlocking, export
//! - `account_data`: account data for secret storage with an `OlmMachine`
//! - `host`, `keyring`: the traits that the app implements; `adapter`: the same callbacks behind the narrow traits of
//!   the other modules

#[cfg(feature = "matrix-sdk-sink")]
mod account_data;
mod adapter;
mod host;
mod keyring;
mod keys;
mod open;
mod open_error;
mod options;

#[cfg(feature = "matrix-sdk-sink")]
pub use account_data::HomeserverAccountData;
pub use host::{HostError, JobHost};
pub use keyring::Keyring;
pub use open::set_vault_aside;
pub use open_error::OpenError;
pub use options::{Account, ClientOptions, VaultProtection};

use std::sync::Arc;

use adapter::HostAdapter;
use open::{check_account, check_directory, open_vault};

use crate::{
    blocking::blocking,
    context::Context,
    crypto::RoomKeySink,
    decryption_keys::DecryptionKeys,
    download::KeyDownload,
    export::Export,
    homeserver::{AccountDownloads, Homeserver, HttpTransport},
    job::{Gate, Jobs, WakesUp},
    lookup::Lookup,
    on_demand::OnDemand,
    preference::KeyBackupPreference,
    reset::{BackupReset, ResetCrypto},
    upload::KeyUpload,
};

/// The key backup of one account.
///
/// Open it once and keep it: while it is idle it holds no database, connection or thread. Call `shutdown` when the
/// account signs out; otherwise the callbacks leak.
///
/// ```text
/// client = KeyBackupClient.open(options, transport, host, sink)
/// client.unlock(UnlockSecret.RecoveryKey(text))   // once; the key is kept in a sealed vault
/// outcome = client.download().run(RunBudget())    // whenever the OS gives the app time
/// ```
#[derive(uniffi::Object)]
pub struct KeyBackupClient {
    jobs: Arc<Jobs>,
    download: Arc<KeyDownload>,
    preference: Arc<KeyBackupPreference>,
    reset: Arc<BackupReset>,
    upload: Arc<KeyUpload>,
    lookup: Arc<Lookup>,
    on_demand: OnDemand,
    export: Export,
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupClient {
    /// Opens the vault of an account, or creates one. Does not use the network. Pass no `sink` if keys are only
    /// looked up or exported.
    ///
    /// # Errors
    /// An `OpenError`; nothing is left half made.
    #[uniffi::constructor]
    pub async fn open(
        options: ClientOptions,
        transport: Arc<dyn HttpTransport>,
        host: Arc<dyn JobHost>,
        sink: Option<Arc<dyn RoomKeySink>>,
    ) -> Result<Arc<Self>, OpenError> {
        let url = check_account(&options.account)?;
        let directory = check_directory(&options.data_dir)?;
        let Account { user_id, device_id, .. } = options.account;
        let policy = options.download.unwrap_or_default();
        let files = options
            .file_downloads
            .map(|downloads| AccountDownloads::new(downloads, &user_id, &device_id));
        let crypto = (
            options.secret_keeper,
            options.backup_signer,
            options.room_key_source.clone(),
        );
        let reset_crypto = match crypto {
            (Some(secrets), Some(signer), Some(source)) => Some(ResetCrypto {
                secrets,
                signer,
                source,
            }),
            _ => None,
        };
        let host = Arc::new(HostAdapter(host));
        let homeserver = Homeserver::new(&url, &user_id, transport, host.clone());
        let open = move || open_vault(&options.protection, &directory, &user_id, &device_id);
        let vault = blocking(open).await.unwrap_or(Err(OpenError::Internal))?;
        let keys = Arc::new(DecryptionKeys::default());
        let context = Arc::new(Context {
            homeserver,
            wake_ups: host.clone(),
            sink,
            vault: vault.clone(),
            keys: keys.clone(),
            process_name: options.process_name.unwrap_or_else(|| "app".to_owned()),
            files,
        });
        let jobs = Arc::new(Jobs::new(context.clone(), Gate::new(policy.conditions())));
        let lookup = Arc::new(Lookup::new(vault, keys, jobs.gate.clone()));
        let download = KeyDownload::new(jobs.clone(), &context, host.clone(), policy, lookup.clone());
        let download = Arc::new(download);
        let preference = KeyBackupPreference::new(
            jobs.clone(),
            &context,
            host.clone(),
            options.preference.unwrap_or_default(),
        );
        let preference = Arc::new(preference);
        let reset = BackupReset::new(
            jobs.clone(),
            context,
            download.clone(),
            preference.clone(),
            host,
            reset_crypto,
        );
        let reset = Arc::new(reset);
        let upload = Arc::new(KeyUpload::new(jobs.clone(), options.room_key_source));
        let to_wake: [Arc<dyn WakesUp>; 3] = [download.clone(), reset.clone(), upload.clone()];
        jobs.set_jobs_to_wake(to_wake.iter().map(Arc::downgrade).collect());
        Ok(Arc::new(Self {
            on_demand: OnDemand::new(jobs.clone(), download.clone(), lookup.clone()),
            preference,
            reset,
            upload,
            export: Export::default(),
            jobs,
            download,
            lookup,
        }))
    }

    /// Returns the download of the backup: always the same object.
    pub fn download(&self) -> Arc<KeyDownload> {
        self.download.clone()
    }

    /// Returns the backup preference that the user's clients share: always the same object.
    pub fn preference(&self) -> Arc<KeyBackupPreference> {
        self.preference.clone()
    }

    /// Returns the upload of keys that the app's crypto has and the backup has not: always the same object.
    pub fn upload(&self) -> Arc<KeyUpload> {
        self.upload.clone()
    }

    /// Returns the reset of the backup: always the same object. It changes something on the server only when one of its
    /// calls says so.
    pub fn reset(&self) -> Arc<BackupReset> {
        self.reset.clone()
    }

    /// Ends all work, wipes the keys, discards downloads that the OS is making into files, and drops the callbacks.
    /// Call it when the account signs out, or before its vault is set aside or deleted. May be called more than once.
    /// Afterwards every call fails as shut down, and a run returns as paused. The vault stays on disk.
    pub fn shutdown(&self) {
        self.export.stop();
        let context = self.jobs.shut_down();
        self.download.shut_down();
        self.preference.shut_down();
        self.reset.shut_down();
        self.upload.shut_down();
        self.lookup.shut_down();
        if let Some(context) = context {
            context.keys.clear();
            if let Some(files) = &context.files {
                files.close();
            }
        }
    }
}
