//! The smallest possible app around a client.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use keyferry::{
    ArrivedRoomKeys, ClientOptions, ConflictNotice, DownloadProgress, HostError, JobHost, KeyBackupClient,
    PreferenceConflict, PreferenceNotice, PreferenceResolution, ReqwestTransport, RoomKey, RoomKeySink, SecretBytes,
    SecretString, SinkAnswer, SinkError, TokenRequest, UnlockSecret, VaultProtection, WakeUp, WakeUpPurpose,
};

use crate::{Failure, account::Account};

pub(crate) async fn open(
    account: &Account,
    data_dir: &Path,
    transport: Arc<ReqwestTransport>,
    sink: Option<Arc<dyn RoomKeySink>>,
) -> Result<Arc<KeyBackupClient>, Failure> {
    let options = ClientOptions {
        account: keyferry::Account {
            homeserver_url: account.homeserver_url.clone(),
            user_id: account.user_id.clone(),
            device_id: account.device_id.clone(),
        },
        data_dir: data_dir.display().to_string(),
        protection: VaultProtection::Key {
            key: SecretBytes::from(vec![7; 32]),
        },
        preference: None,
        download: None,
        process_name: None,
        file_downloads: None,
    };
    let host = Arc::new(Host(account.access_token.clone()));
    Ok(KeyBackupClient::open(options, transport, host, sink).await?)
}

pub(crate) async fn unlock(client: &KeyBackupClient, account: &Account) -> Result<(), Failure> {
    let base64 = account.backup_decryption_key_base64.as_str().into();
    client.unlock(UnlockSecret::DecryptionKey { base64 }).await?;
    Ok(())
}

/// A sink that takes everything, after this delay, and keeps nothing.
pub(crate) struct TakesAll(pub(crate) Duration);

#[async_trait]
impl RoomKeySink for TakesAll {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
        Ok(vec![SinkAnswer::Imported; keys.len()])
    }
}

/// A host that has a token and ignores everything that it is told.
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

    async fn on_conflicts(&self, _notice: ConflictNotice) -> Result<(), HostError> {
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
