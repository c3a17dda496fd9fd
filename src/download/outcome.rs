//! How a run ended: from the ends of its stages to what the app is told.

use std::time::Duration;

use super::{
    BlockedReason, CompletionProof, MissingKeys, RunFailure, RunHolder, RunOutcome, deliver::DeliverEnd,
    fetch::FetchEnd, work_left::WorkLeft,
};
use crate::{
    backup::completeness::Settled,
    homeserver::{HomeserverError, TransportError},
    job::gate::Restraints,
    vault::{Counts, VaultError, VersionRow},
};

/// How the stages of a phase ended.
pub(crate) struct Ends {
    /// `None` where nothing was to be fetched now.
    pub(crate) fetch: Option<FetchEnd>,
    pub(crate) opened: Result<(), VaultError>,
    pub(crate) delivered: DeliverEnd,
}

impl Ends {
    pub(crate) fn vault_error(&self) -> Option<&VaultError> {
        match self {
            Self { opened: Err(error), .. }
            | Self {
                fetch: Some(FetchEnd::Vault(error)),
                ..
            }
            | Self {
                delivered: DeliverEnd::Vault(error),
                ..
            } => Some(error),
            _ => None,
        }
    }

    /// What the run has come to, if none of its stages was stopped: with these versions, this left, and this to hold it back.
    pub(crate) fn outcome(self, versions: &Versions, left: WorkLeft, restraints: &Restraints) -> RunOutcome {
        match self.fetch {
            None | Some(FetchEnd::Complete) => {}
            Some(
                FetchEnd::Stopped
                | FetchEnd::Vault(_)
                | FetchEnd::VersionGone
                | FetchEnd::MovedOn { .. }
                | FetchEnd::Again,
            ) => {
                return failed(RunFailure::Internal);
            }
            Some(FetchEnd::WaitsForFile { retry_after }) => {
                return blocked(BlockedReason::WaitsForFile, Some(retry_after));
            }
            Some(FetchEnd::Blocked { error, retry_after }) => {
                return blocked(blocked_reason(&error), Some(retry_after));
            }
            Some(FetchEnd::Resting { rooms, retry_after }) => {
                return blocked(BlockedReason::RoomsUnavailable { rooms }, Some(retry_after));
            }
            Some(FetchEnd::Changing) => return blocked(BlockedReason::BackupChanging, None),
            Some(FetchEnd::NotServed) => return failed(RunFailure::BackupNotServed),
            Some(FetchEnd::Failed(error)) => return failed(failure_reason(&error)),
        }
        if matches!(self.delivered, DeliverEnd::SinkUnavailable) {
            return blocked(BlockedReason::SinkUnavailable, None);
        }
        let allowed = restraints.allowed();
        if (left.fetch.is_some() && !allowed.fetch) || (left.open && !allowed.open) {
            return paused(restraints);
        }
        versions.outcome()
    }
}

/// The versions that the vault knows, at the end of a run.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    pub(crate) all: Vec<VersionRow>,
    /// Row id of the current one.
    pub(crate) current: Option<i64>,
    /// Row ids of those that can be opened.
    pub(crate) unlocked: Vec<i64>,
}

impl Versions {
    fn outcome(&self) -> RunOutcome {
        let is_unsupported = |version: &VersionRow| version.public_key.is_none() && Some(version.id) == self.current;
        let locked: Vec<&VersionRow> = self.all.iter().filter(|version| self.is_locked(version)).collect();
        if locked.iter().any(|version| is_unsupported(version)) {
            return failed(RunFailure::UnsupportedAlgorithm);
        }
        if !locked.is_empty() {
            return RunOutcome::NeedsUnlock {
                versions: locked.iter().map(|version| version.version.clone()).collect(),
            };
        }
        let short: Vec<MissingKeys> = self
            .all
            .iter()
            .filter(|version| version.missing_unaccepted() > 0)
            .map(|version| MissingKeys {
                version: version.version.clone(),
                missing: version.missing(),
            })
            .collect();
        if !short.is_empty() {
            return RunOutcome::Short { versions: short };
        }
        let there = || self.all.iter().filter(|version| !version.gone);
        let is_whole = |version: &VersionRow| version.settled == Some(Settled::Whole);
        RunOutcome::Completed {
            proof: match there().all(is_whole) {
                true => CompletionProof::Whole,
                false => CompletionProof::Counted,
            },
            accepted_shortfall: there().map(VersionRow::missing).sum(),
        }
    }

    fn is_locked(&self, version: &VersionRow) -> bool {
        version.counts.unopened() > 0 && !version.is_given_up && !self.unlocked.contains(&version.id)
    }

    /// Keys that wait for a decryption key.
    pub(crate) fn locked_keys(&self) -> u64 {
        let locked = self.all.iter().filter(|version| !self.unlocked.contains(&version.id));
        locked.map(|version| version.counts.unopened()).sum()
    }

    /// Whether every room key can be had.
    pub(crate) fn have_every_key(&self, outcome: &RunOutcome) -> bool {
        let is_whole = |version: &VersionRow| {
            let Counts {
                failed,
                conflicts,
                refused,
                ..
            } = version.counts;
            failed + conflicts + refused + version.missing() + version.counts.unopened() == 0
        };
        matches!(
            outcome,
            RunOutcome::Completed {
                accepted_shortfall: 0,
                ..
            }
        ) && self.all.iter().all(is_whole)
    }
}

pub(crate) fn paused(restraints: &Restraints) -> RunOutcome {
    if restraints.is_stopped() {
        return RunOutcome::Stopped;
    }
    RunOutcome::Paused {
        causes: restraints.causes().iter().collect(),
    }
}

pub(crate) fn vault_outcome(error: &VaultError, holder: Option<RunHolder>) -> RunOutcome {
    match error {
        VaultError::Busy => blocked(BlockedReason::VaultBusy { by: holder }, None),
        VaultError::Inaccessible => blocked(BlockedReason::VaultInaccessible, None),
        VaultError::Overtaken => failed(RunFailure::Overtaken),
        VaultError::DiskFull => failed(RunFailure::DiskFull),
        VaultError::Gone => failed(RunFailure::VaultGone),
        VaultError::Corrupt | VaultError::Unsealable => failed(RunFailure::VaultDamaged),
        VaultError::Panicked => failed(RunFailure::Internal),
        VaultError::Sqlite(error) => {
            log::error!("the vault failed: {error}");
            failed(RunFailure::Internal)
        }
    }
}

pub(crate) fn blocked_reason(error: &HomeserverError) -> BlockedReason {
    match error {
        HomeserverError::Transport(TransportError::Offline) => BlockedReason::Offline,
        HomeserverError::RateLimited { .. } => BlockedReason::RateLimited,
        HomeserverError::NotTheHomeserver => BlockedReason::NotTheHomeserver,
        _ => BlockedReason::ServerFault,
    }
}

fn blocked(reason: BlockedReason, retry_after: Option<Duration>) -> RunOutcome {
    RunOutcome::Blocked {
        reason,
        retry_after_ms: retry_after.map(|wait| wait.as_millis() as u64),
    }
}

fn failed(reason: RunFailure) -> RunOutcome {
    RunOutcome::Failed { reason }
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
