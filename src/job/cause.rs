//! The causes that hold background work, and the kinds of work that each cause stops. Pure.
//!
//! Several causes can hold at once. Work that was stopped goes on when the last cause that stops it is gone.
//! `docs/background-execution.md` has the same table; a test compares the two.

use super::conditions::Conditions;

/// Why background work, or a part of it, is paused. Several causes can hold at once; work goes on when the last cause
/// that stops it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum PauseCause {
    /// The user has paused the download. Survives restarts and lasts until `resume` with this cause. Stops fetching,
    /// opening and delivering.
    User,
    /// The app is in the background and has no background task. Lasts until the host calls `resume`. Stops fetching,
    /// opening and delivering.
    InBackground,
    /// The time that the OS grants is ending, or the calling task was cancelled. Stops everything except look-ups.
    /// Ends by itself once the work that was under way has ended.
    TimeExpiring,
    /// The device is saving power. Lasts until the host calls `resume`. Stops fetching, opening and delivering; has
    /// no effect if `DownloadPolicy.in_low_power` is set.
    LowPower,
    /// The device is too warm. Lasts until the host calls `resume`. Stops opening and delivering.
    Thermal,
    /// The network is metered. Lasts until the host calls `resume`. Stops fetching once more than
    /// `DownloadPolicy.metered_bytes` bytes are known to be left.
    MeteredNetwork,
    /// There is no network. Lasts until the host calls `resume`. Stops fetching, and `refresh`, `fetch_room` and
    /// `fetch_session` where they have to ask the server.
    Offline,
    /// The device is not charging. Lasts until the host calls `resume`. Stops fetching, opening and delivering, but
    /// only if `DownloadPolicy.needs_charging` is set.
    NotCharging,
    /// Files cannot be read because the phone has not been unlocked. Lasts until the host calls `resume`. Stops
    /// everything, including look-ups.
    StorageLocked,
    /// The vault has reached `DownloadPolicy.max_vault_bytes`. Stops fetching. Ends by itself when there is room
    /// again.
    DiskLimit,
}

/// The kinds of work that a cause may stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The requests of a job.
    Fetch,
    /// Decrypting entries.
    Open,
    /// `refresh`, and `fetch_room` and `fetch_session` where they have to ask the server.
    AskServer,
    /// Look-ups in the vault.
    AskVault,
}

impl Work {
    const ALL: [Self; 4] = [Self::Fetch, Self::Open, Self::AskServer, Self::AskVault];
}

impl PauseCause {
    pub(crate) const ALL: [Self; 10] = [
        Self::User,
        Self::InBackground,
        Self::TimeExpiring,
        Self::LowPower,
        Self::Thermal,
        Self::MeteredNetwork,
        Self::Offline,
        Self::NotCharging,
        Self::StorageLocked,
        Self::DiskLimit,
    ];

    /// Whether this cause, where it counts, stops that kind of work.
    pub(crate) fn stops(self, work: Work) -> bool {
        use Work::{AskServer, AskVault, Fetch, Open};
        let stopped: &[Work] = match self {
            // A single key for a message on screen is worth a request, even while the download as a whole is paused.
            Self::User | Self::InBackground | Self::LowPower | Self::NotCharging => &[Fetch, Open],
            // The process may be suspended at any moment: no socket may stay open.
            Self::TimeExpiring => &[Fetch, Open, AskServer],
            // Decryption is what heats the device.
            Self::Thermal => &[Open],
            Self::MeteredNetwork | Self::DiskLimit => &[Fetch],
            Self::Offline => &[Fetch, AskServer],
            Self::StorageLocked => &[Fetch, Open, AskServer, AskVault],
        };
        stopped.contains(&work)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of kinds of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkSet(u8);

impl WorkSet {
    /// The kinds of work that runs of jobs do. The others are single requests beside them.
    pub(super) const OF_JOBS: Self = Self::of(&[Work::Fetch, Work::Open]);

    pub(crate) const fn of(kinds: &[Work]) -> Self {
        let (mut set, mut position) = (0, 0);
        while position < kinds.len() {
            set |= 1 << kinds[position] as u8;
            position += 1;
        }
        Self(set)
    }

    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn has(self, work: Work) -> bool {
        self.0 & Self::of(&[work]).0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every kind in this set is also in the other one.
    pub(crate) fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the kinds of work in this set that none of the causes stops.
    #[must_use]
    pub(crate) fn without_stopped(self, causes: CauseSet) -> Self {
        let stopped = Work::ALL.into_iter().filter(|work| causes.stop(*work));
        stopped.fold(self, |set, work| Self(set.0 & !Self::of(&[work]).0))
    }
}

/// A set of causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CauseSet(u16);

impl CauseSet {
    #[must_use]
    pub(crate) fn with(self, cause: PauseCause) -> Self {
        Self(self.0 | cause.bit())
    }

    #[must_use]
    pub(crate) fn without(self, cause: PauseCause) -> Self {
        Self(self.0 & !cause.bit())
    }

    pub(crate) fn has(self, cause: PauseCause) -> bool {
        self.0 & cause.bit() != 0
    }

    pub(crate) fn stop(self, work: Work) -> bool {
        self.iter().any(|cause| cause.stops(work))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = PauseCause> {
        PauseCause::ALL.into_iter().filter(move |cause| self.has(*cause))
    }

    /// Returns the causes that count under these conditions, with `bytes_left` bytes still to be transferred (`None`:
    /// not known yet).
    #[must_use]
    pub(crate) fn in_force(self, conditions: &Conditions, bytes_left: Option<u64>) -> Self {
        let counts = |cause| match cause {
            PauseCause::LowPower => !conditions.in_low_power,
            PauseCause::NotCharging => conditions.needs_charging,
            // Not while the number is unknown: finding out takes only a small request.
            PauseCause::MeteredNetwork => bytes_left.is_some_and(|left| left > conditions.metered_bytes),
            _ => true,
        };
        let counting = self.iter().filter(|cause| counts(*cause));
        counting.fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_resumes_when_its_last_pause_cause_is_gone() {
        let set = CauseSet::default().with(PauseCause::Offline).with(PauseCause::Thermal);
        assert!(set.stop(Work::Fetch) && set.stop(Work::Open));
        let set = set.without(PauseCause::Thermal);
        assert!(set.stop(Work::Fetch) && !set.stop(Work::Open));
        let set = set.with(PauseCause::DiskLimit).without(PauseCause::Offline);
        assert!(set.stop(Work::Fetch) && !set.stop(Work::AskServer));
        assert_eq!(set.without(PauseCause::DiskLimit), CauseSet::default());
    }

    #[test]
    fn some_causes_count_only_under_some_policies() {
        let all = PauseCause::ALL.into_iter().fold(CauseSet::default(), CauseSet::with);
        let strict = Conditions {
            needs_charging: true,
            ..Conditions::default()
        };
        assert_eq!(all.in_force(&strict, Some(u64::MAX)), all);
        let lenient = Conditions {
            in_low_power: true,
            metered_bytes: 100,
            ..Conditions::default()
        };
        let counting = all.in_force(&lenient, Some(100));
        for cause in [
            PauseCause::LowPower,
            PauseCause::NotCharging,
            PauseCause::MeteredNetwork,
        ] {
            assert!(!counting.has(cause), "{cause:?}");
        }
        assert!(all.in_force(&lenient, Some(101)).has(PauseCause::MeteredNetwork));
        assert!(!all.in_force(&lenient, None).has(PauseCause::MeteredNetwork));
    }

    #[test]
    fn the_table_in_the_docs_is_this_one() {
        let docs = include_str!("../../docs/background-execution.md");
        for cause in PauseCause::ALL {
            let cells: Vec<_> = Work::ALL
                .iter()
                .map(|work| if cause.stops(*work) { "stops" } else { "" })
                .collect();
            let row = docs
                .lines()
                .find_map(|line| line.strip_prefix(&format!("| `{cause:?}` |")))
                .unwrap_or_else(|| panic!("no row for {cause:?}"));
            let found: Vec<_> = row.split('|').map(str::trim).collect();
            assert_eq!(found[..cells.len()], cells, "{cause:?}");
        }
    }
}
