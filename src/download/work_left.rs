//! When the host is to call again. Pure: how a run ended and what is left go in, a wake-up comes out.

use std::time::Duration;

#[cfg(test)]
use super::CompletionProof;
use super::{BlockedReason, DownloadPolicy, RunFailure, RunOutcome, fetch::bytes_of};
use crate::{client::WakeUp, clock::wall_ms, job::PauseCause, vault::VersionRow};

/// A run that is killed without a word: how long after its beginning it may be asked for again.
const AFTER_A_KILL: Duration = Duration::from_secs(10 * 60);
const SOON: Duration = Duration::from_secs(10);
const A_MINUTE: Duration = Duration::from_secs(60);
const A_QUARTER: Duration = Duration::from_secs(15 * 60);
const AN_HOUR: Duration = Duration::from_secs(60 * 60);
const SOME_HOURS: Duration = Duration::from_secs(6 * 60 * 60);
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is due of a version whose server does not give all that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShortLook {
    NotDue,
    /// One small request tells whether the mark has moved.
    Look,
    /// Everything is asked for once more, where that is not metered: the etags of some servers never move.
    AskAgain,
}

/// How long after the last look at a version that is short the next one is due.
fn short_wait(looks: u32) -> Duration {
    match looks {
        0 => SOME_HOURS,
        1 => A_DAY,
        _ => A_WEEK,
    }
}

/// Decides what is due of a version now.
pub(crate) fn look_at_short(version: &VersionRow) -> ShortLook {
    if version.missing_unaccepted() == 0 {
        return ShortLook::NotDue;
    }
    match wait_for_look(version) {
        None if short_wait(version.short_looks) == A_WEEK => ShortLook::AskAgain,
        None => ShortLook::Look,
        Some(_) => ShortLook::NotDue,
    }
}

/// What is left of the wait for the next look; a clock that has been put back ends it.
fn wait_for_look(version: &VersionRow) -> Option<Duration> {
    let age = u64::try_from(wall_ms() - version.looked_at_ms).ok()?;
    let left = short_wait(version.short_looks).checked_sub(Duration::from_millis(age))?;
    (!left.is_zero()).then_some(left)
}

/// What is left to do, as far as the vault knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkLeft {
    /// Bytes, where something is left to be fetched.
    pub(crate) fetch: Option<u64>,
    /// Entries wait to be opened, delivered or trimmed.
    pub(crate) open: bool,
    /// Until the next look at a version whose server does not give all that it counts.
    pub(crate) look: Option<Duration>,
}

impl WorkLeft {
    /// As much as there can be.
    pub(crate) const UNKNOWN: Self = Self {
        fetch: Some(0),
        open: true,
        look: None,
    };

    /// What is left of these versions, where some can be opened.
    pub(crate) fn of(versions: &[VersionRow], can_open: impl Fn(&VersionRow) -> bool, has_sink: bool) -> Self {
        let to_fetch = versions.iter().filter(|version| version.is_open());
        let sizes = to_fetch.map(|version| version.lacks());
        let keys = sizes.reduce(u64::saturating_add);
        let waits = |version: &VersionRow| {
            let counts = &version.counts;
            let undelivered = has_sink && counts.undelivered() > 0;
            can_open(version) && (counts.unopened() > 0 || undelivered)
        };
        let short = versions.iter().filter(|version| version.missing_unaccepted() > 0);
        Self {
            // Where no version is known, the server is to be asked.
            fetch: keys.map(bytes_of).or(versions.is_empty().then_some(0)),
            open: versions.iter().any(waits),
            look: short.map(|version| wait_for_look(version).unwrap_or_default()).min(),
        }
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.fetch.is_none() && !self.open
    }

    /// A wake-up for this work.
    pub(crate) fn wake_up(self, after: Duration, policy: &DownloadPolicy) -> WakeUp {
        let bytes = self.fetch.unwrap_or(0);
        WakeUp {
            not_before_ms: after.as_millis() as u64,
            needs_network: self.fetch.is_some(),
            needs_unmetered: bytes > policy.metered_bytes,
            needs_charging: policy.needs_charging,
            expected_bytes: bytes,
        }
    }

    /// The one to ask for when a run begins: it may be killed before it can ask for another.
    pub(crate) fn at_the_beginning(self, policy: &DownloadPolicy) -> Option<WakeUp> {
        (!self.is_nothing()).then(|| self.wake_up(AFTER_A_KILL, policy))
    }
}

/// What to tell the host about the wake-up that it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakeUpChange {
    /// Somebody else is at it.
    Keep,
    Cancel,
    Ask(WakeUp),
}

/// Decides at the end of a run.
pub(crate) fn at_the_end(outcome: &RunOutcome, left: WorkLeft, policy: &DownloadPolicy) -> WakeUpChange {
    let after = match outcome {
        // The backup has moved on while it was fetched.
        RunOutcome::Completed { .. } | RunOutcome::Short { .. } if left.fetch.is_some() => A_QUARTER,
        RunOutcome::Completed { .. } | RunOutcome::NeedsUnlock { .. } | RunOutcome::Short { .. } => {
            return left.look.map_or(WakeUpChange::Cancel, |wait| look(wait, policy));
        }
        RunOutcome::Stopped => return WakeUpChange::Cancel,
        // Whoever is at it may be killed.
        RunOutcome::AlreadyRunning { .. } => AFTER_A_KILL,
        // The user's to resume.
        RunOutcome::Paused { causes } if causes.contains(&PauseCause::User) => return WakeUpChange::Cancel,
        RunOutcome::Paused { causes } if causes.iter().any(|cause| *cause != PauseCause::TimeExpiring) => A_QUARTER,
        RunOutcome::Paused { .. } | RunOutcome::OutOfBudget => Duration::ZERO,
        RunOutcome::Blocked { reason, retry_after_ms } => match (retry_after_ms, reason) {
            (Some(ms), _) => Duration::from_millis(*ms),
            (None, BlockedReason::Offline) => Duration::ZERO,
            (None, BlockedReason::BackupChanging) => A_QUARTER,
            (None, BlockedReason::VaultBusy { .. }) => SOON,
            (None, BlockedReason::VaultInaccessible) => A_QUARTER,
            (None, _) => A_MINUTE,
        },
        RunOutcome::Failed { reason } => match reason {
            RunFailure::Overtaken => return WakeUpChange::Keep,
            // Nothing that time alone changes.
            RunFailure::NoBackup
            | RunFailure::UnsupportedAlgorithm
            | RunFailure::NotSignedIn { .. }
            | RunFailure::VaultDamaged => return WakeUpChange::Cancel,
            RunFailure::RefusedByServer => SOME_HOURS,
            RunFailure::BackupNotServed => A_WEEK,
            RunFailure::Tls | RunFailure::DiskFull => AN_HOUR,
            // Whoever is woken opens a client anew.
            RunFailure::VaultGone | RunFailure::Internal => A_QUARTER,
        },
    };
    WakeUpChange::Ask(left.wake_up(after, policy))
}

/// A wake-up for a look at what the server has, which costs next to nothing.
fn look(after: Duration, policy: &DownloadPolicy) -> WakeUpChange {
    WakeUpChange::Ask(WakeUp {
        not_before_ms: after.as_millis() as u64,
        needs_network: true,
        needs_unmetered: false,
        needs_charging: policy.needs_charging,
        expected_bytes: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: WorkLeft = WorkLeft {
        fetch: Some(1_000),
        open: true,
        look: None,
    };

    fn completed() -> RunOutcome {
        RunOutcome::Completed {
            proof: CompletionProof::Whole,
            accepted_shortfall: 0,
        }
    }

    fn change(outcome: RunOutcome) -> WakeUpChange {
        at_the_end(&outcome, LEFT, &DownloadPolicy::default())
    }

    #[test]
    fn what_waits_is_asked_for_and_what_is_done_is_not() {
        let after = |ms| {
            WakeUpChange::Ask(WakeUp {
                not_before_ms: ms,
                needs_network: true,
                needs_unmetered: false,
                needs_charging: false,
                expected_bytes: 1_000,
            })
        };
        let paused = |cause| RunOutcome::Paused { causes: vec![cause] };
        let blocked = |reason, retry_after_ms| RunOutcome::Blocked { reason, retry_after_ms };
        let table = [
            (completed(), after(900_000)),
            (RunOutcome::NeedsUnlock { versions: Vec::new() }, WakeUpChange::Cancel),
            (RunOutcome::Stopped, WakeUpChange::Cancel),
            (RunOutcome::OutOfBudget, after(0)),
            (paused(PauseCause::User), WakeUpChange::Cancel),
            // Asked for at once when it is over; this is for a host that dies before.
            (paused(PauseCause::LowPower), after(900_000)),
            (paused(PauseCause::TimeExpiring), after(0)),
            (blocked(BlockedReason::RateLimited, Some(7_000)), after(7_000)),
            (blocked(BlockedReason::Offline, None), after(0)),
            (blocked(BlockedReason::SinkUnavailable, None), after(60_000)),
            (
                RunOutcome::Failed {
                    reason: RunFailure::NotSignedIn { soft_logout: true },
                },
                WakeUpChange::Cancel,
            ),
            (
                RunOutcome::Failed {
                    reason: RunFailure::Overtaken,
                },
                WakeUpChange::Keep,
            ),
            (
                RunOutcome::Failed {
                    reason: RunFailure::DiskFull,
                },
                after(3_600_000),
            ),
        ];
        for (outcome, expected) in table {
            assert_eq!(change(outcome.clone()), expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_wake_up_asks_for_what_the_work_takes() {
        let policy = DownloadPolicy {
            metered_bytes: 999,
            needs_charging: true,
            ..DownloadPolicy::default()
        };
        let wake_up = LEFT.wake_up(Duration::ZERO, &policy);
        assert!(wake_up.needs_unmetered && wake_up.needs_charging && wake_up.needs_network);
        let only_opening = WorkLeft { fetch: None, ..LEFT }.wake_up(Duration::ZERO, &policy);
        assert!(!only_opening.needs_network && !only_opening.needs_unmetered);
        assert_eq!(only_opening.expected_bytes, 0);
        assert_eq!(WorkLeft::default().at_the_beginning(&policy), None);
        let done = at_the_end(&completed(), WorkLeft::default(), &policy);
        assert_eq!(done, WakeUpChange::Cancel);
        let short = WorkLeft {
            look: Some(Duration::from_secs(5)),
            ..WorkLeft::default()
        };
        let WakeUpChange::Ask(look) = at_the_end(&RunOutcome::Short { versions: Vec::new() }, short, &policy) else {
            panic!("what is short is looked at again")
        };
        assert!(look.needs_network && look.not_before_ms == 5_000);
    }
}
