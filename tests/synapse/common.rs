//! Helpers for the tests: a Synapse, and a host for one of its devices.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use keyferry::{
    Account, ArrivedRoomKeys, ClientOptions, ConflictNotice, DownloadProgress, HostError, HttpTransport, JobHost,
    PreferenceConflict, PreferenceNotice, PreferenceResolution, ReqwestTransport, SecretBytes, SecretString,
    TokenRequest, VaultProtection, WakeUp, WakeUpPurpose,
};
use keyferry_test_synapse::{Device, Synapse};

pub(crate) async fn synapse() -> Synapse {
    let python = std::env::var("KEYFERRY_SYNAPSE_PYTHON").expect("KEYFERRY_SYNAPSE_PYTHON, see scripts/test.sh");
    Synapse::start(&python).await
}

pub(crate) fn transport() -> Arc<dyn HttpTransport> {
    Arc::new(ReqwestTransport::new().expect("a transport"))
}

pub(crate) fn options(synapse: &Synapse, device: &Device, data_dir: PathBuf) -> ClientOptions {
    ClientOptions {
        account: Account {
            homeserver_url: synapse.url().to_owned(),
            user_id: device.user_id.clone(),
            device_id: device.id.clone(),
        },
        data_dir: data_dir.display().to_string(),
        protection: VaultProtection::Key {
            key: SecretBytes::from(vec![7; 32]),
        },
        preference: None,
        download: None,
        process_name: None,
        file_downloads: None,
    }
}

/// A host that provides an access token and ignores everything else.
pub(crate) struct Host(String);

impl Host {
    pub(crate) fn of(device: &Device) -> Self {
        Self(device.access_token().to_owned())
    }
}

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
