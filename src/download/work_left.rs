//! What is left to do, as far as the vault knows, and when to check a short version again.

use std::time::Duration;

use super::{fetch::bytes_of, versions::Versions};
use crate::{
    clock::wall_ms,
    job::{RemainingWork, Work, WorkSet},
    vault::{Connection, VaultError, VersionRow},
};

const SOME_HOURS: Duration = Duration::from_secs(6 * 60 * 60);
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What happens to opened keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkUse {
    /// There is none: they stay in the vault.
    None,
    Takes,
    /// It takes them, and then they leave the vault.
    TakesAndTrims,
}

impl SinkUse {
    pub(crate) fn of(has_sink: bool, trims: bool) -> Self {
        match (has_sink, trims) {
            (false, _) => Self::None,
            (true, false) => Self::Takes,
            (true, true) => Self::TakesAndTrims,
        }
    }
}

/// What is left to do, as far as the vault knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkLeft {
    /// Bytes to fetch, roughly, or 0 if unknown; `None` if nothing is left to fetch.
    pub(crate) fetch: Option<u64>,
    /// Whether entries wait to be opened, delivered or trimmed.
    pub(crate) open: bool,
    /// Time until the next check of a version whose server returns fewer keys than it counts.
    pub(crate) look: Option<Duration>,
}

impl WorkLeft {
    /// Stands for any amount of work, if the vault cannot be read.
    pub(crate) const UNKNOWN: Self = Self {
        fetch: Some(0),
        open: true,
        look: None,
    };

    /// Returns the work left in a vault.
    pub(crate) fn in_vault(vault: &Connection, versions: &Versions, sink: SinkUse) -> Result<Self, VaultError> {
        let mut left = Self::of(
            &versions.all,
            |version| versions.is_unlocked(version),
            sink != SinkUse::None,
        );
        for version in &versions.all {
            if vault.has_failures_to_ask(version)? {
                left.fetch.get_or_insert(0);
            }
        }
        left.open |= sink == SinkUse::TakesAndTrims && vault.can_trim()?;
        if vault.has_to_refetch()? {
            left.fetch.get_or_insert(0);
        }
        Ok(left)
    }

    /// Returns the work left for these versions. `can_open` says whether there is a decryption key for a version.
    pub(crate) fn of(versions: &[VersionRow], can_open: impl Fn(&VersionRow) -> bool, has_sink: bool) -> Self {
        let to_fetch = versions.iter().filter(|version| version.is_open());
        let sizes = to_fetch.map(|version| version.lacks());
        let keys = sizes.reduce(u64::saturating_add);
        let waits = |version: &VersionRow| can_open(version) && version.counts.awaiting_key(has_sink) > 0;
        let short = versions.iter().filter(|version| version.missing_unaccepted() > 0);
        Self {
            // If no version is known, the server must be asked for one.
            fetch: keys.map(bytes_of).or(versions.is_empty().then_some(0)),
            open: versions.iter().any(waits),
            look: short.map(|version| wait_for_look(version).unwrap_or_default()).min(),
        }
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.works().is_empty()
    }

    /// Returns the kinds of work that it takes.
    pub(crate) fn works(self) -> WorkSet {
        let of = |is_left, work| {
            if is_left {
                WorkSet::of(&[work])
            } else {
                WorkSet::default()
            }
        };
        of(self.fetch.is_some(), Work::Fetch).with(of(self.open, Work::Open))
    }

    /// Returns the work left in the terms of the `job` module.
    pub(crate) fn remaining(self) -> RemainingWork {
        RemainingWork {
            network_bytes: self.fetch,
            is_offline_left: self.open,
        }
    }
}

/// What to do now about a version whose server returns fewer keys than it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShortLook {
    NotDue,
    /// Send one small request, which shows whether the etag or the count has changed.
    Look,
    /// Request everything once more, unless the network is metered: the etags of some servers never change.
    AskAgain,
}

/// Returns how long after the last check of a short version the next one is due.
fn short_wait(looks: u32) -> Duration {
    match looks {
        0 => SOME_HOURS,
        1 => A_DAY,
        _ => A_WEEK,
    }
}

/// Decides what to do now about a version.
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

/// Returns the time left until the next check; `None` if it is due. A clock that was set back ends the wait.
fn wait_for_look(version: &VersionRow) -> Option<Duration> {
    let age = u64::try_from(wall_ms() - version.looked_at_ms).ok()?;
    let left = short_wait(version.short_looks).checked_sub(Duration::from_millis(age))?;
    (!left.is_zero()).then_some(left)
}
