//! The smallest possible app around the download: it has a token, and prints the wake-ups that it is asked for.

use async_trait::async_trait;
use keyferry::{
    ArrivedRoomKeys, ConflictNotice, DownloadProgress, HostError, JobHost, PreferenceConflict, PreferenceNotice,
    PreferenceResolution, SecretString, TokenRequest, WakeUp, WakeUpPurpose,
};
use serde_json::json;

use crate::tell;

pub(crate) struct Host(pub(crate) SecretString);

#[async_trait]
impl JobHost for Host {
    async fn access_token(&self, _request: TokenRequest) -> Result<SecretString, HostError> {
        Ok(self.0.clone())
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

    async fn schedule_wake_up(&self, _purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> Result<(), HostError> {
        tell(&json!({ "wake_up": wake_up.map(|wake_up| format!("{wake_up:?}")) }));
        Ok(())
    }
}
