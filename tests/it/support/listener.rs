//! A host that records.

use std::sync::Mutex;

use async_trait::async_trait;
use keyferry::{
    ArrivedRoomKeys, ConflictNotice, DownloadProgress, HostError, JobHost, PreferenceConflict, PreferenceNotice,
    PreferenceResolution, ResetProgress, SecretString, TokenRequest, WakeUp, WakeUpPurpose,
};
use tokio::sync::oneshot;

/// A host that has an access token and records what it is told.
#[derive(Default)]
pub(crate) struct Listener {
    pub(crate) token: Mutex<String>,
    pub(crate) refreshed_token: Mutex<Option<String>>,
    /// What `access_token` fails with, if anything.
    pub(crate) token_failure: Mutex<Option<HostError>>,
    pub(crate) token_requests: Mutex<Vec<TokenRequest>>,
    pub(crate) rooms: Mutex<Vec<String>>,
    pub(crate) progress: Mutex<Vec<DownloadProgress>>,
    pub(crate) reset_progress: Mutex<Vec<ResetProgress>>,
    pub(crate) arrived: Mutex<u64>,
    pub(crate) notices: Mutex<Vec<PreferenceNotice>>,
    pub(crate) key_conflicts: Mutex<Vec<ConflictNotice>>,
    pub(crate) conflicts: Mutex<Vec<PreferenceConflict>>,
    /// The answer to a preference conflict.
    pub(crate) resolution: Mutex<Option<PreferenceResolution>>,
    /// An answer to the next preference conflict that may come late, like that of a user who takes their time.
    pub(crate) late_resolution: Mutex<Option<oneshot::Receiver<PreferenceResolution>>>,
    /// The wake-up that was last scheduled for the preference, if any.
    pub(crate) preference_wake_up: Mutex<Option<WakeUp>>,
    /// The wake-up that was last scheduled for the reset, if any.
    pub(crate) reset_wake_up: Mutex<Option<WakeUp>>,
    /// The wake-up that was last scheduled for the upload, if any.
    pub(crate) upload_wake_up: Mutex<Option<WakeUp>>,
    /// The wake-up that was last scheduled for the download, if any.
    pub(crate) download_wake_up: Mutex<Option<WakeUp>>,
}

#[async_trait]
impl JobHost for Listener {
    async fn access_token(&self, request: TokenRequest) -> Result<SecretString, HostError> {
        self.token_requests.lock().expect("not poisoned").push(request);
        if let Some(failure) = self.token_failure.lock().expect("not poisoned").clone() {
            return Err(failure);
        }
        if request == TokenRequest::PreviousRejected
            && let Some(token) = self.refreshed_token.lock().expect("not poisoned").take()
        {
            *self.token.lock().expect("not poisoned") = token;
        }
        Ok(self.token.lock().expect("not poisoned").clone().into())
    }

    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError> {
        Ok(self.rooms.lock().expect("not poisoned").clone())
    }

    async fn on_progress(&self, progress: DownloadProgress) -> Result<(), HostError> {
        self.progress.lock().expect("not poisoned").push(progress);
        Ok(())
    }

    async fn on_reset_progress(&self, progress: ResetProgress) -> Result<(), HostError> {
        self.reset_progress.lock().expect("not poisoned").push(progress);
        Ok(())
    }

    async fn on_room_keys_arrived(&self, arrived: Vec<ArrivedRoomKeys>) -> Result<(), HostError> {
        *self.arrived.lock().expect("not poisoned") +=
            arrived.iter().map(|room| room.session_ids.len() as u64).sum::<u64>();
        Ok(())
    }

    async fn on_conflicts(&self, notice: ConflictNotice) -> Result<(), HostError> {
        self.key_conflicts.lock().expect("not poisoned").push(notice);
        Ok(())
    }

    async fn on_preference_changed(&self, notice: PreferenceNotice) -> Result<(), HostError> {
        self.notices.lock().expect("not poisoned").push(notice);
        Ok(())
    }

    async fn resolve_preference_conflict(
        &self,
        conflict: PreferenceConflict,
    ) -> Result<PreferenceResolution, HostError> {
        self.conflicts.lock().expect("not poisoned").push(conflict);
        let late = self.late_resolution.lock().expect("not poisoned").take();
        let resolution = match late {
            Some(late) => late.await.ok(),
            None => *self.resolution.lock().expect("not poisoned"),
        };
        resolution.ok_or(HostError::Failed {
            detail: "nobody to ask".to_owned(),
        })
    }

    async fn schedule_wake_up(&self, purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> Result<(), HostError> {
        let kept = match purpose {
            WakeUpPurpose::PreferenceWrite => &self.preference_wake_up,
            WakeUpPurpose::Reset => &self.reset_wake_up,
            WakeUpPurpose::Upload => &self.upload_wake_up,
            _ => &self.download_wake_up,
        };
        *kept.lock().expect("not poisoned") = wake_up;
        Ok(())
    }
}
