//! Adapts `JobHost`, through which the app is told and asked, to the narrow traits that the other modules define. An
//! error that a callback throws is handled here and goes no further.

use std::sync::Arc;

use async_trait::async_trait;

use super::host::{HostError, JobHost};
use crate::{
    download::{ArrivedRoomKeys, ConflictNotice, DownloadListener, DownloadProgress},
    homeserver::{AccessTokens, NoToken, TokenRequest},
    preference::{PreferenceConflict, PreferenceListener, PreferenceNotice, PreferenceResolution},
    reset::{ResetListener, ResetProgress},
    secret::SecretString,
    wake_up::{WakeUp, WakeUpPurpose, WakeUps},
};

/// Implements the narrow traits of the other modules over the app's `JobHost`.
pub(super) struct HostAdapter(pub(super) Arc<dyn JobHost>);

#[async_trait]
impl AccessTokens for HostAdapter {
    async fn access_token(&self, request: TokenRequest) -> Result<SecretString, NoToken> {
        self.0.access_token(request).await.map_err(|error| match error {
            HostError::SignedOut => NoToken::SignedOut,
            HostError::Failed { .. } => {
                // Without the reason, which is the app's own.
                log::warn!("the app has no access token now: its callback failed");
                NoToken::NotNow
            }
        })
    }
}

#[async_trait]
impl WakeUps for HostAdapter {
    async fn schedule_wake_up(&self, purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> bool {
        self.0.schedule_wake_up(purpose, wake_up).await.is_ok()
    }
}

#[async_trait]
impl DownloadListener for HostAdapter {
    async fn rooms_by_priority(&self) -> Vec<String> {
        self.0.rooms_by_priority().await.unwrap_or_default()
    }

    async fn on_progress(&self, progress: DownloadProgress) {
        // An error from a pure notification changes nothing for us, here and below.
        let _ = self.0.on_progress(progress).await;
    }

    async fn on_room_keys_arrived(&self, arrived: Vec<ArrivedRoomKeys>) {
        let _ = self.0.on_room_keys_arrived(arrived).await;
    }

    async fn on_conflicts(&self, notice: ConflictNotice) -> bool {
        self.0.on_conflicts(notice).await.is_ok()
    }
}

#[async_trait]
impl PreferenceListener for HostAdapter {
    async fn on_preference_changed(&self, notice: PreferenceNotice) -> bool {
        self.0.on_preference_changed(notice).await.is_ok()
    }

    async fn resolve_preference_conflict(&self, conflict: PreferenceConflict) -> PreferenceResolution {
        let resolution = self.0.resolve_preference_conflict(conflict).await;
        resolution.unwrap_or(PreferenceResolution::AskLater)
    }
}

#[async_trait]
impl ResetListener for HostAdapter {
    async fn on_reset_progress(&self, progress: ResetProgress) {
        let _ = self.0.on_reset_progress(progress).await;
    }
}
