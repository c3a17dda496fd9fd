//! Decides which backup versions are fetched, and in which order: older ones first, while the server still has them,
//! then the current one. A version that the vault knows is requested by its number, whichever version the server
//! names as current.

use std::{sync::Mutex, time::Duration};

use tokio::runtime::Handle;

use super::{
    ingest::Ingest,
    ingest_worker::IngestWorker,
    plan::SWEEP_CUTS_BEFORE_FILE,
    stage::{FetchEnd, FetchStage},
};
use crate::{
    backup::{completeness::Settled, limits::MAX_VERSION_CHANGES, version::Algorithm},
    blocking::blocking,
    download::{
        phase::Phase,
        telling::FetchActivity,
        work_left::{ShortLook, WorkLeft, look_at_short},
    },
    homeserver::{GivenUp, HomeserverError, Retry, outage_wait},
    ids::{EntryId, VersionRowId},
    random::dice,
    vault::{FetchProgress, VaultError, VersionRow, Writer},
};

/// The minimum wait before the next run if not even the first request succeeded.
const LEAST_WAIT: Duration = Duration::from_secs(30);

/// Fetches everything that is left to fetch, in all versions.
pub(crate) async fn fetch_versions(phase: &Phase) -> Result<(), FetchEnd> {
    discard_useless_files(phase).await;
    let result = fetch_with_patience(phase).await;
    discard_useless_files(phase).await;
    phase.download.progress.set_fetch(FetchActivity::Ended);
    result
}

/// Discards downloads by the OS for versions that are gone or settled, and those that this vault does not know
/// because an earlier vault was set aside or deleted.
async fn discard_useless_files(phase: &Phase) {
    let Some(files) = &phase.context.files else { return };
    // The run ends anyway if the vault takes no more.
    if let Ok(kept) = phase.in_vault(Writer::forget_useless_files).await {
        files.discard_all_but(&kept);
    }
}

async fn fetch_with_patience(phase: &Phase) -> Result<(), FetchEnd> {
    if let Some(retry_after) = phase.in_vault(|writer| writer.reader().retry_after()).await? {
        let error = HomeserverError::RateLimited { retry_after: None };
        return Err(FetchEnd::Blocked { error, retry_after });
    }
    let before = phase.in_vault(|writer| writer.reader().fetch_progress()).await?;
    let result = fetch_while_versions_change(phase).await;
    count_outage(phase, result, before).await
}

/// Counts runs in a row in which the server let nothing come through, and makes the wait grow with them; useless
/// answers do not count as progress. A wait that the server asked for also holds for requests beside a run, and after
/// a restart.
async fn count_outage(phase: &Phase, result: Result<(), FetchEnd>, before: FetchProgress) -> Result<(), FetchEnd> {
    let now = phase.in_vault(|writer| writer.reader().fetch_progress()).await?;
    let came = now.has_come_since(&before);
    let (error, retry_after) = match result {
        Err(FetchEnd::Blocked { error, retry_after }) => (error, retry_after),
        result => {
            if came || result.is_ok() {
                phase.in_vault(|writer| writer.note_outage(false)).await?;
            }
            return result;
        }
    };
    let outages = phase.in_vault(move |writer| writer.note_outage(!came)).await?;
    let retry_after = match outages {
        0 => retry_after,
        number => retry_after.max(outage_wait(number, dice())),
    };
    if error.asks_to_wait() {
        phase
            .in_vault(move |writer| writer.write(|tx| tx.keep_retry_after(retry_after)))
            .await?;
    }
    Err(FetchEnd::Blocked { error, retry_after })
}

async fn fetch_while_versions_change(phase: &Phase) -> Result<(), FetchEnd> {
    let mut changes = 0;
    loop {
        match fetch_all(phase).await {
            // Another version is current now, older or newer, or none is.
            Err(FetchEnd::VersionGone | FetchEnd::MovedOn { .. }) if changes < MAX_VERSION_CHANGES => changes += 1,
            Err(FetchEnd::MovedOn { was_complete: true }) => return settle_what_never_rests(phase).await,
            Err(FetchEnd::MovedOn { was_complete: false }) => return Err(FetchEnd::Changing),
            Err(FetchEnd::VersionGone) => {
                return Err(FetchEnd::Blocked {
                    error: HomeserverError::NotFound,
                    retry_after: LEAST_WAIT,
                });
            }
            result => return result,
        }
    }
}

/// Settles the current version if its mark moved at every check although nothing was missing each time.
async fn settle_what_never_rests(phase: &Phase) -> Result<(), FetchEnd> {
    let settle = |writer: &mut Writer| match writer.reader().current_version()? {
        Some(version) => writer.settle_version(version.id, version.era, Settled::Counted),
        None => Ok(false),
    };
    match phase.in_vault(settle).await? {
        true => Ok(()),
        false => Err(FetchEnd::Changing),
    }
}

async fn fetch_all(phase: &Phase) -> Result<(), FetchEnd> {
    let (current, without_current) = match begin_version(phase).await {
        Ok(current) => (Some(current), None),
        Err(FetchEnd::Failed(error)) if is_about_the_current_one(&error) => (None, Some(FetchEnd::Failed(error))),
        Err(FetchEnd::Blocked { error, retry_after }) if is_about_the_current_one(&error) => {
            (None, Some(FetchEnd::Blocked { error, retry_after }))
        }
        Err(end) => return Err(end),
    };
    let current_id = current.as_ref().map(|current| current.id);
    phase.download.current.set(current_id);
    look_at_older_versions(phase, current_id).await?;
    let versions = phase.in_vault(|writer| writer.reader().versions_to_fetch()).await?;
    let is_older = |version: &VersionRow| Some(version.id) != current_id;
    // A version that never comes through may be the reason why there is another one.
    let (stuck, older): (Vec<_>, Vec<_>) = versions
        .into_iter()
        .filter(is_older)
        .partition(|version| version.cuts >= SWEEP_CUTS_BEFORE_FILE || version.rest.failures > 0);
    let mut left = None;
    for older in older {
        log::info!("fetching an older backup version first, while the server has it");
        left = fetch_older(phase, older).await?.or(left);
    }
    if let Some(current) = current {
        fetch_one(phase, current).await?;
    }
    for older in stuck {
        log::info!("fetching an older backup version last, because it failed before");
        left = fetch_older(phase, older).await?.or(left);
        show_by_id(phase, current_id).await?;
    }
    match without_current {
        Some(end) => without_a_current_version(phase, end, left).await,
        None => left.map_or(Ok(()), Err),
    }
}

/// Whether known versions can still be requested by their numbers after this error for "which version is current".
fn is_about_the_current_one(error: &HomeserverError) -> bool {
    matches!(
        error,
        HomeserverError::NotFound
            | HomeserverError::NoSuchEndpoint
            | HomeserverError::Forbidden
            | HomeserverError::Refused { .. }
            | HomeserverError::NotTheHomeserver
            | HomeserverError::TooLarge
            | HomeserverError::ServerFault { retry_after: None, .. }
    )
}

/// Decides how a run ends if the server names no current version. If the server says that it has none, and everything
/// in the known versions was fetched, the run ends as if nothing were wrong.
async fn without_a_current_version(phase: &Phase, end: FetchEnd, left: Option<FetchEnd>) -> Result<(), FetchEnd> {
    let versions = phase.in_vault(|writer| writer.reader().versions()).await?;
    let any_is_there = versions.iter().any(|version| !version.gone);
    match end {
        FetchEnd::Failed(HomeserverError::NotFound) if any_is_there => left.map_or(Ok(()), Err),
        end => Err(end),
    }
}

/// Checks older versions, which may have grown before they were superseded. If no version is current, all of them
/// count as older.
async fn look_at_older_versions(phase: &Phase, current: Option<VersionRowId>) -> Result<(), FetchEnd> {
    let versions = phase.in_vault(|writer| writer.reader().versions()).await?;
    for version in versions {
        // Without a current version, settled ones need no check.
        let may_have_grown = match current {
            Some(_) => !version.superseded,
            None => version.is_open(),
        };
        let is_due = may_have_grown || look_at_short(&version) != ShortLook::NotDue;
        if Some(version.id) != current && !version.gone && is_due {
            look_again(phase, version, current.is_some()).await?;
        }
    }
    Ok(())
}

async fn look_again(phase: &Phase, older: VersionRow, is_superseded: bool) -> Result<(), FetchEnd> {
    let id = older.id;
    let tries = if is_superseded { None } else { Some(1) };
    match ask_up_to(phase, tries, || phase.context.homeserver.version(&older.version)).await {
        Ok(info) => {
            phase
                .in_vault(move |writer| writer.write(|tx| tx.note_version(&info)))
                .await?;
            look_at_short_one(phase, id).await?;
        }
        Err(FetchEnd::Failed(HomeserverError::NotFound)) => {
            phase.in_vault(move |writer| writer.mark_gone(id)).await?;
        }
        // What is known of the version stays as it is.
        Err(FetchEnd::Failed(_)) => {}
        // The next run asks again.
        Err(FetchEnd::Blocked { error, .. }) if is_of_the_version(&error) => return Ok(()),
        Err(end) => return Err(end),
    }
    if is_superseded {
        phase.in_vault(move |writer| writer.mark_superseded(id)).await?;
    }
    Ok(())
}

/// Handles a short version after the small request that checks it: once a week everything is requested again, unless
/// the network is metered. Otherwise only counts the check.
async fn look_at_short_one(phase: &Phase, id: VersionRowId) -> Result<(), FetchEnd> {
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

/// Fetches an older version. Returns what prevents that if the current version can still be fetched, and fails with
/// it otherwise.
async fn fetch_older(phase: &Phase, older: VersionRow) -> Result<Option<FetchEnd>, FetchEnd> {
    let (id, before) = (older.id, older.counts.fetched);
    let Err(end) = fetch_one(phase, older).await else {
        return Ok(None);
    };
    if matches!(end, FetchEnd::Stopped) {
        // A run that received nothing of this version counts as cut off, whatever it waited for.
        let count = move |writer: &mut Writer| match writer.reader().version_by_id(id)? {
            Some(version) if version.counts.fetched == before => writer.count_request(id, 0, true),
            _ => Ok(()),
        };
        // The run ends anyway if the vault takes no more.
        let _ = phase.in_vault(count).await;
    }
    match end {
        FetchEnd::VersionGone | FetchEnd::MovedOn { .. } => Ok(None),
        // The version may be forbidden by now, or failing.
        FetchEnd::Failed(_)
        | FetchEnd::WaitsForFile { .. }
        | FetchEnd::Resting { .. }
        | FetchEnd::Changing
        | FetchEnd::NotServed => Ok(Some(end)),
        FetchEnd::Blocked { ref error, .. } if is_of_the_version(error) => Ok(Some(end)),
        end => Err(end),
    }
}

/// Whether another version may be available although this one is not.
fn is_of_the_version(error: &HomeserverError) -> bool {
    !error.asks_to_wait() && !error.is_no_network()
}

/// Shows the figures of this version again.
async fn show_by_id(phase: &Phase, id: Option<VersionRowId>) -> Result<(), FetchEnd> {
    let Some(id) = id else { return Ok(()) };
    match phase.in_vault(move |writer| writer.reader().version_by_id(id)).await? {
        Some(version) => show(phase, &version).await,
        None => Ok(()),
    }
}

async fn show(phase: &Phase, version: &VersionRow) -> Result<(), FetchEnd> {
    let id = version.id;
    let rooms = phase.in_vault(move |writer| writer.reader().room_counts(id)).await?;
    phase.download.progress.show(version, rooms);
    phase.run.wake.notify();
    Ok(())
}

/// Fetches one version, and marks it as gone if the server no longer has it.
async fn fetch_one(phase: &Phase, version: VersionRow) -> Result<(), FetchEnd> {
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

async fn fetch_entries(phase: &Phase, version: VersionRow) -> Result<(), FetchEnd> {
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
async fn begin_version(phase: &Phase) -> Result<VersionRow, FetchEnd> {
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

/// Sends a small request, with retries.
async fn ask<T, F: Future<Output = Result<T, HomeserverError>>>(
    phase: &Phase,
    request: impl FnMut() -> F,
) -> Result<T, FetchEnd> {
    ask_up_to(phase, None, request).await
}

/// Sends a small request with at most so many tries. Where there is no network, the run ends: the OS knows when it is back.
async fn ask_up_to<T, F: Future<Output = Result<T, HomeserverError>>>(
    phase: &Phase,
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
