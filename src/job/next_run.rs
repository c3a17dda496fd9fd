//! Decides when to wake the app for the next run of a job. Pure: takes how a run ended and what is left, and returns
//! a wake-up.

use std::time::Duration;

use super::{
    cause::PauseCause,
    conditions::Conditions,
    outcome::{BlockedReason, JobEnd, RunFailure},
};
use crate::wake_up::{WakeUp, WakeUpPurpose, WakeUps, schedule};

/// How long after the beginning of a run to wake the app for another one, in case that run is killed without notice.
pub(crate) const AFTER_A_KILL: Duration = Duration::from_secs(10 * 60);
const SOON: Duration = Duration::from_secs(10);
const A_MINUTE: Duration = Duration::from_secs(60);
pub(crate) const QUARTER_HOUR: Duration = Duration::from_secs(15 * 60);
const AN_HOUR: Duration = Duration::from_secs(60 * 60);
const SOME_HOURS: Duration = Duration::from_secs(6 * 60 * 60);
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long the app may take to schedule a wake-up before the run returns without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the next run is useful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextRun {
    /// Another run asks for the next one: the wake-up that the app has stays as it is.
    Keep,
    /// Not until something is asked for: the wake-up is cancelled.
    Never,
    /// After this time, for all the work that is left.
    After(Duration),
    /// After this time, for one small request.
    Look(Duration),
}

/// The work that a run leaves undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemainingWork {
    /// Bytes to transfer; `None` if nothing needs the network.
    pub(crate) network_bytes: Option<u64>,
    /// Whether work is left that needs no network.
    pub(crate) is_offline_left: bool,
}

impl RemainingWork {
    /// Returns the wake-up for this work, not before `after`.
    pub(crate) fn wake_up(self, after: Duration, conditions: &Conditions) -> WakeUp {
        let bytes = self.network_bytes.unwrap_or(0);
        WakeUp {
            not_before: after.into(),
            needs_network: self.network_bytes.is_some(),
            needs_unmetered: bytes > conditions.metered_bytes,
            needs_charging: conditions.needs_charging,
            expected_bytes: bytes,
        }
    }
}

impl JobEnd {
    /// Decides when the next run is useful.
    pub(crate) fn next_run(&self) -> NextRun {
        NextRun::After(match self {
            Self::Stopped => return NextRun::Never,
            // The process that runs now may be killed.
            Self::AlreadyRunning { .. } => AFTER_A_KILL,
            // Only the user resumes it.
            Self::Paused { causes } if causes.contains(&PauseCause::User) => return NextRun::Never,
            Self::Paused { causes } if causes.iter().any(|cause| *cause != PauseCause::TimeExpiring) => QUARTER_HOUR,
            Self::Paused { .. } | Self::OutOfBudget => Duration::ZERO,
            Self::Blocked { reason, retry_after } => match (retry_after, reason) {
                (Some(wait), _) => *wait,
                (None, BlockedReason::Offline) => Duration::ZERO,
                (None, BlockedReason::BackupChanging | BlockedReason::VaultInaccessible) => QUARTER_HOUR,
                (None, BlockedReason::VaultBusy { .. }) => SOON,
                (None, _) => A_MINUTE,
            },
            Self::Failed { reason } => match reason {
                RunFailure::Overtaken => return NextRun::Keep,
                // Time alone changes none of these.
                RunFailure::NoBackup
                | RunFailure::UnsupportedAlgorithm
                | RunFailure::NotSignedIn { .. }
                | RunFailure::VaultDamaged => return NextRun::Never,
                RunFailure::RefusedByServer => SOME_HOURS,
                RunFailure::BackupNotServed => A_WEEK,
                RunFailure::Tls | RunFailure::DiskFull => AN_HOUR,
                // The app opens a new client when it is woken.
                RunFailure::VaultGone | RunFailure::Internal => QUARTER_HOUR,
            },
        })
    }
}

impl NextRun {
    /// Returns the wake-up that the next run needs, or `None` if the one that the app has should be cancelled.
    fn wake_up(self, left: RemainingWork, conditions: &Conditions) -> Option<WakeUp> {
        match self {
            Self::Keep | Self::Never => None,
            Self::After(after) => Some(left.wake_up(after, conditions)),
            Self::Look(after) => Some(WakeUp {
                not_before: after.into(),
                needs_network: true,
                needs_unmetered: false,
                needs_charging: conditions.needs_charging,
                expected_bytes: 0,
            }),
        }
    }

    /// Asks the app for the wake-up that the next run needs, and returns it.
    pub(crate) async fn ask(
        self,
        wake_ups: &dyn WakeUps,
        purpose: WakeUpPurpose,
        left: RemainingWork,
        conditions: &Conditions,
    ) -> Option<WakeUp> {
        if self == Self::Keep {
            return None;
        }
        let wake_up = self.wake_up(left, conditions);
        // If the app cannot schedule it, it has to call without being asked.
        schedule(wake_ups, purpose, wake_up, PATIENCE).await;
        wake_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::milliseconds::Milliseconds;

    const LEFT: RemainingWork = RemainingWork {
        network_bytes: Some(1_000),
        is_offline_left: true,
    };

    #[test]
    fn an_ended_run_asks_for_another_unless_the_user_must_resume() {
        let after = |seconds| NextRun::After(Duration::from_secs(seconds));
        let paused = |cause| JobEnd::Paused { causes: vec![cause] };
        let table = [
            (JobEnd::Stopped, NextRun::Never),
            (JobEnd::OutOfBudget, after(0)),
            (paused(PauseCause::User), NextRun::Never),
            // The app asks for a run as soon as the cause is gone; this is for an app that dies before.
            (paused(PauseCause::LowPower), after(900)),
            (paused(PauseCause::TimeExpiring), after(0)),
            (
                JobEnd::blocked(BlockedReason::RateLimited, Some(Duration::from_secs(7))),
                after(7),
            ),
            (JobEnd::blocked(BlockedReason::Offline, None), after(0)),
            (JobEnd::blocked(BlockedReason::SinkUnavailable, None), after(60)),
            (
                JobEnd::failed(RunFailure::NotSignedIn { soft_logout: true }),
                NextRun::Never,
            ),
            (JobEnd::failed(RunFailure::Overtaken), NextRun::Keep),
            (JobEnd::failed(RunFailure::DiskFull), after(3_600)),
        ];
        for (end, expected) in table {
            assert_eq!(end.next_run(), expected, "{end:?}");
        }
    }

    #[test]
    fn a_wake_up_asks_for_the_conditions_of_the_work() {
        let conditions = Conditions {
            metered_bytes: 999,
            needs_charging: true,
            ..Conditions::default()
        };
        let wake_up = |next: NextRun, left| next.wake_up(left, &conditions);
        let now = NextRun::After(Duration::ZERO);
        let all = wake_up(now, LEFT).expect("a wake-up");
        assert!(all.needs_unmetered && all.needs_charging && all.needs_network);
        let only_offline = RemainingWork {
            network_bytes: None,
            ..LEFT
        };
        let offline = wake_up(now, only_offline).expect("a wake-up");
        assert!(!offline.needs_network && !offline.needs_unmetered);
        assert_eq!(offline.expected_bytes, 0);
        let look = wake_up(NextRun::Look(Duration::from_secs(5)), LEFT).expect("a wake-up");
        assert!(look.needs_network && !look.needs_unmetered && look.not_before == Milliseconds(5_000));
        assert_eq!(wake_up(NextRun::Never, LEFT), None);
    }
}
