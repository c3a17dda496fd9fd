//! One backup version as the vault knows it.

use rusqlite::Row;

use crate::{
    backup::{BackupOrigin, completeness::Settled, version::Algorithm},
    ids::{EntryId, Era, VersionRowId},
    vault::rests::Rest,
};

/// One backup version as the vault knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRow {
    pub(crate) id: VersionRowId,
    pub(crate) version: String,
    /// `None` where the server has not described the version yet: the app has named it.
    pub(crate) algorithm: Option<Algorithm>,
    /// `None` where the server has not told it, or no key of this algorithm can be read.
    pub(crate) public_key: Option<[u8; 32]>,
    /// Keys that the server counts; `None` where it gives no count.
    pub(crate) count: Option<u64>,
    /// Distinct pairs of room and session that well-formed answers gave.
    pub(crate) names: u64,
    /// Some of the names were counted under an earlier mark.
    pub(crate) is_carried: bool,
    /// Entries up to this one count as names only once an answer has them again; 0 for none.
    pub(crate) confirm_through: EntryId,
    /// Why nothing is left to be asked for; `None` while something is.
    pub(crate) settled: Option<Settled>,
    /// The era in which it was so last; 0 for never.
    pub(crate) settled_in: Era,
    /// The names that there were then.
    pub(crate) settled_names: u64,
    /// The names that there were when an answer for everything came to its end in this era.
    pub(crate) everything: Option<u64>,
    /// The list of rooms was made in this era.
    pub(crate) rooms_listed_in_era: bool,
    /// A known entry was found replaced in this era.
    pub(crate) is_replaced: bool,
    /// Entries that failed have been asked for again in this era.
    pub(crate) failed_asked: bool,
    /// Names that were missing when it was short last.
    pub(crate) shortfall: Option<u64>,
    /// Looks at the mark since then.
    pub(crate) short_looks: u32,
    /// When it was looked at last, in milliseconds since 1970.
    pub(crate) looked_at_ms: i64,
    /// Names that may be missing, by the app's word.
    pub(crate) accepted: Option<u64>,
    /// The app has given up unlocking it.
    pub(crate) is_given_up: bool,
    /// The server does not have it any more.
    pub(crate) gone: bool,
    /// It has been asked for since another one is current.
    pub(crate) superseded: bool,
    /// Rises when the mark moves.
    pub(crate) era: Era,
    /// The last entry that there was when the era began.
    pub(crate) era_began: EntryId,
    /// When the list of rooms was made, in milliseconds since 1970.
    pub(crate) rooms_listed_ms: Option<i64>,
    /// How often a request for everything was cut.
    pub(crate) cuts: u32,
    /// How the request for everything fares.
    pub(crate) rest: Rest,
    pub(crate) bytes: u64,
    pub(crate) has_key: bool,
    pub(crate) counts: KeyCounts,
}

/// How many keys of a version are how far. A key that stands several times counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyCounts {
    pub(crate) fetched: u64,
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    /// Copies that are held back from sinks and exports.
    pub(crate) conflicts: u64,
    /// Of the opened ones, those that are held back and not delivered.
    pub(crate) withheld: u64,
    pub(crate) delivered: u64,
    pub(crate) refused: u64,
}

impl KeyCounts {
    /// Fetched, but neither opened nor failed.
    pub(crate) fn unopened(&self) -> u64 {
        self.fetched.saturating_sub(self.opened + self.failed)
    }

    /// Opened, and neither delivered nor refused nor held back.
    pub(crate) fn undelivered(&self) -> u64 {
        self.opened
            .saturating_sub(self.delivered + self.refused + self.withheld)
    }
}

impl VersionRow {
    /// Keys that the server counts, and has not given.
    pub(crate) fn lacks(&self) -> u64 {
        self.count.unwrap_or(0).saturating_sub(self.names)
    }

    /// Keys in the version: as many as the server counts, or more where more have come.
    pub(crate) fn total(&self) -> u64 {
        self.count.unwrap_or(0).max(self.counts.fetched)
    }

    /// Keys that are missing although nothing is left to be asked for.
    pub(crate) fn missing(&self) -> u64 {
        match self.settled {
            Some(Settled::Short) if !self.gone => self.lacks(),
            _ => 0,
        }
    }

    /// The same, those aside that the app has accepted.
    pub(crate) fn missing_unaccepted(&self) -> u64 {
        let missing = self.missing();
        if self.accepted.is_some_and(|accepted| missing <= accepted) {
            return 0;
        }
        missing
    }

    /// Whether this version of the crate can open its entries, given the key.
    pub(crate) fn is_supported(&self) -> bool {
        self.algorithm == Some(Algorithm::Curve25519AesSha2) && self.public_key.is_some()
    }

    /// Whether something is left to be asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.settled.is_none() && !self.gone
    }

    /// What a room key is told of it; `None` where its public key is not known, and nothing can be opened.
    pub(crate) fn origin(&self, is_current: bool) -> Option<BackupOrigin> {
        Some(BackupOrigin::of(&self.version, &self.public_key?).with_current(is_current))
    }
}

/// Reads a version from a row of all columns and `has_key`.
pub(super) fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    let number = |name| row.get::<_, i64>(name).map(i64::cast_unsigned);
    let era: Era = row.get("era")?;
    let is_in_era = |name| row.get::<_, Era>(name).map(|noted| noted == era);
    let has_count: bool = row.get("has_count")?;
    Ok(VersionRow {
        id: row.get("id")?,
        version: row.get("version")?,
        algorithm: Some(row.get::<_, String>("algorithm")?)
            .filter(|name| !name.is_empty())
            .map(|name| Algorithm::of_name(&name)),
        public_key: row
            .get::<_, Option<Vec<u8>>>("public_key")?
            .and_then(|key| key.try_into().ok()),
        count: has_count.then(|| number("server_count")).transpose()?,
        names: number("names")?,
        is_carried: row.get("is_carried")?,
        confirm_through: row.get("confirm_through")?,
        settled: Settled::from_code(row.get("settled")?),
        settled_in: row.get("settled_in")?,
        settled_names: number("settled_names")?,
        everything: is_in_era("everything_in")?
            .then(|| number("everything_names"))
            .transpose()?,
        rooms_listed_in_era: is_in_era("rooms_listed_in")?,
        is_replaced: is_in_era("replaced_in")?,
        failed_asked: is_in_era("failed_asked_in")?,
        shortfall: row.get::<_, Option<i64>>("shortfall")?.map(i64::cast_unsigned),
        short_looks: row.get("short_looks")?,
        looked_at_ms: row.get("looked_at_ms")?,
        accepted: row.get::<_, Option<i64>>("accepted")?.map(i64::cast_unsigned),
        is_given_up: row.get("is_given_up")?,
        gone: row.get("gone")?,
        superseded: row.get("superseded")?,
        era,
        era_began: row.get("era_began")?,
        rooms_listed_ms: row.get("rooms_listed_ms")?,
        cuts: row.get("cuts")?,
        rest: Rest::from_row(row)?,
        bytes: number("bytes")?,
        has_key: row.get("has_key")?,
        counts: KeyCounts {
            fetched: number("fetched")?,
            opened: number("opened")?,
            failed: number("failed")?,
            conflicts: number("conflicts")?,
            withheld: number("withheld")?,
            delivered: number("delivered")?,
            refused: number("refused")?,
        },
    })
}
