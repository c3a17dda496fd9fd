//! keyferry, as far as the goal says, on an empty vault.

use std::sync::Arc;

use async_trait::async_trait;
use keyferry::{
    ArrivedRoomKeys, ClientOptions, DownloadProgress, HostError, JobHost, KeyBackupClient, OlmMachineSink,
    PreferenceConflict, PreferenceNotice, PreferenceResolution, ReqwestTransport, RoomKeySink, RunBudget, RunOutcome,
    SecretBytes, SecretString, TokenRequest, UnlockSecret, VaultProtection, WakeUp, WakeUpPurpose,
};
use matrix_sdk_crypto::OlmMachine;
use matrix_sdk_sqlite::SqliteCryptoStore;
use ruma::{OwnedDeviceId, UserId};
use tokio::runtime::Runtime;

use crate::{Failure, account::Account, child};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Fetched,
    Opened,
    Delivered,
}

pub(crate) fn run(account: &Account, goal: Goal) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    // Without it, dropping the crypto store aborts the process.
    let _context = runtime.enter();
    let sink: Option<Arc<dyn RoomKeySink>> = match goal {
        Goal::Delivered => {
            let store = runtime.block_on(SqliteCryptoStore::open(directory.path().join("store"), None))?;
            let user_id = UserId::parse(&account.user_id)?;
            let device_id = OwnedDeviceId::from(account.device_id.as_str());
            let machine = runtime.block_on(OlmMachine::with_store(&user_id, &device_id, store, None))?;
            Some(Arc::new(OlmMachineSink::new(machine)))
        }
        Goal::Fetched | Goal::Opened => None,
    };
    let options = ClientOptions {
        account: keyferry::Account {
            homeserver_url: account.homeserver_url.clone(),
            user_id: account.user_id.clone(),
            device_id: account.device_id.clone(),
        },
        data_dir: directory.path().join("vault").display().to_string(),
        protection: VaultProtection::Key {
            key: SecretBytes::from(vec![7; 32]),
        },
        preference: None,
    };
    // It reads the certificates of the system: an app has done that.
    let transport = ReqwestTransport::new()?;
    child::answer(transport, |transport| {
        runtime.block_on(restore(account, goal, options, transport, sink))
    })
}

async fn restore(
    account: &Account,
    goal: Goal,
    options: ClientOptions,
    transport: ReqwestTransport,
    sink: Option<Arc<dyn RoomKeySink>>,
) -> Result<(), Failure> {
    let host = Arc::new(Host(account.access_token.clone()));
    let client = KeyBackupClient::open(options, Arc::new(transport), host, sink).await?;
    if goal != Goal::Fetched {
        let base64 = account.backup_decryption_key_base64.as_str().into();
        client.unlock(UnlockSecret::DecryptionKey { base64 }).await?;
    }
    let report = client.download().run(RunBudget { max_duration_ms: None }).await;
    let (wanted, reached) = match goal {
        Goal::Fetched => (RunOutcome::NeedsUnlock, report.summary.fetched),
        Goal::Opened => (RunOutcome::Completed, report.summary.opened),
        Goal::Delivered => (RunOutcome::Completed, report.summary.delivered),
    };
    if report.outcome == wanted && reached == account.keys {
        Ok(())
    } else {
        Err(format!("{:?} with {reached} keys", report.outcome).into())
    }
}

/// A host that has a token and listens to nothing.
struct Host(String);

#[async_trait]
impl JobHost for Host {
    async fn access_token(&self, _request: TokenRequest) -> Result<SecretString, HostError> {
        Ok(self.0.as_str().into())
    }

    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError> {
        Ok(Vec::new())
    }

    async fn on_progress(&self, _progress: DownloadProgress) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_room_keys_arrived(&self, _arrived: Vec<ArrivedRoomKeys>) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_preference_changed(&self, _notice: PreferenceNotice) -> Result<(), HostError> {
        Ok(())
    }

    async fn resolve_preference_conflict(
        &self,
        _conflict: PreferenceConflict,
    ) -> Result<PreferenceResolution, HostError> {
        Ok(PreferenceResolution::AskLater)
    }

    async fn schedule_wake_up(&self, _purpose: WakeUpPurpose, _wake_up: Option<WakeUp>) -> Result<(), HostError> {
        Ok(())
    }
}
