//! Which backup versions are fetched, in which order: what is left of older ones first, while they can still be read, then
//! the current one. A version that the vault knows is asked for by its number, whatever the server says is current.

use std::{sync::Mutex, time::Duration};

use tokio::runtime::Handle;

use super::{
    ingest::Ingest,
    ingest_worker::IngestWorker,
    plan::SWEEP_CUTS_BEFORE_FILE,
    stage::{FetchEnd, FetchStage},
};
use crate::{
    backup::{completeness::Settled, limits::MAX_VERSION_CHANGES, version::CURVE25519_AES_SHA2},
    blocking::blocking,
    download::{
        phase::Phase,
        telling::FetchActivity,
        work_left::{ShortLook, WorkLeft, look_at_short},
    },
    homeserver::{Backoff, HomeserverError, TransportError, Verdict, outage_wait},
    random::dice,
    vault::{FetchProgress, VaultError, VersionRow, Writer},
};

/// Where not even the first request came through, the next run should not come sooner.
const LEAST_WAIT: Duration = Duration::from_secs(30);

/// Fetches all there is to fetch.
pub(crate) async fn fetch_versions(phase: &Phase) -> Result<(), FetchEnd> {
    discard_useless_files(phase).await;
    let result = fetch_with_patience(phase).await;
    discard_useless_files(phase).await;
    phase.download.progress.set_fetch(FetchActivity::Ended);
    result
}

/// Gives up what the OS downloads for versions that are gone or settled, and what this vault knows nothing of: it was set aside,
/// or deleted.
async fn discard_useless_files(phase: &Phase) {
    let Some(files) = &phase.context.files else { return };
    // Where the vault takes nothing any more, the run ends for that reason.
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

/// Waits grow over runs where the server lets none get anywhere: answers of no use are none. What it has asked for holds for
/// look-ups too, and over a restart.
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
    if error.asks_for_patience() {
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
            // Another version is current now, older or newer; or there is none any more.
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

/// The mark of the current version moves whenever it is looked at, and each time nothing was missing until then.
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
    // What never comes through may be why there is another version.
    let (stuck, older): (Vec<_>, Vec<_>) = versions
        .into_iter()
        .filter(is_older)
        .partition(|version| version.cuts >= SWEEP_CUTS_BEFORE_FILE || version.rest.failures > 0);
    let mut left = None;
    for older in older {
        log::info!("an older backup version is fetched first, while it is there");
        left = fetch_older(phase, older).await?.or(left);
    }
    if let Some(current) = current {
        fetch_one(phase, current).await?;
    }
    for older in stuck {
        log::info!("an older backup version that did not come through is fetched last");
        left = fetch_older(phase, older).await?.or(left);
        show_by_id(phase, current_id).await?;
    }
    match without_current {
        Some(end) => without_a_current_version(phase, end, left).await,
        None => left.map_or(Ok(()), Err),
    }
}

/// Whether an answer to "which version is current" leaves those that are known to be asked for by their numbers.
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

/// How a run ends whose server names no current version: as if nothing was wrong where it says that there is none, and those
/// that are known are all here.
async fn without_a_current_version(phase: &Phase, end: FetchEnd, left: Option<FetchEnd>) -> Result<(), FetchEnd> {
    let versions = phase.in_vault(|writer| writer.reader().versions()).await?;
    let any_is_there = versions.iter().any(|version| !version.gone);
    match end {
        FetchEnd::Failed(HomeserverError::NotFound) if any_is_there => left.map_or(Ok(()), Err),
        end => Err(end),
    }
}

/// Older versions may have grown before they were superseded; and where none is current, all of them are such.
async fn look_at_older_versions(phase: &Phase, current: Option<i64>) -> Result<(), FetchEnd> {
    let versions = phase.in_vault(|writer| writer.reader().versions()).await?;
    for version in versions {
        // Without a current one, what is settled may be as it was.
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
    let tries = if is_superseded { u32::MAX } else { 1 };
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
        // Then it stays as it was known.
        Err(FetchEnd::Failed(_)) => {}
        // It is asked for again in the next run.
        Err(FetchEnd::Blocked { error, .. }) if is_of_the_version(&error) => return Ok(()),
        Err(end) => return Err(end),
    }
    if is_superseded {
        phase.in_vault(move |writer| writer.mark_superseded(id)).await?;
    }
    Ok(())
}

/// A look at a version that is short costs this one small request; everything is asked for again once a week, where that is
/// not metered.
async fn look_at_short_one(phase: &Phase, id: i64) -> Result<(), FetchEnd> {
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

/// Fetches an older version. What keeps it from coming is given back where it does not keep the current one from it.
async fn fetch_older(phase: &Phase, older: VersionRow) -> Result<Option<FetchEnd>, FetchEnd> {
    let (id, before) = (older.id, older.counts.fetched);
    let Err(end) = fetch_one(phase, older).await else {
        return Ok(None);
    };
    if matches!(end, FetchEnd::Stopped) {
        // A run that got nothing of it counts as a cut, whatever it waited for.
        let count = move |writer: &mut Writer| match writer.reader().version_by_id(id)? {
            Some(version) if version.counts.fetched == before => writer.count_request(id, 0, true),
            _ => Ok(()),
        };
        // Where the vault takes nothing any more, the run ends for that reason.
        let _ = phase.in_vault(count).await;
    }
    match end {
        FetchEnd::VersionGone | FetchEnd::MovedOn { .. } => Ok(None),
        // It may be forbidden by now, or sick.
        FetchEnd::Failed(_)
        | FetchEnd::WaitsForFile { .. }
        | FetchEnd::Resting { .. }
        | FetchEnd::Changing
        | FetchEnd::NotServed => Ok(Some(end)),
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

/// What is shown is the current one.
async fn show_by_id(phase: &Phase, id: Option<i64>) -> Result<(), FetchEnd> {
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

/// Fetches one version; notes that it is gone if it is.
async fn fetch_one(phase: &Phase, version: VersionRow) -> Result<(), FetchEnd> {
    let (row, name) = (version.id, version.version.clone());
    let mut result = Err(FetchEnd::Again);
    while matches!(result, Err(FetchEnd::Again)) {
        // It may have got some meanwhile.
        let now = phase.in_vault(move |writer| writer.reader().version_by_id(row)).await?;
        result = fetch_entries(phase, now.ok_or(VaultError::Corrupt)?).await;
    }
    if !matches!(result, Err(FetchEnd::VersionGone)) {
        return result;
    }
    // A 404 also says that an entry is missing: the version itself is asked for before it is given up.
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
            // Another backup has its name.
            _ => Err(FetchEnd::VersionGone),
        },
        Err(end) => Err(end),
    }
}

async fn fetch_entries(phase: &Phase, version: VersionRow) -> Result<(), FetchEnd> {
    show(phase, &version).await?;
    // While names are counted from the beginning, each entry has to be seen.
    let knows_all = version.counts.fetched > 0 && version.confirm_through == 0;
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
    // What the thread could not write explains why the stage stopped.
    written.unwrap_or(Err(VaultError::Panicked))?;
    result
}

/// Asks which version is current, and makes it the one that is worked on.
async fn begin_version(phase: &Phase) -> Result<VersionRow, FetchEnd> {
    let info = ask(phase, || phase.context.homeserver.current_version()).await?;
    if info.algorithm != CURVE25519_AES_SHA2 {
        log::warn!("the backup is of an unknown algorithm; its entries are kept as they are");
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

/// One small request, with patience.
async fn ask<T, F: Future<Output = Result<T, HomeserverError>>>(
    phase: &Phase,
    request: impl FnMut() -> F,
) -> Result<T, FetchEnd> {
    ask_up_to(phase, u32::MAX, request).await
}

async fn ask_up_to<T, F: Future<Output = Result<T, HomeserverError>>>(
    phase: &Phase,
    tries: u32,
    mut request: impl FnMut() -> F,
) -> Result<T, FetchEnd> {
    let stop = &phase.stop;
    let mut backoff = Backoff::default();
    let mut tried = 0;
    loop {
        tried += 1;
        let error = match stop.unless_stopped(request()).await.ok_or(FetchEnd::Stopped)? {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match backoff.after(&error, dice()) {
            Verdict::Retry(wait) if !is_no_network(&error) && tried < tries => {
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
