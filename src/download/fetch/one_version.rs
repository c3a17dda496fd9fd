//! Fetching one backup version, and the small requests around it.

use std::{sync::Mutex, time::Duration};

use tokio::runtime::Handle;

use super::{
    ingest::Ingest,
    ingest_worker::IngestWorker,
    stage::{FetchEnd, FetchStage},
};
use crate::{
    backup::{completeness::Settled, version::Algorithm},
    blocking::blocking,
    download::{
        phase::PhaseContext,
        work_left::{ShortLook, WorkLeft, look_at_short},
    },
    homeserver::{GivenUp, HomeserverError, Retry},
    ids::{EntryId, VersionRowId},
    vault::{VaultError, VersionRow, Writer},
};

/// The minimum wait before the next run if not even the first request succeeded.
pub(super) const LEAST_WAIT: Duration = Duration::from_secs(30);

/// Shows the figures of this version again.
pub(super) async fn show_by_id(phase: &PhaseContext, id: Option<VersionRowId>) -> Result<(), FetchEnd> {
    let Some(id) = id else { return Ok(()) };
    match phase.in_vault(move |writer| writer.reader().version_by_id(id)).await? {
        Some(version) => show(phase, &version).await,
        None => Ok(()),
    }
}

pub(super) async fn show(phase: &PhaseContext, version: &VersionRow) -> Result<(), FetchEnd> {
    let id = version.id;
    let rooms = phase.in_vault(move |writer| writer.reader().room_counts(id)).await?;
    phase.download.progress.show(version, rooms);
    phase.run.wake.notify();
    Ok(())
}

/// Fetches one version, and marks it as gone if the server no longer has it.
pub(super) async fn fetch_one(phase: &PhaseContext, version: VersionRow) -> Result<(), FetchEnd> {
    let (row, name) = (version.id, version.version.clone());
    let mut result = Err(FetchEnd::Again);
    while matches!(result, Err(FetchEnd::Again)) {
        // Read again: entries may have come meanwhile.
        let now = phase.in_vault(move |writer| writer.reader().version_by_id(row)).await?;
        result = fetch_entries(phase, now.ok_or(VaultError::Corrupt)?).await;
    }
    if !matches!(result, Err(FetchEnd::VersionGone)) {
        return result;
    }
    // A 404 can also mean that an entry is missing: the version itself is checked before it is given up.
    match ask(phase, || phase.context.homeserver.version(&name)).await {
        Err(FetchEnd::Failed(HomeserverError::NotFound)) => {
            phase.in_vault(move |writer| writer.mark_gone(row)).await?;
            Err(FetchEnd::VersionGone)
        }
        Ok(info) => match phase
            .in_vault(move |writer| writer.write(|tx| tx.note_version(&info)))
            .await?
        {
            noted if noted.id == row => Err(FetchEnd::Blocked {
                error: HomeserverError::NotFound,
                retry_after: LEAST_WAIT,
            }),
            // Another backup has its number now.
            _ => Err(FetchEnd::VersionGone),
        },
        Err(end) => Err(end),
    }
}

pub(super) async fn fetch_entries(phase: &PhaseContext, version: VersionRow) -> Result<(), FetchEnd> {
    show(phase, &version).await?;
    // While names are counted from the beginning, every entry must be read.
    let knows_all = version.counts.fetched > 0 && version.confirm_through == EntryId::NONE;
    let (ingest, thread) = Ingest::new(IngestWorker {
        phase: phase.clone(),
        version: version.id,
        era: version.era,
        known_since: knows_all.then_some(version.era_began),
        runtime: Handle::current(),
    });
    let thread = blocking(thread);
    let stage = FetchStage {
        phase: phase.clone(),
        ingest,
        version,
        asked_beside: Mutex::new(None),
    };
    let work = async move { stage.work().await };
    let (result, written) = tokio::join!(work, thread);
    // A write error of the thread explains why the stage stopped.
    written.unwrap_or(Err(VaultError::Panicked))?;
    result
}

/// Asks the server which version is current, and makes it the one to work on.
pub(super) async fn begin_version(phase: &PhaseContext) -> Result<VersionRow, FetchEnd> {
    let info = ask(phase, || phase.context.homeserver.current_version()).await?;
    if matches!(info.algorithm, Algorithm::Unknown(_)) {
        log::warn!("the backup uses an unknown algorithm; its entries are kept as they are");
    }
    let keys = phase.context.keys.clone();
    let begin = move |writer: &mut Writer| {
        let version = writer.write(|tx| tx.begin_version(&info))?;
        let version = match keys.known_for(&version, writer.reader())? {
            Some(key) => {
                let version = writer.write(|tx| tx.adopt_key(&version, key.as_bytes()))?;
                keys.insert(version.id, key.as_bytes());
                version
            }
            None => version,
        };
        Ok(version)
    };
    let id = phase.in_vault(begin).await?.id;
    look_at_short_one(phase, id).await?;
    let all = phase.in_vault(|writer| writer.reader().versions()).await?;
    let left = WorkLeft::of(&all, |_| false, false);
    phase.run.gate.set_bytes_left(left.fetch.unwrap_or(0));
    let version = all.into_iter().find(|version| version.id == id);
    Ok(version.ok_or(VaultError::Corrupt)?)
}

/// Handles a short version after the small request that checks it: once a week everything is requested again, unless
/// the network is metered. Otherwise only counts the check.
pub(super) async fn look_at_short_one(phase: &PhaseContext, id: VersionRowId) -> Result<(), FetchEnd> {
    let is_metered = phase.run.gate.now().is_metered();
    let look = move |writer: &mut Writer| {
        let Some(version) = writer.reader().version_by_id(id)? else {
            return Ok(());
        };
        if version.settled != Some(Settled::Short) {
            return Ok(());
        }
        match look_at_short(&version) {
            ShortLook::NotDue => Ok(()),
            ShortLook::AskAgain if !is_metered => writer.reopen_short(id),
            ShortLook::Look | ShortLook::AskAgain => writer.count_short_look(id),
        }
    };
    Ok(phase.in_vault(look).await?)
}

/// Sends a small request, with retries.
pub(super) async fn ask<T, F: Future<Output = Result<T, HomeserverError>>>(
    phase: &PhaseContext,
    request: impl FnMut() -> F,
) -> Result<T, FetchEnd> {
    ask_up_to(phase, None, request).await
}

/// Sends a small request with at most so many tries. Where there is no network, the run ends: the OS knows when it is back.
pub(super) async fn ask_up_to<T, F: Future<Output = Result<T, HomeserverError>>>(
    phase: &PhaseContext,
    tries: Option<u32>,
    request: impl FnMut() -> F,
) -> Result<T, FetchEnd> {
    let request = Retry::with_network(tries).request(request);
    let answer = phase.stop.unless_stopped(request).await.ok_or(FetchEnd::Stopped)?;
    answer.map_err(|GivenUp { error, retry_after }| match retry_after {
        Some(wait) => FetchEnd::Blocked {
            error,
            retry_after: wait.max(LEAST_WAIT),
        },
        None => FetchEnd::Failed(error),
    })
}
