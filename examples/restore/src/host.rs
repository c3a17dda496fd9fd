//! The callbacks that an app implements: here, a token, no preferred rooms, and a progress bar.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressStyle};
use keyferry::{
    ArrivedRoomKeys, ConflictNotice, DownloadProgress, DownloadStage, HostError, JobHost, PreferenceConflict,
    PreferenceNotice, PreferenceResolution, ResetProgress, SecretString, TokenRequest, WakeUp, WakeUpPurpose,
};

pub(crate) struct ExampleHost {
    access_token: SecretString,
    began: Instant,
    bar: ProgressBar,
    fetched_after: OnceLock<Duration>,
}

impl ExampleHost {
    pub(crate) fn new(access_token: String) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg:>12} {bar:40} {pos}/{len} keys, {per_sec}, {eta} left");
        bar.set_style(style.expect("a sound template"));
        Self {
            access_token: access_token.into(),
            began: Instant::now(),
            bar,
            fetched_after: OnceLock::new(),
        }
    }

    /// Returns the time that it took to fetch everything for the first time.
    pub(crate) fn fetched_after(&self) -> Option<Duration> {
        self.fetched_after.get().copied()
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[async_trait]
impl JobHost for ExampleHost {
    async fn access_token(&self, _request: TokenRequest) -> Result<SecretString, HostError> {
        Ok(self.access_token.clone())
    }

    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError> {
        Ok(Vec::new())
    }

    async fn on_progress(&self, progress: DownloadProgress) -> Result<(), HostError> {
        if progress.total > 0 && progress.fetched >= progress.total {
            self.fetched_after.get_or_init(|| self.began.elapsed());
        }
        let settled = progress.opened + progress.failed;
        let (message, position) = match progress.stage {
            DownloadStage::Preparing => ("preparing", 0),
            DownloadStage::Fetching => ("fetching", progress.fetched),
            DownloadStage::WaitingToRetry => ("waiting", progress.fetched),
            DownloadStage::Opening => ("opening", settled),
            DownloadStage::Delivering => ("delivering", progress.delivered),
            _ => ("done", settled),
        };
        self.bar.set_length(progress.total);
        self.bar.set_message(message);
        self.bar.set_position(position);
        Ok(())
    }

    async fn on_reset_progress(&self, _progress: ResetProgress) -> Result<(), HostError> {
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
