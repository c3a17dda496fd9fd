//! An account with a backup, a device of it with its own crypto, and new devices that restore.

use std::sync::Arc;

use async_trait::async_trait;
use keyferry::{
    AccountData, ClientOptions, CryptoError, HttpTransport, KeyBackupClient, OlmMachineBackupSigner,
    OlmMachineSecretKeeper, OlmMachineSource, ReqwestTransport, UnlockSecret,
};
use keyferry_test_homeserver::{Config, Homeserver};
use matrix_sdk_crypto::{OlmMachine, secret_storage::SecretStorageKey};
use ruma::events::secret_storage::key::SecretStorageKeyEventContent;
use serde_json::Value;

use crate::support::{Setup, assert_vault_complete, run_to_completion, start};

/// The account data of the small homeserver, as the app's own HTTP would reach it.
pub(super) struct DirectAccountData(pub(super) Arc<Homeserver>);

#[async_trait]
impl AccountData for DirectAccountData {
    async fn account_data(&self, event_type: &str) -> Result<Option<Value>, CryptoError> {
        Ok(self.0.account_data(event_type))
    }

    async fn set_account_data(&self, event_type: &str, content: Value) -> Result<(), CryptoError> {
        self.0.set_account_data(event_type, content);
        Ok(())
    }
}

/// A device that has downloaded the backup and is about to move it.
pub(super) struct World {
    pub(super) homeserver: Arc<Homeserver>,
    pub(super) setup: Setup,
    pub(super) machine: OlmMachine,
    /// The key of the new secret storage, in base58, as the user keeps it.
    pub(super) recovery_key: String,
    /// Its description, as the app keeps it until the storage is there.
    description: SecretStorageKeyEventContent,
}

impl World {
    pub(super) async fn new(config: Config) -> Self {
        let homeserver = Arc::new(start(config));
        let setup = Setup::new(&homeserver);
        let user_id = setup.account.user_id.as_str().try_into().expect("a user id");
        let machine = OlmMachine::new(user_id, "DEVICE".into()).await;
        machine.bootstrap_cross_signing(false).await.expect("an identity");
        let storage = SecretStorageKey::new();
        Self {
            homeserver,
            setup,
            machine,
            recovery_key: storage.to_base58(),
            description: storage.event_content().clone(),
        }
    }

    /// Returns the options of a client that has access to the crypto of the device.
    pub(super) fn options(&self) -> ClientOptions {
        let account_data = Arc::new(DirectAccountData(self.homeserver.clone()));
        let key = self.storage_key();
        ClientOptions {
            secret_keeper: Some(Arc::new(OlmMachineSecretKeeper::new(
                self.machine.clone(),
                account_data,
                key,
            ))),
            backup_signer: Some(Arc::new(OlmMachineBackupSigner::new(self.machine.clone()))),
            room_key_source: Some(Arc::new(OlmMachineSource::new(self.machine.clone()))),
            ..self.setup.options()
        }
    }

    /// Returns the key of the new secret storage, as after a restart.
    fn storage_key(&self) -> SecretStorageKey {
        let key = SecretStorageKey::from_account_data(&self.recovery_key, self.description.clone());
        key.expect("a key")
    }

    pub(super) async fn open(&self) -> Arc<KeyBackupClient> {
        let transport: Arc<dyn HttpTransport> = Arc::new(ReqwestTransport::new().expect("a transport"));
        let client = self.setup.open_over(self.options(), transport).await;
        client.expect("the client opens")
    }

    /// Opens a client that has downloaded and can open everything.
    pub(super) async fn open_complete(&self) -> Arc<KeyBackupClient> {
        let client = self.open().await;
        client.unlock(self.setup.recovery_key()).await.expect("the key fits");
        run_to_completion(&client).await;
        client
    }

    /// Asserts that a new device, with nothing but the new recovery key, restores every key of the version that is
    /// current now.
    pub(super) async fn assert_restores(&self) {
        let device = Setup::new(&self.homeserver);
        let client = device.open().await;
        let text = self.recovery_key.as_str().into();
        let unlocked = client.unlock(UnlockSecret::RecoveryKey { text }).await;
        unlocked.expect("the new recovery key fits");
        let report = run_to_completion(&client).await;
        assert!(report.every_key_is_here, "{report:?}");
        assert_vault_complete(&client, &self.homeserver).await;
    }
}
