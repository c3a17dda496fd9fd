//! Backup versions: what the server said of each, what its answers have shown, and its decryption key.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use zeroize::Zeroizing;

use super::{
    AskedUnder, Connection, VaultError, Writer,
    rests::Rest,
    seal::{Sealed, VaultKeys},
};
use crate::{
    backup::{
        BackupOrigin,
        completeness::{Settled, names_are_carried},
        version::VersionInfo,
    },
    clock::wall_ms,
    secret::KeyBytes,
};

/// One backup version as the vault knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRow {
    pub(crate) id: i64,
    pub(crate) version: String,
    pub(crate) public_key: Option<[u8; 32]>,
    /// Keys that the server counts; `None` where it gives no count.
    pub(crate) count: Option<u64>,
    /// Distinct pairs of room and session that well-formed answers gave.
    pub(crate) names: u64,
    /// Some of the names were counted under an earlier mark.
    pub(crate) is_carried: bool,
    /// Entries up to this one count as names only once an answer has them again; 0 for none.
    pub(crate) confirm_through: i64,
    /// Why nothing is left to be asked for; `None` while something is.
    pub(crate) settled: Option<Settled>,
    /// The era in which it was so last; 0 for never.
    pub(crate) settled_in: i64,
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
    pub(crate) era: i64,
    /// The last entry that there was when the era began.
    pub(crate) era_began: i64,
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

    /// Whether something is left to be asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.settled.is_none() && !self.gone
    }

    /// What a room key is told of it; `None` where its public key is not known, and nothing can be opened.
    pub(crate) fn origin(&self, is_current: bool) -> Option<BackupOrigin> {
        Some(BackupOrigin::of(&self.version, &self.public_key?).with_current(is_current))
    }
}

impl Connection {
    /// The version that the last run worked on.
    pub(crate) fn current_version(&self) -> Result<Option<VersionRow>, VaultError> {
        self.version_where("id = (SELECT current_version FROM job WHERE id = 1)", [])
    }

    pub(crate) fn version_by_id(&self, id: i64) -> Result<Option<VersionRow>, VaultError> {
        self.version_where("id = ?1", [id])
    }

    fn version_where(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Option<VersionRow>, VaultError> {
        let sql = format!("SELECT *, sealed_key IS NOT NULL AS has_key FROM backup_version WHERE {condition}");
        Ok(self
            .inner
            .prepare_cached(&sql)?
            .query_row(parameters, version_row)
            .optional()?)
    }

    /// What a key of a version is told of it, but for whether that is the current one.
    pub(crate) fn origin_of(&self, id: i64) -> Result<BackupOrigin, VaultError> {
        let version = self.version_by_id(id)?.ok_or(VaultError::Corrupt)?;
        version.origin(false).ok_or(VaultError::Corrupt)
    }

    /// All versions that were ever seen, the oldest first.
    pub(crate) fn versions(&self) -> Result<Vec<VersionRow>, VaultError> {
        let mut statement = self
            .inner
            .prepare_cached("SELECT *, sealed_key IS NOT NULL AS has_key FROM backup_version ORDER BY id")?;
        let rows = statement.query_map([], version_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the row id of each version, with the number of its keys that have been neither opened nor given up.
    pub(crate) fn unopened_keys(&self) -> Result<Vec<(i64, u64)>, VaultError> {
        let sql = "SELECT id, max(0, fetched - opened - failed) FROM backup_version";
        let mut statement = self.inner.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Those of which something is left to be asked for, the oldest first.
    pub(crate) fn versions_to_fetch(&self) -> Result<Vec<VersionRow>, VaultError> {
        let mut open = Vec::new();
        for version in self.versions()? {
            if version.is_open() || self.has_failures_to_ask(&version)? {
                open.push(version);
            }
        }
        Ok(open)
    }

    /// Notes what the server says of its current version, beside a run. Whether that is news is the caller's to see.
    pub(crate) fn note_current_version(&mut self, info: &VersionInfo) -> Result<VersionRow, VaultError> {
        let id = self.write(|transaction, _| note_current_version(transaction, info))?;
        self.version_by_id(id)?.ok_or(VaultError::Corrupt)
    }

    /// The same of a version that was asked for by its number, current or not.
    pub(crate) fn note_version(&mut self, info: &VersionInfo) -> Result<VersionRow, VaultError> {
        let id = self.write(|transaction, _| note_version(transaction, info))?;
        self.version_by_id(id)?.ok_or(VaultError::Corrupt)
    }

    /// Notes a version of which only the number is known: the app names it.
    pub(crate) fn include_version(&mut self, version: &str) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "INSERT INTO backup_version (version, algorithm, server_count, has_count, etag)
                 SELECT ?1, '', 0, 0, '' WHERE NOT EXISTS (SELECT 1 FROM backup_version WHERE version = ?1)",
                [version],
            )?;
            // It may be there again, and it may be asked for again.
            transaction.execute(
                "UPDATE backup_version SET gone = 0, superseded = 0 WHERE version = ?1 AND id =
                    (SELECT max(id) FROM backup_version WHERE version = ?1)",
                [version],
            )?;
            Ok(())
        })
    }

    /// Says how many keys of a version may be missing. False if the vault knows no such version.
    pub(crate) fn accept_shortfall(
        &mut self,
        version: &str,
        public_key: &[u8; 32],
        most: u64,
    ) -> Result<bool, VaultError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.write(|transaction, _| {
            let changed = transaction.execute(
                "UPDATE backup_version SET accepted = ?3 WHERE version = ?1 AND public_key = ?2",
                params![version, public_key.as_slice(), most],
            )?;
            Ok(changed > 0)
        })
    }

    /// Says that a version will not be unlocked. False if the vault knows no such version.
    pub(crate) fn give_up_version(&mut self, version: &str) -> Result<bool, VaultError> {
        self.write(|transaction, _| {
            let changed = transaction.execute(
                "UPDATE backup_version SET is_given_up = 1 WHERE version = ?1",
                [version],
            )?;
            Ok(changed > 0)
        })
    }

    /// The decryption keys kept here, with the row ids of their versions.
    pub(crate) fn decryption_keys(&self) -> Result<Vec<(i64, KeyBytes)>, VaultError> {
        let mut statement = self
            .inner
            .prepare_cached("SELECT id, version, sealed_key FROM backup_version WHERE sealed_key IS NOT NULL")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Vec<u8>>(2)?,
            ))
        })?;
        let mut keys = Vec::new();
        for row in rows {
            let (id, version, sealed) = row?;
            let key = self.keys.unseal(Sealed::DecryptionKey { version: &version }, &sealed)?;
            let key = key.as_slice().try_into().map_err(|_| VaultError::Unsealable)?;
            keys.push((id, Zeroizing::new(key)));
        }
        Ok(keys)
    }

    /// Keeps the decryption key of a version, if the vault can seal.
    pub(crate) fn keep_key(&mut self, version: &VersionRow, key: &KeyBytes) -> Result<(), VaultError> {
        self.write(|transaction, keys| seal_key(transaction, keys, version.id, &version.version, key))
    }

    /// Keeps the decryption key of another version for this one, too. Gives the version as it is then.
    pub(crate) fn adopt_key(&mut self, version: &VersionRow, key: &KeyBytes) -> Result<VersionRow, VaultError> {
        self.keep_key(version, key)?;
        self.version_by_id(version.id)?.ok_or(VaultError::Corrupt)
    }

    /// Makes a version the one to work on, unless there is one: an unlock may come before the first run.
    pub(crate) fn begin_with(&mut self, version: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE job SET current_version = ?1 WHERE current_version IS NULL",
                [version],
            )?;
            Ok(())
        })
    }
}

impl Writer {
    /// Notes what the server says of a version, current or not. Gives its row id: another one than before, if there is
    /// another backup under that name.
    pub(crate) fn note_version(&mut self, info: &VersionInfo) -> Result<i64, VaultError> {
        self.write(|transaction, _| note_version(transaction, info))
    }

    /// Makes the version that the server says is current the one to work on.
    pub(crate) fn begin_version(&mut self, info: &VersionInfo) -> Result<VersionRow, VaultError> {
        let id = self.write(|transaction, _| {
            let id = note_current_version(transaction, info)?;
            transaction.execute("UPDATE job SET current_version = ?1", [id])?;
            Ok(id)
        })?;
        self.reader().version_by_id(id)?.ok_or(VaultError::Corrupt)
    }

    /// Keeps the decryption key of another version for this one, too. Gives the version as it is then.
    pub(crate) fn adopt_key(&mut self, version: &VersionRow, key: &KeyBytes) -> Result<VersionRow, VaultError> {
        self.write(|transaction, keys| seal_key(transaction, keys, version.id, &version.version, key))?;
        self.reader().version_by_id(version.id)?.ok_or(VaultError::Corrupt)
    }

    /// Notes that it has been asked for since another one is current.
    pub(crate) fn mark_superseded(&mut self, id: i64) -> Result<(), VaultError> {
        self.set(id, "superseded = 1")
    }

    /// Notes that the server does not have the version any more.
    pub(crate) fn mark_gone(&mut self, id: i64) -> Result<(), VaultError> {
        self.set(id, "gone = 1")
    }

    /// Notes that an answer for everything has come to its well-formed end, and the mark under which it was asked for. False if the
    /// mark has moved since: then it shows what there was before, and what lacks has come since.
    pub(crate) fn mark_everything_read(&mut self, id: i64, under: AskedUnder) -> Result<bool, VaultError> {
        self.write(|transaction, _| {
            let noted = transaction.execute(
                "UPDATE backup_version SET everything_in = era, everything_names = names, failed_asked_in = era, cuts = 0,
                    failures = 0, fault = 0, failed_at_ms = 0, retry_at_ms = 0
                 WHERE id = ?1 AND era = ?2",
                [id, under.era],
            )?;
            if let (0, Some(count)) = (noted, under.count) {
                transaction.execute(
                    "UPDATE backup_version SET settled_in = ?2, settled_names = ?3, is_carried = 1
                     WHERE id = ?1 AND settled_in < ?2 AND names >= ?3",
                    [id, under.era, count.cast_signed()],
                )?;
            }
            Ok(noted > 0)
        })
    }

    /// Notes that failed entries have been asked for again in this era.
    pub(crate) fn mark_failed_asked(&mut self, id: i64) -> Result<(), VaultError> {
        self.set(id, "failed_asked_in = era")
    }

    /// Notes that the list of rooms has been made in this era.
    pub(crate) fn mark_rooms_listed(&mut self, id: i64, now_ms: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE backup_version SET rooms_listed_ms = ?2, rooms_listed_in = era WHERE id = ?1",
                [id, now_ms],
            )?;
            Ok(())
        })
    }

    /// Asks again for rooms that have not been read since the version was settled last.
    pub(crate) fn ask_again_since_it_was_settled(&mut self, id: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE room SET complete = 0 WHERE version = ?1
                 AND complete BETWEEN 1 AND (SELECT settled_in FROM backup_version WHERE id = ?1)",
                [id],
            )?;
            Ok(())
        })
    }

    /// Counts the names of a version from the beginning: what is here counts once an answer has it again. Every room is
    /// asked for again, unless everything comes at once.
    pub(crate) fn recount_names(&mut self, id: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| recount_names(transaction, id))
    }

    /// Notes that nothing is left to be asked for in that era. False if the mark has moved since.
    pub(crate) fn settle_version(&mut self, id: i64, era: i64, settled: Settled) -> Result<bool, VaultError> {
        self.write(|transaction, _| {
            let settled = transaction.execute(
                "UPDATE backup_version SET settled = ?3, settled_in = era, settled_names = names, cuts = 0,
                    shortfall = CASE WHEN ?3 = 3 THEN max(0, server_count - names) END,
                    short_looks = CASE WHEN ?3 = 3 AND shortfall >= max(0, server_count - names) THEN short_looks ELSE 0 END,
                    looked_at_ms = ?4
                 WHERE id = ?1 AND era = ?2 AND gone = 0",
                params![id, era, settled.code(), wall_ms()],
            )?;
            if settled > 0 {
                // What was wanted is here.
                transaction.execute("UPDATE room SET position = NULL WHERE version = ?1 AND position < 0", [id])?;
                forget_confirmations(transaction, id)?;
            }
            Ok(settled > 0)
        })
    }

    /// Counts a look at the mark of a version that is short.
    pub(crate) fn count_short_look(&mut self, id: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE backup_version SET short_looks = short_looks + 1, looked_at_ms = ?2 WHERE id = ?1 AND settled = 3",
                params![id, wall_ms()],
            )?;
            Ok(())
        })
    }

    /// Asks once more for everything of a version that is short, under the same mark.
    pub(crate) fn reopen_short(&mut self, id: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE backup_version SET settled = 0, everything_in = 0, rooms_listed_in = 0 WHERE id = ?1 AND settled = 3",
                [id],
            )?;
            recount_names(transaction, id)
        })
    }

    /// Notes that a request for everything does not come through, and when it may be tried again.
    pub(crate) fn rest_everything(&mut self, id: i64, fault: i64, wait: Duration) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            let now = wall_ms();
            transaction.execute(
                "UPDATE backup_version SET failures = failures + 1, fault = ?2, failed_at_ms = ?3, retry_at_ms = ?4
                 WHERE id = ?1",
                params![id, fault, now, now + wait.as_millis() as i64],
            )?;
            Ok(())
        })
    }

    /// Counts a request for everything that was cut, and the bytes that came in any.
    pub(crate) fn count_request(&mut self, id: i64, bytes: u64, cut: bool) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE backup_version SET bytes = bytes + ?2, cuts = cuts + ?3 WHERE id = ?1",
                params![id, bytes.cast_signed(), cut],
            )?;
            Ok(())
        })
    }

    fn set(&mut self, id: i64, assignment: &str) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(&format!("UPDATE backup_version SET {assignment} WHERE id = ?1"), [id])?;
            Ok(())
        })
    }
}

/// A version that is current is not superseded, or not any more: its count is its own.
fn note_current_version(transaction: &Transaction<'_>, info: &VersionInfo) -> Result<i64, VaultError> {
    let sql = "UPDATE backup_version SET superseded = 0 WHERE version = ?1";
    transaction.execute(sql, [&info.version])?;
    note_version(transaction, info)
}

/// Another mark than at the last look means that there may be more to fetch; of a version that is superseded only the etag
/// counts, as some servers add the keys of others to its count. Another public key under the same name means another backup:
/// the one that had the name is gone. Where no key is told, now or then, nothing speaks for another one. Gives the row id.
fn note_version(transaction: &Transaction<'_>, info: &VersionInfo) -> Result<i64, VaultError> {
    let public_key = info.public_key.as_ref().map(|key| key.as_slice());
    let known: Option<(i64, bool)> = transaction
        .prepare_cached(
            "SELECT id, etag <> ?3 OR (NOT superseded AND (server_count <> ?4 OR has_count <> ?5)) FROM backup_version
             WHERE version = ?1 AND (?2 IS NULL OR public_key IS NULL OR public_key = ?2)
             ORDER BY public_key IS NULL, gone, id DESC LIMIT 1",
        )?
        .query_row(
            params![
                info.version,
                public_key,
                info.etag,
                info.count.unwrap_or(0).cast_signed(),
                info.count.is_some()
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let id = match known {
        Some((id, has_moved)) => {
            if has_moved {
                move_mark(transaction, id, info)?;
            }
            transaction.execute(
                "UPDATE backup_version SET gone = 0, algorithm = ?2, public_key = ifnull(public_key, ?3) WHERE id = ?1",
                params![id, info.algorithm, public_key],
            )?;
            id
        }
        None => {
            transaction.execute(
                "INSERT INTO backup_version (version, algorithm, public_key, server_count, has_count, etag, era_began)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(id), 0) FROM entry))",
                params![
                    info.version,
                    info.algorithm,
                    public_key,
                    info.count.unwrap_or(0).cast_signed(),
                    info.count.is_some(),
                    info.etag
                ],
            )?;
            transaction.last_insert_rowid()
        }
    };
    transaction.execute(
        "UPDATE backup_version SET gone = 1 WHERE version = ?1 AND id <> ?2 AND gone = 0",
        params![info.version, id],
    )?;
    Ok(id)
}

/// Begins another era of a version.
fn move_mark(transaction: &Transaction<'_>, id: i64, info: &VersionInfo) -> Result<(), VaultError> {
    let number = |row: &Row<'_>, column| {
        row.get::<_, Option<i64>>(column)
            .map(|number| number.map(i64::cast_unsigned))
    };
    let (names, settled_names, old_count) = transaction.query_row(
        "SELECT names, CASE WHEN settled THEN settled_names END, CASE WHEN has_count THEN server_count END
         FROM backup_version WHERE id = ?1",
        [id],
        |row| Ok((number(row, 0)?.unwrap_or(0), number(row, 1)?, number(row, 2)?)),
    )?;
    transaction.execute(
        "UPDATE backup_version SET era = era + 1, settled = 0, etag = ?2, server_count = ?3, has_count = ?4,
            is_carried = names > 0, era_began = (SELECT coalesce(max(id), 0) FROM entry)
         WHERE id = ?1",
        params![
            id,
            info.etag,
            info.count.unwrap_or(0).cast_signed(),
            info.count.is_some()
        ],
    )?;
    if !names_are_carried(names, settled_names, old_count, info.count) {
        recount_names(transaction, id)?;
    }
    Ok(())
}

fn recount_names(transaction: &Transaction<'_>, id: i64) -> Result<(), VaultError> {
    forget_confirmations(transaction, id)?;
    transaction.execute(
        "UPDATE backup_version SET names = 0, is_carried = 0, confirm_through =
            max((SELECT coalesce(max(id), 0) FROM entry), (SELECT coalesce(max(entry), 0) FROM trimmed))
         WHERE id = ?1",
        [id],
    )?;
    transaction.execute(
        "UPDATE room SET complete = 0 WHERE version = ?1 AND complete <> 0",
        [id],
    )?;
    Ok(())
}

fn forget_confirmations(transaction: &Transaction<'_>, id: i64) -> Result<(), VaultError> {
    let confirms: i64 = transaction.query_row(
        "SELECT confirm_through FROM backup_version WHERE id = ?1",
        [id],
        |row| row.get(0),
    )?;
    if confirms == 0 {
        return Ok(());
    }
    transaction.execute(
        "DELETE FROM confirmed WHERE EXISTS (SELECT 1 FROM (SELECT id, room FROM entry WHERE id = confirmed.entry
            UNION ALL SELECT entry, room FROM trimmed WHERE entry = confirmed.entry) AS known
            JOIN room ON room.id = known.room WHERE room.version = ?1)",
        [id],
    )?;
    transaction.execute("UPDATE backup_version SET confirm_through = 0 WHERE id = ?1", [id])?;
    Ok(())
}

/// Keeps a key, if the vault can seal; what was passed over for want of it is looked at again.
fn seal_key(
    transaction: &Transaction<'_>,
    keys: &VaultKeys,
    id: i64,
    version: &str,
    key: &KeyBytes,
) -> Result<(), VaultError> {
    if keys.can_seal() {
        let sealed = keys.seal(Sealed::DecryptionKey { version }, key.as_slice());
        transaction.execute(
            "UPDATE backup_version SET sealed_key = ?2 WHERE id = ?1",
            params![id, sealed],
        )?;
    }
    transaction.execute("UPDATE backup_version SET is_given_up = 0 WHERE id = ?1", [id])?;
    transaction.execute(
        "UPDATE job SET opened_through = 0, delivered_through = 0, trimmed_through = 0",
        [],
    )?;
    Ok(())
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    let number = |name| row.get::<_, i64>(name).map(i64::cast_unsigned);
    let era: i64 = row.get("era")?;
    let is_in_era = |name| row.get::<_, i64>(name).map(|noted| noted == era);
    let has_count: bool = row.get("has_count")?;
    Ok(VersionRow {
        id: row.get("id")?,
        version: row.get("version")?,
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
