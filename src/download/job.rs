//! The download as apps see it: run, pause, and what there is to tell.

use std::sync::{Arc, Mutex};

use super::{
    ArrivalCursor, ArrivedPage, ArrivedRoomKeys, DownloadStage, DownloadStatus, DownloadSummary, EntryPage, EntryRef,
    FailureCount, RefusedEntry, RefusedPage, RunOutcome, RunReport, StatusError,
    run::{RunHandle, run},
    stop::StopCause,
};
use crate::{
    backup::{FailureReason, session_id::SessionId},
    blocking::blocking,
    budget::RunBudget,
    client::Parts,
    unlock::DecryptionKeys,
    vault::{Connection, Vault, VaultError},
};

/// Rows of a page, at most.
const MAX_PAGE: u32 = 10_000;

/// The download of one account's key backup. Get it from `KeyBackupClient.download()`.
///
/// The host schedules, this remembers: call `run` whenever there is an opportunity, from a worker or a background task,
/// and it goes on where the last one ended.
#[derive(uniffi::Object)]
pub struct KeyDownload {
    parts: Mutex<Option<Arc<Parts>>>,
    vault: Vault,
    keys: Arc<DecryptionKeys>,
    current: Mutex<Option<RunHandle>>,
}

impl KeyDownload {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        let (vault, keys) = (parts.vault.clone(), parts.keys.clone());
        Self {
            parts: Mutex::new(Some(parts)),
            vault,
            keys,
            current: Mutex::new(None),
        }
    }

    /// A key has come: a run that is under way opens what it passed over.
    pub(crate) fn keys_changed(&self) {
        if let Some(run) = self.current() {
            run.wake.notify();
        }
    }

    /// Ends a run and drops the callbacks: nothing can be run any more.
    pub(crate) fn shut_down(&self) {
        if let Some(run) = self.current() {
            run.stop.stop(StopCause::Paused);
        }
        if let Ok(mut parts) = self.parts.lock() {
            parts.take();
        }
    }

    fn current(&self) -> Option<RunHandle> {
        self.current.lock().ok()?.clone()
    }

    fn parts(&self) -> Option<Arc<Parts>> {
        self.parts.lock().ok()?.clone()
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, StatusError> {
        if self.parts().is_none() {
            return Err(StatusError::ShutDown);
        }
        let vault = self.vault.clone();
        let result = blocking(move || work(&mut vault.connect()?)).await;
        Ok(result.unwrap_or(Err(VaultError::Panicked))?)
    }

    async fn summary(&self) -> Result<(DownloadSummary, bool, bool), StatusError> {
        let keys = self.keys.clone();
        self.read(move |connection| {
            let version = connection.current_version()?;
            let rooms = match &version {
                Some(version) => connection.room_counts(version.id)?.1,
                None => 0,
            };
            let unlocked = version
                .as_ref()
                .is_some_and(|version| version.has_key || keys.has(version.id));
            let complete = version.as_ref().is_some_and(|version| version.complete);
            let mut summary = DownloadSummary {
                rooms,
                ..DownloadSummary::default()
            };
            if let Some(version) = version {
                summary.total = version.server_count;
                summary.fetched = version.counts.fetched;
                summary.opened = version.counts.opened;
                summary.delivered = version.counts.delivered;
                summary.failed = version.counts.failed;
                summary.refused = version.counts.refused;
                summary.conflicts = version.counts.conflicts;
                summary.bytes_downloaded = version.bytes;
                summary.version = Some(version.version);
            }
            summary.failures = connection
                .failure_counts()?
                .into_iter()
                .map(|(reason, count)| FailureCount { reason, count })
                .collect();
            Ok((summary, complete, unlocked))
        })
        .await
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Fetches, opens and delivers until everything is done, the budget is used up, or something is in the way. Returns
    /// how it ended; there is no error to catch. When it has returned, no database, socket or thread of it is busy.
    ///
    /// Only one run at a time: a second call answers `AlreadyRunning` at once. Safe to drop: what was under way ends by
    /// itself, and nothing is lost. Cancelling a Swift task does not cancel it: call `pause`.
    pub async fn run(&self, budget: RunBudget) -> RunReport {
        let outcome = self.run_once(budget).await;
        let summary = self.summary().await.map(|(summary, ..)| summary).unwrap_or_default();
        log::info!(
            "run ended: {outcome:?}; {} of {} keys fetched, {} opened, {} delivered, {} failed",
            summary.fetched,
            summary.total,
            summary.opened,
            summary.delivered,
            summary.failed
        );
        RunReport { outcome, summary }
    }

    /// Makes a run under way return `Paused`, within a fraction of a second. Returns at once, from any thread; without a
    /// run it does nothing.
    pub fn pause(&self) {
        if let Some(run) = self.current() {
            run.stop.stop(StopCause::Paused);
        }
    }

    /// What is in the vault, with no network, whether or not a run is under way.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn status(&self) -> Result<DownloadStatus, StatusError> {
        let (summary, fetch_complete, unlocked) = self.summary().await?;
        Ok(DownloadStatus {
            stage: self.current().map_or(DownloadStage::Resting, |run| run.tally.stage()),
            fetch_complete,
            unlocked,
            restart_needs_recovery_key: !self.vault.keeps_secrets(),
            summary,
        })
    }

    /// Keys that were opened after `cursor`, at most `limit` (1 to 10,000), in the order of arrival: none is left out,
    /// and none comes twice. Keep `next` where the app keeps its own state.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn arrived_since(&self, cursor: ArrivalCursor, limit: u32) -> Result<ArrivedPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .read(move |vault| vault.arrived_since(cursor.batch, cursor.entry, limit + 1))
            .await?;
        let more = rows.len() > limit;
        let mut page = ArrivedPage {
            arrived: Vec::new(),
            next: cursor,
            more,
        };
        for row in rows.into_iter().take(limit) {
            page.next = ArrivalCursor {
                batch: row.batch,
                entry: row.entry,
            };
            let session_id = row.session.to_string();
            match page.arrived.last_mut() {
                Some(last) if last.room_id == row.room_id => last.session_ids.push(session_id),
                _ => page.arrived.push(ArrivedRoomKeys {
                    room_id: row.room_id,
                    session_ids: vec![session_id],
                }),
            }
        }
        Ok(page)
    }

    /// Entries that failed for `reason`, at most `limit` (1 to 10,000), from `after` on (`None`: from the first).
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn failures(
        &self,
        reason: FailureReason,
        after: Option<i64>,
        limit: u32,
    ) -> Result<EntryPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .read(move |vault| vault.failures(reason, after.unwrap_or(0), limit))
            .await?;
        Ok(entry_page(rows, limit))
    }

    /// Keys that stand under two rooms, at most `limit` (1 to 10,000), from `after` on. The server may be moving keys: they
    /// are not delivered, and look-ups say so.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn conflicts(&self, after: Option<i64>, limit: u32) -> Result<EntryPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .read(move |vault| vault.conflicts(after.unwrap_or(0), limit))
            .await?;
        Ok(entry_page(rows, limit))
    }

    /// Keys that the sink refused, with its reasons, at most `limit` (1 to 10,000), from `after` on.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn refusals(&self, after: Option<i64>, limit: u32) -> Result<RefusedPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .read(move |vault| vault.refusals(after.unwrap_or(0), limit))
            .await?;
        let next = (rows.len() == limit).then(|| rows.last().map(|row| row.0)).flatten();
        let entries = rows
            .into_iter()
            .map(|(_, room_id, session, reason)| RefusedEntry {
                entry: EntryRef {
                    room_id,
                    session_id: session.to_string(),
                },
                reason,
            })
            .collect();
        Ok(RefusedPage { entries, next })
    }

    /// The app's crypto store is a new one: the next run delivers everything again. A run that is under way ends as overtaken.
    /// A vault that is opened for another device id does this by itself.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be written.
    pub async fn crypto_store_was_replaced(&self) -> Result<(), StatusError> {
        self.read(Connection::deliver_again).await
    }
}

impl KeyDownload {
    async fn run_once(&self, budget: RunBudget) -> RunOutcome {
        let has_sink = self.parts().is_some_and(|parts| parts.sink.is_some());
        let Some(claim) = RunClaim::new(self, has_sink) else {
            return RunOutcome::AlreadyRunning;
        };
        // Only now: a shutdown before the claim would not have ended this run.
        let Some(parts) = self.parts() else {
            return RunOutcome::Paused;
        };
        let outcome = run(&parts, &claim.run, budget).await;
        if self.vault.keeps_secrets() {
            self.keys.clear();
        }
        outcome
    }
}

/// The place of the one run; given back also when the future is dropped.
struct RunClaim<'a> {
    download: &'a KeyDownload,
    run: RunHandle,
}

impl<'a> RunClaim<'a> {
    fn new(download: &'a KeyDownload, has_sink: bool) -> Option<Self> {
        let mut current = download.current.lock().ok()?;
        if current.is_some() {
            return None;
        }
        let run = RunHandle::new(has_sink);
        *current = Some(run.clone());
        Some(Self { download, run })
    }
}

impl Drop for RunClaim<'_> {
    fn drop(&mut self) {
        if let Ok(mut current) = self.download.current.lock() {
            current.take();
        }
    }
}

impl From<VaultError> for StatusError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Busy | VaultError::Overtaken => Self::Busy,
            VaultError::Inaccessible | VaultError::DiskFull => Self::Inaccessible,
            VaultError::Corrupt | VaultError::Unsealable | VaultError::Panicked | VaultError::Sqlite(_) => {
                Self::Damaged
            }
        }
    }
}

fn entry_page(rows: Vec<(i64, String, SessionId)>, limit: usize) -> EntryPage {
    let next = (rows.len() == limit).then(|| rows.last().map(|row| row.0)).flatten();
    let entries = rows
        .into_iter()
        .map(|(_, room_id, session)| EntryRef {
            room_id,
            session_id: session.to_string(),
        })
        .collect();
    EntryPage { entries, next }
}
