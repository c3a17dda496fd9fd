//! A client in its own directory.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use keyferry::{
    Account, ClientOptions, HttpTransport, KeyBackupClient, OlmMachineSink, OpenError, ReqwestTransport, RoomKey,
    RoomKeySink, SecretBytes, UnlockSecret, VaultProtection,
};
use keyferry_test_homeserver::{AccountInfo, Homeserver};
use matrix_sdk_crypto::OlmMachine;
use tempfile::TempDir;

use super::{listener::Listener, recorder::Recorder};
use crate::secrets::keep_out_of_logs;

/// What a client needs: a directory, a host, a sink and an account.
pub(crate) struct Setup {
    pub(crate) directory: TempDir,
    pub(crate) host: Arc<Listener>,
    pub(crate) sink: Option<Arc<Recorder>>,
    pub(crate) account: AccountInfo,
}

impl Setup {
    /// Returns a setup without a sink.
    pub(crate) fn new(homeserver: &Homeserver) -> Self {
        let account = homeserver.account().clone();
        keep_out_of_logs(&account);
        let host = Arc::new(Listener {
            token: Mutex::new(account.access_token.clone()),
            ..Listener::default()
        });
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            host,
            sink: None,
            account,
        }
    }

    /// Returns a setup with a sink that records.
    pub(crate) fn with_sink(homeserver: &Homeserver) -> Self {
        Self {
            sink: Some(Arc::default()),
            ..Self::new(homeserver)
        }
    }

    /// Returns the directory of the vault.
    pub(crate) fn vault_directory(&self) -> PathBuf {
        self.directory.path().join("vault")
    }

    /// Returns the path of the vault's database.
    pub(crate) fn vault_file(&self) -> PathBuf {
        self.vault_directory().join("keyferry.sqlite3")
    }

    /// Returns the path of the database's log, which SQLite deletes when the last connection closes.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.vault_directory().join("keyferry.sqlite3-wal")
    }

    /// Returns the files with the bodies of entries.
    pub(crate) fn segment_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.vault_directory()).expect("the directory");
        let files = files.map(|file| file.expect("a file").path());
        files
            .filter(|file| file.to_string_lossy().contains("-bodies-"))
            .collect()
    }

    /// Returns the keys that the sink was given so far, in order.
    pub(crate) fn delivered(&self) -> Vec<RoomKey> {
        let sink = self.sink.as_ref().expect("a sink");
        sink.keys.lock().expect("not poisoned").clone()
    }

    /// Returns the usual options: a vault with a key, and everything else by default.
    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions::new(
            Account {
                homeserver_url: self.account.homeserver_url.clone(),
                user_id: self.account.user_id.clone(),
                device_id: self.account.device_id.clone(),
            },
            self.vault_directory().display().to_string(),
            VaultProtection::Key {
                key: SecretBytes::from(vec![7; 32]),
            },
        )
    }

    /// Opens a client with the usual options.
    pub(crate) async fn open(&self) -> Arc<KeyBackupClient> {
        self.open_with(self.options()).await.expect("the client opens")
    }

    /// Opens a client over HTTP.
    pub(crate) async fn open_with(&self, options: ClientOptions) -> Result<Arc<KeyBackupClient>, OpenError> {
        let transport: Arc<dyn HttpTransport> = Arc::new(ReqwestTransport::new().expect("a transport"));
        self.open_over(options, transport).await
    }

    /// Opens a client over this transport.
    pub(crate) async fn open_over(
        &self,
        options: ClientOptions,
        transport: Arc<dyn HttpTransport>,
    ) -> Result<Arc<KeyBackupClient>, OpenError> {
        let sink = self.sink.clone().map(|sink| sink as Arc<dyn RoomKeySink>);
        KeyBackupClient::open(options, transport, self.host.clone(), sink).await
    }

    /// Opens a client with the usual options, and unlocks it.
    pub(crate) async fn open_unlocked(&self) -> Arc<KeyBackupClient> {
        let client = self.open().await;
        client.unlock(self.recovery_key()).await.expect("the recovery key fits");
        client
    }

    /// Opens a client that delivers into this machine, and unlocks it.
    pub(crate) async fn open_into_machine(&self, machine: OlmMachine) -> Arc<KeyBackupClient> {
        self.open_with_sink(OlmMachineSink::new(machine)).await
    }

    /// Opens a client that delivers into this sink, and unlocks it.
    pub(crate) async fn open_with_sink(&self, sink: OlmMachineSink) -> Arc<KeyBackupClient> {
        let transport = Arc::new(ReqwestTransport::new().expect("a transport"));
        let client = KeyBackupClient::open(self.options(), transport, self.host.clone(), Some(Arc::new(sink)))
            .await
            .expect("the client opens");
        client.unlock(self.recovery_key()).await.expect("the recovery key fits");
        client
    }

    /// Returns the secret that the user would type.
    pub(crate) fn recovery_key(&self) -> UnlockSecret {
        UnlockSecret::RecoveryKey {
            text: self.account.recovery_key.as_str().into(),
        }
    }
}
