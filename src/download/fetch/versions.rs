//! Decides which backup versions are fetched, and in which order: older ones first, while the server still has them,
//! then the current one. A version that the vault knows is requested by its number, whichever version the server
//! names as current.

use super::{
    older_versions::{fetch_older, look_at_older_versions},
    one_version::{LEAST_WAIT, begin_version, fetch_one, show_by_id},
    plan::SWEEP_CUTS_BEFORE_FILE,
    stage::FetchEnd,
};
use crate::{
    backup::{completeness::Settled, limits::MAX_VERSION_CHANGES},
    download::{phase::PhaseContext, telling::FetchActivity},
    homeserver::{HomeserverError, outage_wait},
    random::dice,
    vault::{FetchProgress, VersionRow, Writer},
};

/// Fetches everything that is left to fetch, in all versions.
pub(crate) async fn fetch_versions(phase: &PhaseContext) -> Result<(), FetchEnd> {
    discard_useless_files(phase).await;
    let result = fetch_with_patience(phase).await;
    discard_useless_files(phase).await;
    phase.download.progress.set_fetch(FetchActivity::Ended);
    result
}

/// Discards downloads by the OS for versions that are gone or settled, and those that this vault does not know
/// because an earlier vault was set aside or deleted.
async fn discard_useless_files(phase: &PhaseContext) {
    let Some(files) = &phase.context.files else { return };
    // The run ends anyway if the vault takes no more.
    if let Ok(kept) = phase.in_vault(Writer::forget_useless_files).await {
        files.discard_all_but(&kept);
    }
}

async fn fetch_with_patience(phase: &PhaseContext) -> Result<(), FetchEnd> {
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
async fn count_outage(
    phase: &PhaseContext,
    result: Result<(), FetchEnd>,
    before: FetchProgress,
) -> Result<(), FetchEnd> {
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

async fn fetch_while_versions_change(phase: &PhaseContext) -> Result<(), FetchEnd> {
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
async fn settle_what_never_rests(phase: &PhaseContext) -> Result<(), FetchEnd> {
    let settle = |writer: &mut Writer| match writer.reader().current_version()? {
        Some(version) => writer.settle_version(version.id, version.era, Settled::Counted),
        None => Ok(false),
    };
    match phase.in_vault(settle).await? {
        true => Ok(()),
        false => Err(FetchEnd::Changing),
    }
}

async fn fetch_all(phase: &PhaseContext) -> Result<(), FetchEnd> {
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
async fn without_a_current_version(
    phase: &PhaseContext,
    end: FetchEnd,
    left: Option<FetchEnd>,
) -> Result<(), FetchEnd> {
    let versions = phase.in_vault(|writer| writer.reader().versions()).await?;
    let any_is_there = versions.iter().any(|version| !version.gone);
    match end {
        FetchEnd::Failed(HomeserverError::NotFound) if any_is_there => left.map_or(Ok(()), Err),
        end => Err(end),
    }
}
