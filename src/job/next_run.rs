//! When the app is to be woken for the next run of a job. Pure: how a run ended and what is left go in, a wake-up comes out.

use std::time::Duration;

use super::{
    cause::PauseCause,
    conditions::Conditions,
    outcome::{BlockedReason, JobEnd, RunFailure},
};
use crate::wake_up::{WakeUp, WakeUpPurpose, WakeUps, schedule};

/// How long after its beginning a run may be asked for again that was killed without a word.
pub(crate) const AFTER_A_KILL: Duration = Duration::from_secs(10 * 60);
const SOON: Duration = Duration::from_secs(10);
const A_MINUTE: Duration = Duration::from_secs(60);
pub(crate) const A_QUARTER: Duration = Duration::from_secs(15 * 60);
const AN_HOUR: Duration = Duration::from_secs(60 * 60);
const SOME_HOURS: Duration = Duration::from_secs(6 * 60 * 60);
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long the app may take to note a wake-up before a run returns without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// When there is a point in the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextRun {
    /// Another run takes care of it: the wake-up that the app keeps stays as it is.
    Keep,
    /// There is none until something is asked for: the wake-up is cancelled.
    Never,
    /// After so long, for all the work that is left.
    After(Duration),
    /// After so long, for one small request.
    Look(Duration),
}

/// What a run leaves to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemainingWork {
    /// Bytes to transfer, where something needs the network.
    pub(crate) network_bytes: Option<u64>,
    /// Whether something is left that needs no network.
    pub(crate) is_offline_left: bool,
}

impl RemainingWork {
    pub(crate) fn is_nothing(self) -> bool {
        self.network_bytes.is_none() && !self.is_offline_left
    }

    /// Returns the wake-up for this work, not before `after`.
    pub(crate) fn wake_up(self, after: Duration, conditions: &Conditions) -> WakeUp {
        let bytes = self.network_bytes.unwrap_or(0);
        WakeUp {
            not_before_ms: after.as_millis() as u64,
            needs_network: self.network_bytes.is_some(),
            needs_unmetered: bytes > conditions.metered_bytes,
            needs_charging: conditions.needs_charging,
            expected_bytes: bytes,
        }
    }
}

impl JobEnd {
    /// Decides when there is a point in the next run.
    pub(crate) fn next_run(&self) -> NextRun {
        NextRun::After(match self {
            Self::Stopped => return NextRun::Never,
            // Whoever is at work may be killed.
            Self::AlreadyRunning { .. } => AFTER_A_KILL,
            // The user's to resume.
            Self::Paused { causes } if causes.contains(&PauseCause::User) => return NextRun::Never,
            Self::Paused { causes } if causes.iter().any(|cause| *cause != PauseCause::TimeExpiring) => A_QUARTER,
            Self::Paused { .. } | Self::OutOfBudget => Duration::ZERO,
            Self::Blocked { reason, retry_after } => match (retry_after, reason) {
                (Some(wait), _) => *wait,
                (None, BlockedReason::Offline) => Duration::ZERO,
                (None, BlockedReason::BackupChanging | BlockedReason::VaultInaccessible) => A_QUARTER,
                (None, BlockedReason::VaultBusy { .. }) => SOON,
                (None, _) => A_MINUTE,
            },
            Self::Failed { reason } => match reason {
                RunFailure::Overtaken => return NextRun::Keep,
                // Nothing that time alone changes.
                RunFailure::NoBackup
                | RunFailure::UnsupportedAlgorithm
                | RunFailure::NotSignedIn { .. }
                | RunFailure::VaultDamaged => return NextRun::Never,
                RunFailure::RefusedByServer => SOME_HOURS,
                RunFailure::BackupNotServed => A_WEEK,
                RunFailure::Tls | RunFailure::DiskFull => AN_HOUR,
                // The app opens a new client when it is woken.
                RunFailure::VaultGone | RunFailure::Internal => A_QUARTER,
            },
        })
    }
}

impl NextRun {
    /// Asks the app for the wake-up that the next run needs, and returns it.
    pub(crate) async fn ask(
        self,
        wake_ups: &dyn WakeUps,
        purpose: WakeUpPurpose,
        left: RemainingWork,
        conditions: &Conditions,
    ) -> Option<WakeUp> {
        let wake_up = match self {
            Self::Keep => return None,
            Self::Never => None,
            Self::After(after) => Some(left.wake_up(after, conditions)),
            Self::Look(after) => Some(WakeUp {
                not_before_ms: after.as_millis() as u64,
                needs_network: true,
                needs_unmetered: false,
                needs_charging: conditions.needs_charging,
                expected_bytes: 0,
            }),
        };
        // An app that does not note it calls by itself.
        schedule(wake_ups, purpose, wake_up, PATIENCE).await;
        wake_up
    }
}
