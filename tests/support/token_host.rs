//! The smallest app around a client: it has an access token, and hears only what it asks to hear. Tests, examples and the
//! benchmark include this file.

#![allow(dead_code, reason = "each program hears something else")]

use async_trait::async_trait;
use keyferry::{
    ArrivedRoomKeys, ConflictNotice, DownloadProgress, HostError, JobHost, PreferenceConflict, PreferenceNotice,
    PreferenceResolution, ResetProgress, SecretString, TokenRequest, WakeUp, WakeUpPurpose,
};

type Hear<T> = Box<dyn Fn(T) + Send + Sync>;

/// A host with an access token. It has no rooms to prefer, and leaves conflicts for later.
pub(crate) struct TokenHost {
    access_token: SecretString,
    progress: Option<Hear<DownloadProgress>>,
    reset_progress: Option<Hear<ResetProgress>>,
    preference: Option<Hear<PreferenceNotice>>,
    conflict: Option<Hear<PreferenceConflict>>,
    wake_up: Option<Hear<Option<WakeUp>>>,
}

impl TokenHost {
    pub(crate) fn new(access_token: impl Into<SecretString>) -> Self {
        Self {
            access_token: access_token.into(),
            progress: None,
            reset_progress: None,
            preference: None,
            conflict: None,
            wake_up: None,
        }
    }

    /// Calls `hear` with the progress of downloads.
    pub(crate) fn on_progress(self, hear: impl Fn(DownloadProgress) + Send + Sync + 'static) -> Self {
        Self {
            progress: Some(Box::new(hear)),
            ..self
        }
    }

    /// Calls `hear` with the progress of resets.
    pub(crate) fn on_reset_progress(self, hear: impl Fn(ResetProgress) + Send + Sync + 'static) -> Self {
        Self {
            reset_progress: Some(Box::new(hear)),
            ..self
        }
    }

    /// Calls `hear` when another device has changed the preference.
    pub(crate) fn on_preference_changed(self, hear: impl Fn(PreferenceNotice) + Send + Sync + 'static) -> Self {
        Self {
            preference: Some(Box::new(hear)),
            ..self
        }
    }

    /// Calls `hear` when two devices have chosen differently.
    pub(crate) fn on_conflict(self, hear: impl Fn(PreferenceConflict) + Send + Sync + 'static) -> Self {
        Self {
            conflict: Some(Box::new(hear)),
            ..self
        }
    }

    /// Calls `hear` with the wake-ups that are scheduled or cancelled.
    pub(crate) fn on_wake_up(self, hear: impl Fn(Option<WakeUp>) + Send + Sync + 'static) -> Self {
        Self {
            wake_up: Some(Box::new(hear)),
            ..self
        }
    }
}

#[async_trait]
impl JobHost for TokenHost {
    async fn access_token(&self, _request: TokenRequest) -> Result<SecretString, HostError> {
        Ok(self.access_token.clone())
    }

    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError> {
        Ok(Vec::new())
    }

    async fn on_progress(&self, progress: DownloadProgress) -> Result<(), HostError> {
        hear(self.progress.as_ref(), progress)
    }

    async fn on_reset_progress(&self, progress: ResetProgress) -> Result<(), HostError> {
        hear(self.reset_progress.as_ref(), progress)
    }

    async fn on_room_keys_arrived(&self, _arrived: Vec<ArrivedRoomKeys>) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_conflicts(&self, _notice: ConflictNotice) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_preference_changed(&self, notice: PreferenceNotice) -> Result<(), HostError> {
        hear(self.preference.as_ref(), notice)
    }

    async fn resolve_preference_conflict(
        &self,
        conflict: PreferenceConflict,
    ) -> Result<PreferenceResolution, HostError> {
        hear(self.conflict.as_ref(), conflict)?;
        Ok(PreferenceResolution::AskLater)
    }

    async fn schedule_wake_up(&self, _purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> Result<(), HostError> {
        hear(self.wake_up.as_ref(), wake_up)
    }
}

fn hear<T>(listener: Option<&Hear<T>>, news: T) -> Result<(), HostError> {
    if let Some(listener) = listener {
        listener(news);
    }
    Ok(())
}
