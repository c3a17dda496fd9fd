//! An account with a backup, a device of it with its own crypto, and new devices that restore.

use std::sync::Arc;

use keyferry::{
    ClientOptions, HomeserverAccountData, HttpTransport, KeyBackupClient, OlmMachineBackupSigner,
    OlmMachineSecretKeeper, OlmMachineSource, ReqwestTransport, UnlockSecret,
};
use keyferry_test_homeserver::{Config, Homeserver, TrueKey};
use matrix_sdk_crypto::{
    OlmMachine,
    secret_storage::SecretStorageKey,
    store::types::BackupDecryptionKey,
    vodozemac::megolm::{GroupSession, InboundGroupSession, SessionConfig},
};
use ruma::events::{secret::request::SecretName, secret_storage::key::SecretStorageKeyEventContent};

use crate::support::{Setup, assert_vault_complete, run_to_completion, start};

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
    /// Makes a device that will renew secret storage.
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

    /// Makes a device that uses the secret storage that the account has.
    pub(super) async fn in_old_storage(config: Config) -> Self {
        let world = Self::new(config).await;
        let id = world
            .homeserver
            .account_data("m.secret_storage.default_key")
            .expect("it is there");
        let id = id["key"].as_str().expect("an id").to_owned();
        let content = world.homeserver.account_data(&format!("m.secret_storage.key.{id}"));
        let algorithm = serde_json::from_value(content.expect("it is there")).expect("an algorithm");
        Self {
            recovery_key: world.setup.account.recovery_key.clone(),
            description: SecretStorageKeyEventContent::new(id, algorithm),
            ..world
        }
    }

    /// Returns the options of a client over plain HTTP.
    pub(super) fn options_over_http(&self) -> ClientOptions {
        self.options(Arc::new(ReqwestTransport::new().expect("a transport")))
    }

    /// Returns the options of a client that has access to the crypto of the device.
    pub(super) fn options(&self, transport: Arc<dyn HttpTransport>) -> ClientOptions {
        let (account, host) = (self.setup.options().account, self.setup.host.clone());
        let account_data = HomeserverAccountData::new(&account, transport, host).expect("an account");
        let account_data = Arc::new(account_data);
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
        self.open_over(Arc::new(ReqwestTransport::new().expect("a transport")))
            .await
    }

    /// Opens a client whose requests, and those of its crypto, go over this transport.
    pub(super) async fn open_over(&self, transport: Arc<dyn HttpTransport>) -> Arc<KeyBackupClient> {
        let client = self.setup.open_over(self.options(transport.clone()), transport).await;
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
        let types = self.homeserver.account_data_types();
        let mut keys = types.into_iter().filter_map(|name| self.key_in_storage(&name));
        let is_kept = keys.any(|key| key.megolm_v1_public_key().to_base64() == public_key);
        assert!(
            is_kept,
            "{context}: only this device has the key of the current version"
        );
    }

    /// Returns the backup key that another device finds in secret storage under this name, with the new recovery key.
    pub(super) fn key_in_storage(&self, name: &str) -> Option<BackupDecryptionKey> {
        let storage = self.storage_key();
        let content = self.homeserver.account_data(name)?;
        let data = serde_json::from_value(content["encrypted"][storage.key_id()].clone()).ok()?;
        let secret = storage.decrypt(&data, &SecretName::from(name)).ok()?;
        BackupDecryptionKey::from_base64(&String::from_utf8(secret).ok()?).ok()
    }
}

/// Returns a key that is in no backup.
pub(super) fn unknown_key() -> TrueKey {
    let group = GroupSession::new(SessionConfig::version_1());
    let session = InboundGroupSession::new(&group.session_key(), SessionConfig::version_1());
    TrueKey {
        room_id: "!unknown:localhost".to_owned(),
        session_id: group.session_id(),
        sender_key: "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo".to_owned(),
        sender_claimed_ed25519: None,
        session_key: session.export_at_first_known_index().to_base64(),
        first_known_index: 0,
        shared_history: true,
        usable: true,
        oddity: None,
    }
}
