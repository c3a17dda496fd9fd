//! Which backup versions are fetched, in which order: what is left of older ones first, while they can still be read, then
//! the current one.

use std::{sync::Mutex, time::Duration};

use tokio::runtime::Handle;

use super::{
    fetch::{FetchEnd, FetchStage},
    ingest::Ingest,
    ingest_worker::IngestWorker,
    phases::Phase,
    plan::SWEEP_CUTS_BEFORE_FILE,
    tally::FetchActivity,
    wake_up::WorkLeft,
};
use crate::{
    backup::{limits::MAX_VERSION_CHANGES, version::CURVE25519_AES_SHA2},
    blocking::blocking,
    homeserver::{Backoff, HomeserverError, TransportError, Verdict},
    random::dice,
    vault::{VaultError, VersionRow, Writer},
};

/// Where not even the first request came through, the next run should not come sooner.
const LEAST_WAIT: Duration = Duration::from_secs(30);
/// Fetches all there is to fetch.
pub(crate) async fn fetch_versions(phase: &Phase<'_>) -> FetchEnd {
    let end = fetch_with_patience(phase).await;
    phase.run.tally.fetch_is(FetchActivity::Ended);
    end
}

async fn fetch_with_patience(phase: &Phase<'_>) -> FetchEnd {
    match phase.vault(|writer| writer.reader().retry_after()).await {
        Ok(None) => {}
        Ok(Some(retry_after)) => {
            let error = HomeserverError::RateLimited { retry_after: None };
            return FetchEnd::Blocked { error, retry_after };
        }
        Err(end) => return end,
    }
    let end = fetch_while_versions_change(phase).await;
    // What the server has asked for holds for look-ups too, and over a restart.
    if let FetchEnd::Blocked { error, retry_after } = &end
        && error.asks_for_patience()
    {
        let wait = *retry_after;
        if let Err(end) = phase.vault(move |writer| writer.keep_retry_after(wait)).await {
            return end;
        }
    }
    end
}

async fn fetch_while_versions_change(phase: &Phase<'_>) -> FetchEnd {
    let mut changes = 0;
    loop {
        match fetch_all(phase).await {
            // Another version is current now, older or newer; or there is none any more.
            Ok(FetchEnd::VersionGone | FetchEnd::MovedOn) if changes < MAX_VERSION_CHANGES => changes += 1,
            // It changes faster than it can be fetched: what is here is as good as it gets for now.
            Ok(FetchEnd::MovedOn) => return FetchEnd::Complete,
            Ok(FetchEnd::VersionGone) => {
                return FetchEnd::Blocked {
                    error: HomeserverError::NotFound,
                    retry_after: LEAST_WAIT,
                };
            }
            Ok(end) | Err(end) => return end,
        }
    }
}

async fn fetch_all(phase: &Phase<'_>) -> Result<FetchEnd, FetchEnd> {
    let current = begin_version(phase).await?;
    let versions = phase.vault(|writer| writer.reader().versions()).await?;
    let may_have_grown = |version: &VersionRow| version.id != current.id && !version.gone && !version.superseded;
    for older in versions.into_iter().filter(may_have_grown) {
        look_again(phase, older).await?;
    }
    let versions = phase.vault(|writer| writer.reader().versions()).await?;
    let is_older = |version: &VersionRow| version.id != current.id && !version.complete && !version.gone;
    // What never comes through may be why there is another version.
    let (stuck, older): (Vec<_>, Vec<_>) = versions
        .into_iter()
        .filter(is_older)
        .partition(|version| version.cuts >= SWEEP_CUTS_BEFORE_FILE);
    let mut left = None;
    for older in older {
        log::info!("an older backup version is fetched first, while it is there");
        left = fetch_older(phase, older).await?.or(left);
    }
    let current_id = current.id;
    // It may have got some meanwhile.
    let current = phase
        .vault(move |writer| writer.reader().version_by_id(current_id))
        .await?
        .unwrap_or(current);
    let end = fetch_one(phase, current).await?;
    if !matches!(end, FetchEnd::Complete) {
        return Ok(end);
    }
    for older in stuck {
        log::info!("an older backup version that was always cut is fetched last");
        left = fetch_older(phase, older).await?.or(left);
        // What is shown is the current one.
        if let Some(current) = phase
            .vault(move |writer| writer.reader().version_by_id(current_id))
            .await?
        {
            show(phase, &current).await?;
        }
    }
    Ok(left.unwrap_or(FetchEnd::Complete))
}

/// A version that was current may have grown before it was superseded.
async fn look_again(phase: &Phase<'_>, older: VersionRow) -> Result<(), FetchEnd> {
    let id = older.id;
    match ask(phase, || phase.parts.homeserver.version(&older.version)).await {
        Ok(info) => drop(phase.vault(move |writer| writer.note_version(&info)).await?),
        Err(FetchEnd::Failed(HomeserverError::NotFound)) => {
            phase.vault(move |writer| writer.version_is_gone(id)).await?;
        }
        // Then it stays as it was known.
        Err(FetchEnd::Failed(_)) => {}
        // It is asked for again in the next run.
        Err(FetchEnd::Blocked { error, .. }) if is_of_the_version(&error) => return Ok(()),
        Err(end) => return Err(end),
    }
    phase.vault(move |writer| writer.is_superseded(id)).await
}

/// Fetches an older version. What keeps it from coming is given back where it does not keep the current one from it.
async fn fetch_older(phase: &Phase<'_>, older: VersionRow) -> Result<Option<FetchEnd>, FetchEnd> {
    let (id, before) = (older.id, older.counts.fetched);
    let (Ok(end) | Err(end)) = fetch_one(phase, older).await;
    if matches!(end, FetchEnd::Stopped) {
        // A run that got nothing of it counts as a cut, whatever it waited for.
        let count = move |writer: &mut Writer| match writer.reader().version_by_id(id)? {
            Some(version) if version.counts.fetched == before => writer.count_request(id, 0, true),
            _ => Ok(()),
        };
        // Where the vault takes nothing any more, the run ends for that reason.
        let _ = phase.vault(count).await;
    }
    match end {
        FetchEnd::Complete | FetchEnd::VersionGone | FetchEnd::MovedOn => Ok(None),
        // It may be forbidden by now.
        FetchEnd::Failed(_) | FetchEnd::WaitsForFile { .. } => Ok(Some(end)),
        FetchEnd::Blocked { ref error, .. } if is_of_the_version(error) => Ok(Some(end)),
        end => Err(end),
    }
}

/// Whether another version may be had where this one is not.
fn is_of_the_version(error: &HomeserverError) -> bool {
    !error.asks_for_patience() && !is_no_network(error)
}

fn is_no_network(error: &HomeserverError) -> bool {
    matches!(
        error,
        HomeserverError::NotTheHomeserver | HomeserverError::Transport(TransportError::Offline)
    )
}

async fn show(phase: &Phase<'_>, version: &VersionRow) -> Result<(), FetchEnd> {
    let id = version.id;
    let rooms = phase.vault(move |writer| writer.reader().room_counts(id)).await?;
    phase.run.tally.goes_on(version, rooms);
    phase.run.wake.notify();
    Ok(())
}

/// Fetches one version; notes that it is gone if it is.
async fn fetch_one(phase: &Phase<'_>, version: VersionRow) -> Result<FetchEnd, FetchEnd> {
    let (row, name) = (version.id, version.version.clone());
    let end = fetch_entries(phase, version).await?;
    if !matches!(end, FetchEnd::VersionGone) {
        return Ok(end);
    }
    // A 404 also says that an entry is missing: the version itself is asked for before it is given up.
    match ask(phase, || phase.parts.homeserver.version(&name)).await {
        Err(FetchEnd::Failed(HomeserverError::NotFound)) => {
            phase.vault(move |writer| writer.version_is_gone(row)).await?;
            Ok(FetchEnd::VersionGone)
        }
        Ok(info) => match phase.vault(move |writer| writer.note_version(&info)).await? {
            id if id == row => Err(FetchEnd::Blocked {
                error: HomeserverError::NotFound,
                retry_after: LEAST_WAIT,
            }),
            // Another backup has its name.
            _ => Ok(FetchEnd::VersionGone),
        },
        Err(end) => Err(end),
    }
}

async fn fetch_entries(phase: &Phase<'_>, version: VersionRow) -> Result<FetchEnd, FetchEnd> {
    show(phase, &version).await?;
    let run = phase.run;
    let (ingest, thread) = Ingest::new(IngestWorker {
        vault: phase.parts.vault.clone(),
        writer: phase.writer.clone(),
        version: version.id,
        era: version.era,
        resumes: version.counts.fetched > 0,
        max_vault_bytes: phase.policy.max_vault_bytes,
        control: run.control.clone(),
        tally: run.tally.clone(),
        stop: phase.stop.clone(),
        wake: run.wake.clone(),
        runtime: Handle::current(),
    });
    let thread = blocking(thread);
    let stage = FetchStage {
        homeserver: phase.parts.homeserver.clone(),
        host: phase.parts.host.clone(),
        files: phase.parts.files.clone(),
        writer: phase.writer.clone(),
        ingest,
        tally: run.tally.clone(),
        stop: phase.stop.clone(),
        priority: run.priority.clone(),
        wake: run.wake.clone(),
        version,
        rooms_at_once: phase.policy.rooms_at_once as usize,
        deadline: phase.deadline,
        asked_beside: Mutex::new(None),
    };
    let work = async move { stage.work().await };
    let (end, written) = tokio::join!(work, thread);
    // What the thread could not write explains why the stage stopped.
    match written.unwrap_or(Err(VaultError::Panicked)) {
        Err(error) => Ok(FetchEnd::Vault(error)),
        Ok(()) => Ok(end),
    }
}

/// Asks which version is current, and makes it the one that is worked on.
async fn begin_version(phase: &Phase<'_>) -> Result<VersionRow, FetchEnd> {
    let info = ask(phase, || phase.parts.homeserver.current_version()).await?;
    if info.algorithm != CURVE25519_AES_SHA2 {
        log::warn!("the backup is of an unknown algorithm; its entries are kept as they are");
    }
    let keys = phase.parts.keys.clone();
    let begin = move |writer: &mut Writer| {
        let version = writer.begin_version(&info)?;
        let version = match keys.known_for(&version, writer.reader())? {
            Some(key) => {
                let version = writer.adopt_key(&version, key.as_bytes())?;
                keys.insert(version.id, key.as_bytes());
                version
            }
            None => version,
        };
        Ok((version, writer.reader().versions()?))
    };
    let (version, all) = phase.vault(begin).await?;
    let left = WorkLeft::of(&all, |_| false, false);
    phase.run.control.left_to_fetch(left.fetch.unwrap_or(0));
    Ok(version)
}

/// One small request, with patience.
async fn ask<T, F: Future<Output = Result<T, HomeserverError>>>(
    phase: &Phase<'_>,
    mut request: impl FnMut() -> F,
) -> Result<T, FetchEnd> {
    let stop = &phase.stop;
    let mut backoff = Backoff::default();
    loop {
        let error = match stop.unless_stopped(request()).await.ok_or(FetchEnd::Stopped)? {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match backoff.after(&error, dice()) {
            Verdict::Retry(wait) if !is_no_network(&error) => {
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
