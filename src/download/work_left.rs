//! What is left to do, as far as the vault knows, and when a version that is short is looked at again.

use std::time::Duration;

use super::{fetch::bytes_of, versions::Versions};
use crate::{
    clock::wall_ms,
    job::RemainingWork,
    vault::{Connection, VaultError, VersionRow},
};

const SOME_HOURS: Duration = Duration::from_secs(6 * 60 * 60);
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

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

    /// Returns what is left in a vault.
    pub(crate) fn in_vault(vault: &Connection, versions: &Versions, has_sink: bool) -> Result<Self, VaultError> {
        let mut left = Self::of(&versions.all, |version| versions.is_unlocked(version), has_sink);
        for version in &versions.all {
            if vault.has_failures_to_ask(version)? {
                left.fetch.get_or_insert(0);
            }
        }
        Ok(left)
    }

    /// Returns what is left of these versions, where some can be opened.
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

    /// Returns the same as the machinery of jobs sees it.
    pub(crate) fn remaining(self) -> RemainingWork {
        RemainingWork {
            network_bytes: self.fetch,
            is_offline_left: self.open,
        }
    }
}

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
