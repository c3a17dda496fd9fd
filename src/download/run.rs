//! One run: its parts put together, driven to an end, and taken apart so that nothing of it is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc};

use super::{
    BlockedReason, RunFailure, RunOutcome,
    deliver::{DeliverEnd, DeliverStage, PAGES_IN_FLIGHT},
    fetch::{FetchEnd, FetchStage},
    ingest::Ingest,
    ingest_worker::IngestWorker,
    notify::{ArrivalHints, telling},
    open::OpenStage,
    stop::{StopCause, StopSignal, Wake},
    tally::{FetchActivity, Tally},
};
use crate::{
    backup::version::{CURVE25519_AES_SHA2, VersionInfo},
    blocking::blocking,
    budget::RunBudget,
    client::Parts,
    homeserver::{Backoff, HomeserverError, TransportError, Verdict},
    random::dice,
    vault::{SharedWriter, VaultError, VersionRow},
};

/// Where not even the first request came through, the next run should not come sooner.
const LEAST_WAIT: Duration = Duration::from_secs(30);

/// A run under way: what others may see of it, and how they end it.
#[derive(Clone)]
pub(crate) struct RunHandle {
    pub(crate) stop: StopSignal,
    pub(crate) wake: Wake,
    pub(crate) tally: Arc<Tally>,
}

impl RunHandle {
    pub(crate) fn new(has_sink: bool) -> Self {
        let wake = Wake::default();
        Self {
            stop: StopSignal::new(wake.clone()),
            wake,
            tally: Arc::new(Tally::new(has_sink)),
        }
    }
}

/// Stops what is left of a run whose future was dropped.
struct StopOnDrop(StopSignal);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(StopCause::Abandoned);
    }
}

/// Runs to an end. Dropped in flight, its threads end by themselves within a batch.
pub(crate) async fn run(parts: &Parts, handle: &RunHandle, budget: RunBudget) -> RunOutcome {
    let _guard = StopOnDrop(handle.stop.clone());
    let deadline = budget
        .max_duration_ms
        .and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
    let (hints, hints_receiver) = ArrivalHints::channel();
    let work = async {
        let end_of_budget = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let stages = stages(parts, handle, hints, deadline);
        tokio::pin!(stages, end_of_budget);
        tokio::select! {
            outcome = &mut stages => return outcome,
            () = end_of_budget => handle.stop.stop(StopCause::OutOfBudget),
        }
        stages.await
    };
    telling(&parts.host, &handle.tally, hints_receiver, work).await
}

async fn stages(parts: &Parts, handle: &RunHandle, hints: ArrivalHints, deadline: Option<Instant>) -> RunOutcome {
    let (vault, keys) = (parts.vault.clone(), parts.keys.clone());
    let begun = blocking(move || {
        let writer = vault.begin_run()?;
        keys.load(writer.reader())?;
        let version = match writer.reader().current_version()? {
            Some(version) => {
                let rooms = writer.reader().room_counts(version.id)?;
                Some((version, rooms))
            }
            None => None,
        };
        Ok((SharedWriter::new(vault, writer), version))
    });
    let writer = match begun.await.unwrap_or(Err(VaultError::Panicked)) {
        Ok((writer, version)) => {
            if let Some((version, rooms)) = version {
                handle.tally.begin(&version, rooms);
            }
            writer
        }
        Err(error) => return vault_outcome(&error),
    };
    let mut ends = overlapping(parts, handle, hints.clone(), deadline, &writer).await;
    if let (FetchEnd::Complete, Ok(()), DeliverEnd::Done) = &ends
        && is_unlocked_late(parts, handle, &writer).await
    {
        ends = overlapping(parts, handle, hints, deadline, &writer).await;
    }
    let (fetch, opened, delivered) = ends;
    let outcome = outcome(parts, handle, fetch, opened, delivered, &writer).await;
    // Closing folds the log into the file: not on the caller's thread.
    blocking(move || drop(writer)).await;
    outcome
}

/// The key came when nobody looked for it any more, while the sink took the last batches.
async fn is_unlocked_late(parts: &Parts, handle: &RunHandle, writer: &SharedWriter) -> bool {
    let (writer, keys) = (writer.clone(), parts.keys.clone());
    let look = move || writer.with(|writer| writer.reader().current_version());
    let current = blocking(look).await.and_then(Result::ok).flatten();
    !handle.stop.is_stopped() && current.is_some_and(|version| keys.has(version.id) && version.counts.unopened() > 0)
}

async fn overlapping(
    parts: &Parts,
    handle: &RunHandle,
    hints: ArrivalHints,
    deadline: Option<Instant>,
    writer: &SharedWriter,
) -> (FetchEnd, Result<(), VaultError>, DeliverEnd) {
    let fetch_ended = Arc::new(AtomicBool::new(false));
    let (deliveries, pages) = match parts.sink {
        Some(_) => Some(mpsc::channel(PAGES_IN_FLIGHT)).unzip(),
        None => (None, None),
    };
    let open = OpenStage {
        vault: parts.vault.clone(),
        writer: writer.clone(),
        keys: parts.keys.clone(),
        tally: handle.tally.clone(),
        hints: hints.clone(),
        stop: handle.stop.clone(),
        wake: handle.wake.clone(),
        deliveries,
        fetch_ended: fetch_ended.clone(),
    };
    let fetch = async {
        let end = fetch(parts, handle, deadline, writer).await;
        handle.tally.fetch_is(FetchActivity::Ended);
        fetch_ended.store(true, Ordering::SeqCst);
        handle.wake.notify();
        end
    };
    let stop = handle.stop.clone();
    let open = async {
        let opened = blocking(move || open.work()).await.unwrap_or(Err(VaultError::Panicked));
        if opened.is_err() {
            stop.stop(StopCause::Abandoned);
        }
        opened
    };
    let deliver = async {
        match (&parts.sink, pages) {
            (Some(sink), Some(pages)) => {
                let stage = DeliverStage {
                    sink: sink.clone(),
                    writer: writer.clone(),
                    tally: handle.tally.clone(),
                    hints,
                    stop: handle.stop.clone(),
                    wake: handle.wake.clone(),
                };
                stage.work(pages).await
            }
            _ => DeliverEnd::Done,
        }
    };
    tokio::join!(fetch, open, deliver)
}

async fn fetch(parts: &Parts, handle: &RunHandle, deadline: Option<Instant>, writer: &SharedWriter) -> FetchEnd {
    let version = match begin_version(parts, handle, writer).await {
        Err(end) => return end,
        Ok((version, rooms)) => {
            handle.tally.goes_on(&version, rooms);
            version
        }
    };
    handle.wake.notify();
    let (ingest, thread) = Ingest::new(IngestWorker {
        vault: parts.vault.clone(),
        writer: writer.clone(),
        version: version.id,
        resumes: version.counts.fetched > 0,
        tally: handle.tally.clone(),
        stop: handle.stop.clone(),
        wake: handle.wake.clone(),
        runtime: Handle::current(),
    });
    let thread = blocking(thread);
    let stage = FetchStage {
        homeserver: parts.homeserver.clone(),
        host: parts.host.clone(),
        writer: writer.clone(),
        ingest,
        tally: handle.tally.clone(),
        stop: handle.stop.clone(),
        version,
        deadline,
    };
    let work = async move { stage.work().await };
    let (end, written) = tokio::join!(work, thread);
    // What the thread could not write explains why the stage stopped.
    match written.unwrap_or(Err(VaultError::Panicked)) {
        Err(error) => FetchEnd::Vault(error),
        Ok(()) => end,
    }
}

async fn current_version(parts: &Parts, handle: &RunHandle) -> Result<VersionInfo, FetchEnd> {
    let stop = &handle.stop;
    let mut backoff = Backoff::default();
    loop {
        let answer = stop.unless_stopped(parts.homeserver.current_version()).await;
        let error = match answer.ok_or(FetchEnd::Stopped)? {
            Ok(info) => return Ok(info),
            Err(error) => error,
        };
        let no_network = matches!(
            error,
            HomeserverError::NotTheHomeserver | HomeserverError::Transport(TransportError::Offline)
        );
        match backoff.after(&error, dice()) {
            Verdict::Retry(wait) if !no_network => {
                let waited = stop.unless_stopped(tokio::time::sleep(wait)).await;
                waited.ok_or(FetchEnd::Stopped)?;
            }
            Verdict::Retry(wait) | Verdict::Later(wait) => {
                let retry_after = wait.max(LEAST_WAIT);
                return Err(FetchEnd::Blocked { error, retry_after });
            }
            Verdict::GiveUp => return Err(FetchEnd::Failed(error)),
        }
    }
}

async fn begin_version(
    parts: &Parts,
    handle: &RunHandle,
    writer: &SharedWriter,
) -> Result<(VersionRow, (u64, u64)), FetchEnd> {
    let info = current_version(parts, handle).await?;
    if info.algorithm != CURVE25519_AES_SHA2 {
        log::warn!("the backup is of an unknown algorithm; its entries are kept as they are");
    }
    let (writer, vault, keys) = (writer.clone(), parts.vault.clone(), parts.keys.clone());
    blocking(move || {
        let version = writer.with(|writer| writer.begin_version(&info))?;
        if let Some(public_key) = &version.public_key
            && !keys.has(version.id)
            && let Some(key) = keys.with_public_key(public_key)
        {
            vault.connect()?.keep_decryption_key(&info, key.as_bytes())?;
            keys.insert(version.id, key.as_bytes());
        }
        let rooms = writer.with(|writer| writer.reader().room_counts(version.id))?;
        Ok((version, rooms))
    })
    .await
    .unwrap_or(Err(VaultError::Panicked))
    .map_err(FetchEnd::Vault)
}

async fn outcome(
    parts: &Parts,
    handle: &RunHandle,
    fetch: FetchEnd,
    opened: Result<(), VaultError>,
    delivered: DeliverEnd,
    writer: &SharedWriter,
) -> RunOutcome {
    let vault_error = match (&fetch, &opened, &delivered) {
        (_, Err(error), _) | (FetchEnd::Vault(error), ..) | (.., DeliverEnd::Vault(error)) => Some(error),
        _ => None,
    };
    if let Some(error) = vault_error {
        return vault_outcome(error);
    }
    match handle.stop.cause() {
        Some(StopCause::Paused) => return RunOutcome::Paused,
        Some(StopCause::OutOfBudget) => return RunOutcome::OutOfBudget,
        Some(StopCause::Abandoned) | None => {}
    }
    match fetch {
        FetchEnd::Complete => {}
        FetchEnd::Stopped | FetchEnd::Vault(_) => {
            return RunOutcome::Failed {
                reason: RunFailure::Internal,
            };
        }
        FetchEnd::VersionGone => {
            return RunOutcome::Failed {
                reason: RunFailure::VersionGone,
            };
        }
        FetchEnd::Blocked { error, retry_after } => {
            return RunOutcome::Blocked {
                reason: blocked_reason(&error),
                retry_after_ms: Some(retry_after.as_millis() as u64),
            };
        }
        FetchEnd::Failed(error) => {
            return RunOutcome::Failed {
                reason: failure_reason(&error),
            };
        }
    }
    if matches!(delivered, DeliverEnd::SinkUnavailable) {
        return RunOutcome::Blocked {
            reason: BlockedReason::SinkUnavailable,
            retry_after_ms: None,
        };
    }
    let writer = writer.clone();
    let current = blocking(move || writer.with(|writer| writer.reader().current_version()));
    match current.await.unwrap_or(Err(VaultError::Panicked)) {
        Ok(Some(version)) if !parts.keys.has(version.id) && version.counts.unopened() > 0 => {
            if version.public_key.is_some() {
                RunOutcome::NeedsUnlock
            } else {
                RunOutcome::Failed {
                    reason: RunFailure::UnsupportedAlgorithm,
                }
            }
        }
        Ok(_) => RunOutcome::Completed,
        Err(error) => vault_outcome(&error),
    }
}

pub(crate) fn vault_outcome(error: &VaultError) -> RunOutcome {
    let blocked = |reason| RunOutcome::Blocked {
        reason,
        retry_after_ms: None,
    };
    let failed = |reason| RunOutcome::Failed { reason };
    match error {
        VaultError::Busy => blocked(BlockedReason::VaultBusy),
        VaultError::Inaccessible => blocked(BlockedReason::VaultInaccessible),
        VaultError::Overtaken => failed(RunFailure::Overtaken),
        VaultError::DiskFull => failed(RunFailure::DiskFull),
        VaultError::Corrupt | VaultError::Unsealable => failed(RunFailure::VaultDamaged),
        VaultError::Panicked => failed(RunFailure::Internal),
        VaultError::Sqlite(error) => {
            log::error!("the vault failed: {error}");
            failed(RunFailure::Internal)
        }
    }
}

fn blocked_reason(error: &HomeserverError) -> BlockedReason {
    match error {
        HomeserverError::Transport(TransportError::Offline) => BlockedReason::Offline,
        HomeserverError::RateLimited { .. } => BlockedReason::RateLimited,
        HomeserverError::NotTheHomeserver => BlockedReason::NotTheHomeserver,
        _ => BlockedReason::ServerFault,
    }
}

fn failure_reason(error: &HomeserverError) -> RunFailure {
    match error {
        HomeserverError::NotSignedIn { soft_logout } => RunFailure::NotSignedIn {
            soft_logout: *soft_logout,
        },
        HomeserverError::NoToken => RunFailure::NotSignedIn { soft_logout: false },
        HomeserverError::NotFound => RunFailure::NoBackup,
        HomeserverError::Transport(TransportError::Tls) => RunFailure::Tls,
        HomeserverError::Transport(_) => RunFailure::Internal,
        _ => RunFailure::RefusedByServer,
    }
}
