//! How a run ended: from the ends of its stages to what the app is told.

use super::{
    BlockedReason, RunFailure, RunHolder, RunOutcome, control::Restraints, deliver::DeliverEnd, fetch::FetchEnd,
    wake_up::WorkLeft,
};
use crate::{
    homeserver::{HomeserverError, TransportError},
    vault::{VaultError, VersionRow},
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

    /// What the run has come to, if none of its stages was stopped: with this left of this version, and this to hold it
    /// back.
    pub(crate) fn outcome(
        self,
        version: Option<&VersionRow>,
        is_unlocked: bool,
        left: WorkLeft,
        restraints: &Restraints,
    ) -> RunOutcome {
        match self.fetch {
            None | Some(FetchEnd::Complete) => {}
            Some(FetchEnd::Stopped | FetchEnd::Vault(_) | FetchEnd::VersionGone | FetchEnd::MovedOn) => {
                return failed(RunFailure::Internal);
            }
            Some(FetchEnd::WaitsForFile { retry_after }) => {
                return RunOutcome::Blocked {
                    reason: BlockedReason::WaitsForFile,
                    retry_after_ms: Some(retry_after.as_millis() as u64),
                };
            }
            Some(FetchEnd::Blocked { error, retry_after }) => {
                return RunOutcome::Blocked {
                    reason: blocked_reason(&error),
                    retry_after_ms: Some(retry_after.as_millis() as u64),
                };
            }
            Some(FetchEnd::Failed(error)) => return failed(failure_reason(&error)),
        }
        if matches!(self.delivered, DeliverEnd::SinkUnavailable) {
            return blocked(BlockedReason::SinkUnavailable);
        }
        let allowed = restraints.allowed();
        if (left.fetch.is_some() && !allowed.fetch) || (left.open && !allowed.open) {
            return paused(restraints);
        }
        match version {
            Some(version) if !is_unlocked && version.counts.unopened() > 0 => match version.public_key {
                Some(_) => RunOutcome::NeedsUnlock,
                None => failed(RunFailure::UnsupportedAlgorithm),
            },
            _ => RunOutcome::Completed,
        }
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
        VaultError::Busy => blocked(BlockedReason::VaultBusy { by: holder }),
        VaultError::Inaccessible => blocked(BlockedReason::VaultInaccessible),
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

fn blocked(reason: BlockedReason) -> RunOutcome {
    RunOutcome::Blocked {
        reason,
        retry_after_ms: None,
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
