//! One backup version, and how it is read from the vault.

use rusqlite::Row;

use crate::{
    backup::{
        BackupOrigin,
        completeness::Settled,
        version::{Algorithm, VersionMark},
    },
    ids::{EntryId, Era, VersionRowId},
    vault::rests::Rest,
};

/// A backup version, with everything that the vault knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRow {
    pub(crate) id: VersionRowId,
    pub(crate) version: String,
    /// `None` if only the app has named the version, and the server has not described it yet.
    pub(crate) algorithm: Option<Algorithm>,
    /// `None` if the server has not reported it, or if no key of this algorithm can be read.
    pub(crate) public_key: Option<[u8; 32]>,
    /// Keys that the server counts; `None` if it reports no count.
    pub(crate) count: Option<u64>,
    pub(crate) etag: String,
    /// Number of distinct pairs of room and session in well-formed answers.
    pub(crate) names: u64,
    /// Whether some of the names were counted under an earlier mark.
    pub(crate) is_carried: bool,
    /// Entries up to this one count as names only after an answer contains them again; 0 if all entries count.
    pub(crate) confirm_through: EntryId,
    /// Why nothing is left to ask for; `None` while something is left.
    pub(crate) settled: Option<Settled>,
    /// The era in which the version was last settled; 0 for none.
    pub(crate) settled_in: Era,
    /// Number of names when the version was last settled.
    pub(crate) settled_names: u64,
    /// Number of names when an answer for everything reached its well-formed end in this era; `None` if none has.
    pub(crate) everything: Option<u64>,
    /// Whether the list of rooms was made in this era.
    pub(crate) rooms_listed_in_era: bool,
    /// Whether a known entry was found to be replaced in this era.
    pub(crate) is_replaced: bool,
    /// Whether failed entries have been requested again in this era.
    pub(crate) failed_asked: bool,
    /// Number of names that were missing when the version was last settled; `None` if it was not short then.
    pub(crate) shortfall: Option<u64>,
    /// Number of checks of the mark since the version was found to be short. Kept if the version is settled again
    /// with no larger shortfall.
    pub(crate) short_looks: u32,
    /// When the mark was last checked, by settling the version or while it was short, in milliseconds since 1970.
    pub(crate) looked_at_ms: i64,
    /// Number of names that may be missing, as accepted by the app.
    pub(crate) accepted: Option<u64>,
    /// Whether the app has given up unlocking the version.
    pub(crate) is_given_up: bool,
    /// Whether the server no longer has the version.
    pub(crate) gone: bool,
    /// Whether the version was requested after another version became current.
    pub(crate) superseded: bool,
    /// Increases when the mark changes, and when trimmed entries are needed again.
    pub(crate) era: Era,
    /// The last entry that existed when the current mark was first seen.
    pub(crate) era_began: EntryId,
    /// When the list of rooms was made, in milliseconds since 1970.
    pub(crate) rooms_listed_ms: Option<i64>,
    /// Number of requests for everything that were cut off, since one reached its end or the version was settled.
    pub(crate) cuts: u32,
    /// Failures of the request for everything, and when it may be retried.
    pub(crate) rest: Rest,
    pub(crate) bytes: u64,
    pub(crate) has_key: bool,
    pub(crate) counts: KeyCounts,
}

/// The number of keys of a version at each stage. A key with several copies counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyCounts {
    pub(crate) fetched: u64,
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    /// Number of copies that are held back from sinks and exports.
    pub(crate) conflicts: u64,
    /// Opened keys that are held back and have not been delivered.
    pub(crate) withheld: u64,
    pub(crate) delivered: u64,
    pub(crate) refused: u64,
}

impl KeyCounts {
    /// Returns the number of keys that were fetched and have neither been opened nor failed.
    pub(crate) fn unopened(&self) -> u64 {
        self.fetched.saturating_sub(self.opened + self.failed)
    }

    /// Returns the number of keys that need their decryption key once more: to be opened, or to be delivered if there is
    /// a sink.
    pub(crate) fn awaiting_key(&self, has_sink: bool) -> u64 {
        self.unopened() + if has_sink { self.undelivered() } else { 0 }
    }

    /// Returns the number of keys that were opened and are neither delivered, refused nor held back.
    pub(crate) fn undelivered(&self) -> u64 {
        self.opened
            .saturating_sub(self.delivered + self.refused + self.withheld)
    }
}

impl VersionRow {
    /// Returns the mark under which the server was asked last.
    pub(crate) fn mark(&self) -> VersionMark {
        VersionMark {
            count: self.count,
            etag: self.etag.clone(),
        }
    }

    /// Returns the number of keys that the server counts but has not returned.
    pub(crate) fn lacks(&self) -> u64 {
        self.count.unwrap_or(0).saturating_sub(self.names)
    }

    /// Returns the number of keys in the version: the server's count, or the number of fetched keys if that is
    /// higher.
    pub(crate) fn total(&self) -> u64 {
        self.count.unwrap_or(0).max(self.counts.fetched)
    }

    /// Returns the number of keys that are missing although nothing is left to ask for.
    pub(crate) fn missing(&self) -> u64 {
        match self.settled {
            Some(Settled::Short) if !self.gone => self.lacks(),
            _ => 0,
        }
    }

    /// Returns the number of keys that are missing although nothing is left to ask for; 0 if the app accepts that
    /// many.
    pub(crate) fn missing_unaccepted(&self) -> u64 {
        let missing = self.missing();
        if self.accepted.is_some_and(|accepted| missing <= accepted) {
            return 0;
        }
        missing
    }

    /// Whether this release of the crate can open the entries, given the decryption key.
    pub(crate) fn is_supported(&self) -> bool {
        self.algorithm == Some(Algorithm::Curve25519AesSha2) && self.public_key.is_some()
    }

    /// Whether something is left to ask for.
    pub(crate) fn is_open(&self) -> bool {
        self.settled.is_none() && !self.gone
    }

    /// Returns the origin that room keys of this version report; `None` if the public key is not known, because
    /// then no key can be opened.
    pub(crate) fn origin(&self, is_current: bool) -> Option<BackupOrigin> {
        Some(BackupOrigin::of(&self.version, &self.public_key?).with_current(is_current))
    }
}

/// Reads a version from a row that has all columns of the table and `has_key`.
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
        etag: row.get("etag")?,
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
