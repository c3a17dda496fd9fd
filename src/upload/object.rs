//! Keeping the backup up to date, as apps see it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    records::{PendingUpload, UploadHindrance, UploadReport, UploadStatus},
    run::{Flushed, hindrance, work},
};
use crate::{
    backup::limits::USUAL_ENTRY_BYTES,
    crypto::RoomKeySource,
    homeserver::{HomeserverError, Retry},
    job::{
        self, AccessError, JobEnd, Jobs, NextRun, Occasion, RemainingWork, RunBudget, RunRequests, WakesUp, Work,
        WorkSet,
    },
    locked::locked,
    until_shut_down::UntilShutDown,
    wake_up::{WakeUp, WakeUpPurpose},
};

/// The kinds of work that uploads do.
const WORKS: WorkSet = WorkSet::of(&[Work::Fetch]);

/// Uploads room keys that the app's crypto has and the backup has not. Get it from `KeyBackupClient.upload()`. Needs a
/// `RoomKeySource` (`ClientOptions.room_key_source`).
///
/// ```text
/// if upload.pending_upload().keys > 0 { upload.flush(RunBudget()) }   // before a logout
/// ```
#[derive(uniffi::Object)]
pub struct KeyUpload {
    jobs: Arc<Jobs>,
    /// `None` if the app gave no access to its crypto, and after the shutdown.
    source: Option<UntilShutDown<dyn RoomKeySource>>,
    requests: RunRequests,
    /// What the last call of `flush` has left; `None` if nothing is left that another call could upload.
    left: Mutex<Option<Left>>,
}

impl KeyUpload {
    pub(crate) fn new(jobs: Arc<Jobs>, source: Option<Arc<dyn RoomKeySource>>) -> Self {
        Self {
            jobs,
            source: source.map(UntilShutDown::new),
            requests: RunRequests::default(),
            left: Mutex::default(),
        }
    }

    /// Drops the callbacks.
    pub(crate) fn shut_down(&self) {
        if let Some(source) = &self.source {
            source.shut_down();
        }
    }

    fn source(&self) -> Result<Arc<dyn RoomKeySource>, AccessError> {
        let source = self.source.as_ref().ok_or(AccessError::NotConfigured)?;
        source.get().ok_or(AccessError::ShutDown)
    }
}

#[async_trait]
impl WakesUp for KeyUpload {
    async fn ask_again(&self, occasion: Occasion) {
        if let Some(occasion) = self.requests.note(occasion) {
            self.ask_for_what_is_left(occasion).await;
        }
    }

    async fn cancel_wake_up(&self) {
        self.ask(NextRun::Never, 0).await;
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyUpload {
    /// Returns what a logout would lose. Needs no network.
    ///
    /// # Errors
    /// Any `AccessError`.
    pub async fn pending_upload(&self) -> Result<PendingUpload, AccessError> {
        let source = self.source()?;
        let counts = source.count_room_keys().await?;
        Ok(PendingUpload {
            keys: counts.total.saturating_sub(counts.backed_up),
            is_backed_up: source.backup_in_use().await?.is_some(),
        })
    }

    /// Returns how complete the backup is, and what keeps it from being complete. Makes one small request.
    ///
    /// # Errors
    /// Any `AccessError`. That the server cannot be asked is no error here, but `UploadStatus.hindrance`.
    pub async fn upload_status(&self) -> Result<UploadStatus, AccessError> {
        let source = self.source()?;
        let context = self.jobs.context().ok_or(AccessError::ShutDown)?;
        let counts = source.count_room_keys().await?;
        let in_use = source.backup_in_use().await?;
        let asked = Retry::while_a_user_waits().request(|| context.homeserver.current_version());
        let (info, unreachable) = match asked.await {
            Ok(info) => (Some(info), false),
            Err(given_up) => (None, given_up.error != HomeserverError::NotFound),
        };
        let causes: Vec<_> = self.jobs.gate.now().causes().iter().collect();
        let hindrance = match (&info, &in_use) {
            _ if unreachable => Some(UploadHindrance::Unreachable),
            _ if !self.jobs.gate.now().allows(Work::Fetch) => Some(UploadHindrance::Paused { causes }),
            (info, in_use) => hindrance(info.as_ref(), in_use.as_ref()),
        };
        Ok(UploadStatus {
            known: counts.total,
            uploaded: counts.backed_up,
            waiting: counts.total.saturating_sub(counts.backed_up),
            on_server: info.as_ref().and_then(|info| info.count),
            version: info.map(|info| info.version),
            hindrance,
        })
    }

    /// Uploads every key that waits, until none is left, the budget is used up, or something prevents it. Throws no
    /// error. Shares its pause causes with the download, and never works beside it. The host is asked for the wake-up
    /// that the next call needs (`WakeUpPurpose.Upload`).
    ///
    /// A key of which the backup has a copy that begins as early is not uploaded, but counts as backed up.
    pub async fn flush(&self, budget: RunBudget) -> UploadReport {
        let under_way = self.requests.begin_run();
        // If this future is dropped, everything may be left.
        *locked(&self.left) = Some(Left {
            keys: 0,
            was_held: true,
        });
        let mut uploaded = 0;
        let (outcome, mut wake_up) = match self.flush_once(budget, &mut uploaded).await {
            Ok(flushed) => {
                *locked(&self.left) = None;
                (flushed.into(), self.ask(NextRun::Never, 0).await)
            }
            Err(end) => {
                let left = Left {
                    keys: self.pending_upload().await.map_or(0, |pending| pending.keys),
                    was_held: matches!(end, JobEnd::Paused { .. } | JobEnd::Stopped),
                };
                *locked(&self.left) = Some(left);
                let wake_up = self.ask(end.next_run(), left.keys).await;
                (end.into(), wake_up)
            }
        };
        drop(under_way);
        // Handles requests that came while the call was ending.
        if let Some(occasion) = self.requests.take() {
            wake_up = self.ask_for_what_is_left(occasion).await.or(wake_up);
        }
        UploadReport {
            outcome,
            uploaded,
            wake_up,
        }
    }
}

impl KeyUpload {
    /// Asks the app for another call if the last one has left something that is worth another try now.
    async fn ask_for_what_is_left(&self, occasion: Occasion) -> Option<WakeUp> {
        let left = (*locked(&self.left))?;
        let is_due = left.was_held || occasion == Occasion::UserDecided;
        if !is_due || !self.jobs.gate.now().allows_when_woken(WORKS) {
            return None;
        }
        self.ask(NextRun::After(Duration::ZERO), left.keys).await
    }

    async fn ask(&self, next: NextRun, waiting: u64) -> Option<WakeUp> {
        let context = self.jobs.context()?;
        let conditions = *self.jobs.gate.now().conditions();
        let left = RemainingWork {
            network_bytes: Some(waiting * USUAL_ENTRY_BYTES),
            is_offline_left: false,
        };
        next.ask(&*context.wake_ups, WakeUpPurpose::Upload, left, &conditions)
            .await
    }

    async fn flush_once(&self, budget: RunBudget, uploaded: &mut u64) -> Result<Flushed, JobEnd> {
        let Ok(source) = self.source() else {
            return Ok(Flushed::Hindered(UploadHindrance::NotInUse));
        };
        let claim = self.jobs.claim(WORKS)?;
        let context = self.jobs.context().ok_or(JobEnd::Paused { causes: Vec::new() })?;
        let run_context = context.clone();
        let work = |turn| work(turn, run_context, source, uploaded);
        Box::pin(job::run(&self.jobs, &context, &claim.run, budget, work)).await
    }
}

/// Keys that a call of `flush` did not upload.
#[derive(Clone, Copy)]
struct Left {
    keys: u64,
    /// Whether a pause or a stop held it.
    was_held: bool,
}
