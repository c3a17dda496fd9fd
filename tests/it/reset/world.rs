//! An account with a backup, a device of it with its own crypto, and new devices that restore.

use std::sync::Arc;

use async_trait::async_trait;
use keyferry::{
    AccountData, ClientOptions, CryptoError, HttpTransport, KeyBackupClient, OlmMachineBackupSigner,
    OlmMachineSecretKeeper, OlmMachineSource, ReqwestTransport, UnlockSecret,
};
use keyferry_test_homeserver::{Config, Homeserver};
use matrix_sdk_crypto::{OlmMachine, secret_storage::SecretStorageKey, store::types::BackupDecryptionKey};
use ruma::events::{secret::request::SecretName, secret_storage::key::SecretStorageKeyEventContent};
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

    /// Asserts that the old version is there, and that the key of the current one is in secret storage, where another
    /// device can get it with the recovery key.
    pub(super) fn assert_nothing_is_lost(&self, context: &str) {
        assert!(self.homeserver.versions().contains(&"1".to_owned()), "{context}");
        let current = self.homeserver.current_version().expect("there is one");
        if current == "1" {
            return;
        }
        let auth_data = self.homeserver.auth_data_of(&current).expect("it has one");
        let public_key = auth_data["public_key"].as_str().expect("a key");
        let storage = self.storage_key();
        let is_kept = self.homeserver.account_data_types().into_iter().any(|event_type| {
            let content = self.homeserver.account_data(&event_type).unwrap_or_default();
            let encrypted = content["encrypted"][storage.key_id()].clone();
            let secret = serde_json::from_value(encrypted).ok();
            let secret = secret.and_then(|data| storage.decrypt(&data, &SecretName::from(event_type)).ok());
            let key = secret.and_then(|secret| BackupDecryptionKey::from_base64(&String::from_utf8(secret).ok()?).ok());
            key.is_some_and(|key| key.megolm_v1_public_key().to_base64() == public_key)
        });
        assert!(
            is_kept,
            "{context}: only this device has the key of the current version"
        );
    }
}
