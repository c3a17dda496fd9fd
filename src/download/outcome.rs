//! How a run ended: turns the ends of its stages into the outcome that the app gets. Pure.

use super::{
    deliver::DeliverEnd,
    fetch::FetchEnd,
    telling::report::{CompletionProof, MissingKeys, RunOutcome},
    versions::Versions,
    work_left::WorkLeft,
};
use crate::{
    backup::completeness::Settled,
    job::{BlockedReason, JobEnd, NextRun, QUARTER_HOUR, RunFailure, RunHandle},
    milliseconds::Milliseconds,
    vault::{KeyCounts, VaultError, VersionRow},
};

/// How the stages of a phase ended. A stage that was not allowed to run counts as done.
pub(crate) struct Ends {
    pub(crate) fetched: Result<(), FetchEnd>,
    pub(crate) opened: Result<(), VaultError>,
    pub(crate) delivered: DeliverEnd,
}

impl Ends {
    /// Fails if a vault error ended a stage.
    pub(crate) fn check_vault(&self) -> Result<(), JobEnd> {
        match self {
            Self { opened: Err(error), .. }
            | Self {
                fetched: Err(FetchEnd::Vault(error)),
                ..
            }
            | Self {
                delivered: DeliverEnd::Vault(error),
                ..
            } => Err(JobEnd::by_vault(error, None)),
            _ => Ok(()),
        }
    }

    pub(crate) fn has_fetched(&self) -> bool {
        self.fetched.is_ok()
    }

    /// Decides how a run ends whose stages have all ended by themselves, from the versions and the work left.
    pub(crate) fn outcome(self, versions: &Versions, left: WorkLeft, run: &RunHandle) -> Result<Finished, JobEnd> {
        self.fetched.map_err(JobEnd::from)?;
        if matches!(self.delivered, DeliverEnd::SinkUnavailable) {
            return Err(JobEnd::blocked(BlockedReason::SinkUnavailable, None));
        }
        run.check_allowed(left.works())?;
        finished(versions)
    }
}

impl From<FetchEnd> for JobEnd {
    fn from(end: FetchEnd) -> Self {
        match end {
            // A run never ends with one of these: another request follows them, or the run was stopped.
            FetchEnd::Stopped | FetchEnd::VersionGone | FetchEnd::MovedOn { .. } | FetchEnd::Again => {
                Self::failed(RunFailure::Internal)
            }
            FetchEnd::Vault(error) => error.into(),
            FetchEnd::WaitsForFile { retry_after } => Self::blocked(BlockedReason::WaitsForFile, Some(retry_after)),
            FetchEnd::Blocked { error, retry_after } => Self::unreachable(&error, retry_after),
            FetchEnd::Resting { rooms, retry_after } => {
                Self::blocked(BlockedReason::RoomsUnavailable { rooms }, Some(retry_after))
            }
            FetchEnd::Changing => Self::blocked(BlockedReason::BackupChanging, None),
            FetchEnd::NotServed => Self::failed(RunFailure::BackupNotServed),
            FetchEnd::Failed(error) => Self::refused(&error),
        }
    }
}

/// How a run ended that did all it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    Completed {
        proof: CompletionProof,
        accepted_shortfall: u64,
    },
    Short {
        versions: Vec<MissingKeys>,
    },
    NeedsUnlock {
        versions: Vec<String>,
    },
}

/// Decides the result of a run that has nothing left to do now.
fn finished(versions: &Versions) -> Result<Finished, JobEnd> {
    let is_unsupported = |version: &VersionRow| !version.is_supported() && versions.is_current(version);
    let locked: Vec<&VersionRow> = versions
        .all
        .iter()
        .filter(|version| versions.is_locked(version))
        .collect();
    if locked.iter().any(|version| is_unsupported(version)) {
        return Err(JobEnd::failed(RunFailure::UnsupportedAlgorithm));
    }
    if !locked.is_empty() {
        return Ok(Finished::NeedsUnlock {
            versions: locked.iter().map(|version| version.version.clone()).collect(),
        });
    }
    let short: Vec<MissingKeys> = versions
        .all
        .iter()
        .filter(|version| version.missing_unaccepted() > 0)
        .map(|version| MissingKeys {
            version: version.version.clone(),
            missing: version.missing(),
        })
        .collect();
    if !short.is_empty() {
        return Ok(Finished::Short { versions: short });
    }
    let there = || versions.all.iter().filter(|version| !version.gone);
    let is_whole = |version: &VersionRow| version.settled == Some(Settled::Whole);
    Ok(Finished::Completed {
        proof: match there().all(is_whole) {
            true => CompletionProof::Whole,
            false => CompletionProof::Counted,
        },
        accepted_shortfall: there().map(VersionRow::missing).sum(),
    })
}

impl Finished {
    /// Decides when the next run is worthwhile.
    pub(crate) fn next_run(&self, left: WorkLeft) -> NextRun {
        match self {
            // The backup changed while it was being fetched.
            Self::Completed { .. } | Self::Short { .. } if left.fetch.is_some() => NextRun::After(QUARTER_HOUR),
            _ => left.look.map_or(NextRun::Never, NextRun::Look),
        }
    }

    /// Whether every room key of every version is in the vault and can be used.
    pub(crate) fn is_every_key_here(&self, versions: &Versions) -> bool {
        let is_whole = |version: &VersionRow| {
            let KeyCounts {
                failed,
                conflicts,
                refused,
                ..
            } = version.counts;
            failed + conflicts + refused + version.missing() + version.counts.unopened() == 0
        };
        let is_complete = matches!(
            self,
            Self::Completed {
                accepted_shortfall: 0,
                ..
            }
        );
        is_complete && versions.all.iter().all(is_whole)
    }
}

impl From<Result<Finished, JobEnd>> for RunOutcome {
    fn from(result: Result<Finished, JobEnd>) -> Self {
        match result {
            Ok(Finished::Completed {
                proof,
                accepted_shortfall,
            }) => Self::Completed {
                proof,
                accepted_shortfall,
            },
            Ok(Finished::Short { versions }) => Self::Short { versions },
            Ok(Finished::NeedsUnlock { versions }) => Self::NeedsUnlock { versions },
            Err(JobEnd::AlreadyRunning { by }) => Self::AlreadyRunning { by },
            Err(JobEnd::Paused { causes }) => Self::Paused { causes },
            Err(JobEnd::Stopped) => Self::Stopped,
            Err(JobEnd::OutOfBudget) => Self::OutOfBudget,
            Err(JobEnd::Blocked { reason, retry_after }) => Self::Blocked {
                reason,
                retry_after: retry_after.map(Milliseconds::from),
            },
            Err(JobEnd::Failed { reason }) => Self::Failed { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_finished_run_asks_for_another_only_if_that_can_find_keys() {
        let completed = Finished::Completed {
            proof: CompletionProof::Whole,
            accepted_shortfall: 0,
        };
        let short = Finished::Short { versions: Vec::new() };
        let locked = Finished::NeedsUnlock { versions: Vec::new() };
        let nothing = WorkLeft::default();
        let grown = WorkLeft {
            fetch: Some(1_000),
            ..nothing
        };
        let wait = Duration::from_secs(5);
        let look = WorkLeft {
            look: Some(wait),
            ..nothing
        };
        for (finished, left, expected) in [
            (&completed, nothing, NextRun::Never),
            (&completed, grown, NextRun::After(QUARTER_HOUR)),
            (&locked, grown, NextRun::Never),
            (&short, look, NextRun::Look(wait)),
        ] {
            assert_eq!(finished.next_run(left), expected, "{finished:?}");
        }
    }
}
