//! Backup versions that are not current: whether they are still there, whether they have grown, and fetching them.

use super::{
    one_version::{ask_up_to, fetch_one, look_at_short_one},
    stage::FetchEnd,
};
use crate::{
    download::{
        phase::PhaseContext,
        work_left::{ShortLook, look_at_short},
    },
    homeserver::HomeserverError,
    ids::VersionRowId,
    vault::{VersionRow, Writer},
};

/// Checks older versions, which may have grown before they were superseded. If no version is current, all of them
/// count as older.
pub(super) async fn look_at_older_versions(
    phase: &PhaseContext,
    current: Option<VersionRowId>,
) -> Result<(), FetchEnd> {
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

pub(super) async fn look_again(phase: &PhaseContext, older: VersionRow, is_superseded: bool) -> Result<(), FetchEnd> {
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

/// Fetches an older version. Returns what prevents that if the current version can still be fetched, and fails with
/// it otherwise.
pub(super) async fn fetch_older(phase: &PhaseContext, older: VersionRow) -> Result<Option<FetchEnd>, FetchEnd> {
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
pub(super) fn is_of_the_version(error: &HomeserverError) -> bool {
    !error.asks_to_wait() && !error.is_no_network()
}
