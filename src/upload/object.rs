//! Keeping the backup up to date, as apps see it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::Engine;

use super::{
    flush::{Flush, flush},
    records::{PendingUpload, UploadError, UploadHindrance, UploadOutcome, UploadReport, UploadStatus},
    send::{SendEnd, end_of},
};
use crate::{
    backup::{limits::USUAL_ENTRY_BYTES, session_id::BASE64, version::VersionInfo},
    context::Context,
    crypto::{BackupTarget, CryptoError, RoomKeySource},
    homeserver::{HomeserverError, Retry},
    job::{
        self, ActiveRun, BlockedReason, JobEnd, Jobs, NextRun, PhaseEnd, RemainingWork, RunBudget, StopSignal, WakesUp,
        Work, WorkSet, in_writer,
    },
    until_shut_down::UntilShutDown,
    vault::{VaultError, VersionRow, Writer},
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
    /// Whether the last call of `flush` was held before it had uploaded everything.
    was_held: AtomicBool,
}

impl KeyUpload {
    pub(crate) fn new(jobs: Arc<Jobs>, source: Option<Arc<dyn RoomKeySource>>) -> Self {
        Self {
            jobs,
            source: source.map(UntilShutDown::new),
            was_held: AtomicBool::new(false),
        }
    }

    /// Drops the callbacks.
    pub(crate) fn shut_down(&self) {
        if let Some(source) = &self.source {
            source.shut_down();
        }
    }

    fn source(&self) -> Result<Arc<dyn RoomKeySource>, UploadError> {
        let source = self.source.as_ref().ok_or(UploadError::NoSource)?;
        source.get().ok_or(UploadError::ShutDown)
    }
}

#[async_trait]
impl WakesUp for KeyUpload {
    async fn ask_for_a_run(&self) {
        let is_allowed = self.jobs.gate.now().allows_when_woken(WORKS);
        if is_allowed && self.was_held.swap(false, Ordering::SeqCst) {
            let waiting = self.pending_upload().await.map_or(0, |pending| pending.keys);
            self.ask(NextRun::After(Duration::ZERO), waiting).await;
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
    /// Any `UploadError`.
    pub async fn pending_upload(&self) -> Result<PendingUpload, UploadError> {
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
    /// Any `UploadError`. That the server cannot be asked is no error here, but `UploadStatus.hindrance`.
    pub async fn upload_status(&self) -> Result<UploadStatus, UploadError> {
        let source = self.source()?;
        let context = self.jobs.context().ok_or(UploadError::ShutDown)?;
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
        let mut uploaded = 0;
        self.was_held.store(false, Ordering::SeqCst);
        let outcome = match self.flush_once(budget, &mut uploaded).await {
            Ok(Flushed::All) => UploadOutcome::Completed,
            Ok(Flushed::Hindered(by)) => UploadOutcome::Hindered { by },
            Ok(Flushed::Refused(reason)) => UploadOutcome::CryptoRefuses { reason },
            Err(end) => {
                let was_held = matches!(end, JobEnd::Paused { .. } | JobEnd::Stopped);
                self.was_held.store(was_held, Ordering::SeqCst);
                return self.report(end, uploaded).await;
            }
        };
        self.ask(NextRun::Never, 0).await;
        UploadReport {
            outcome,
            uploaded,
            wake_up: None,
        }
    }
}

impl KeyUpload {
    async fn report(&self, end: JobEnd, uploaded: u64) -> UploadReport {
        let waiting = match self.pending_upload().await {
            Ok(pending) => pending.keys,
            Err(_) => 0,
        };
        UploadReport {
            wake_up: self.ask(end.next_run(), waiting).await,
            outcome: end.into(),
            uploaded,
        }
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

/// How an upload ended that did all it could.
enum Flushed {
    All,
    Hindered(UploadHindrance),
    /// By the app's crypto, for this reason.
    Refused(String),
}

/// What hinders uploads to the server's current version by a crypto that uses this backup.
fn hindrance(current: Option<&VersionInfo>, in_use: Option<&BackupTarget>) -> Option<UploadHindrance> {
    match (current, in_use) {
        (None, _) => Some(UploadHindrance::NoBackup),
        (_, None) => Some(UploadHindrance::NotInUse),
        (Some(current), Some(in_use)) => {
            let public_key = current.public_key.map(|key| BASE64.encode(key));
            let is_same = current.version == in_use.version && public_key.as_ref() == Some(&in_use.public_key);
            (!is_same).then_some(UploadHindrance::OtherBackup)
        }
    }
}

/// Uploads pages in phases, as long as the app and the OS allow it.
async fn work(
    mut turn: ActiveRun,
    context: Arc<Context>,
    source: Arc<dyn RoomKeySource>,
    uploaded: &mut u64,
) -> Result<Flushed, JobEnd> {
    loop {
        let phase = turn.begin_phase().await?;
        let writer = turn.writer.clone();
        let stage = async {
            let asked = Asked::of(&context, &*source, &phase.stop).await?;
            let info = match asked {
                Asked::Hindered(by) => return Ok(Flushed::Hindered(by)),
                Asked::Current(info) => info,
            };
            let keys = context.keys.clone();
            let note = move |writer: &mut Writer| -> Result<(VersionRow, _), VaultError> {
                keys.load(writer.reader())?;
                let version = writer.write(|tx| tx.note_current_version(&info))?;
                let key = keys.get(version.id);
                Ok((version, key))
            };
            let (version, key) = in_writer(&writer, note).await?;
            let pages = Flush {
                homeserver: &context.homeserver,
                source: &*source,
                stop: &phase.stop,
                vault: &context.vault,
                run: &writer,
                version: &version,
                key,
            };
            flush(&pages, uploaded).await.map(|()| Flushed::All)
        };
        match turn.work(&phase, stage).await {
            PhaseEnd::Changed(Err(SendEnd::Stopped)) => {}
            PhaseEnd::Over(Err(SendEnd::Stopped)) => return Err(turn.end()),
            PhaseEnd::Changed(result) | PhaseEnd::Over(result) => {
                return match result {
                    Ok(flushed) => Ok(flushed),
                    Err(SendEnd::NotCurrent | SendEnd::Changed) => Ok(Flushed::Hindered(UploadHindrance::OtherBackup)),
                    Err(SendEnd::Crypto(CryptoError::Refused { reason })) => Ok(Flushed::Refused(reason)),
                    Err(SendEnd::Crypto(CryptoError::Unavailable { .. })) => {
                        Err(JobEnd::blocked(BlockedReason::CryptoUnavailable, None))
                    }
                    Err(SendEnd::Job(end)) => Err(end),
                    Err(SendEnd::Stopped) => Err(turn.end()),
                };
            }
        }
    }
}

/// What the server and the app's crypto say before anything is uploaded.
enum Asked {
    Current(VersionInfo),
    Hindered(UploadHindrance),
}

impl Asked {
    async fn of(context: &Context, source: &dyn RoomKeySource, stop: &StopSignal) -> Result<Self, SendEnd> {
        let asked = Retry::with_network(None).request(|| context.homeserver.current_version());
        let current = match stop.unless_stopped(asked).await.ok_or(SendEnd::Stopped)? {
            Ok(info) => Some(info),
            Err(given_up) if given_up.error == HomeserverError::NotFound => None,
            Err(given_up) => return Err(SendEnd::Job(end_of(&given_up))),
        };
        let in_use = stop
            .unless_stopped(source.backup_in_use())
            .await
            .ok_or(SendEnd::Stopped)?;
        let in_use = in_use.map_err(SendEnd::Crypto)?;
        Ok(match (hindrance(current.as_ref(), in_use.as_ref()), current) {
            (None, Some(info)) => Self::Current(info),
            (by, _) => Self::Hindered(by.unwrap_or(UploadHindrance::NoBackup)),
        })
    }
}
