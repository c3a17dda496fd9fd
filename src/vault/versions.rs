//! Backup versions: what the server said of each, how far each is, and its decryption key.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use zeroize::Zeroizing;

use super::{
    Connection, VaultError, Writer,
    seal::{Sealed, VaultKeys},
};
use crate::{backup::version::VersionInfo, secret::KeyBytes};

/// One backup version as the vault knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRow {
    pub(crate) id: i64,
    pub(crate) version: String,
    pub(crate) public_key: Option<[u8; 32]>,
    pub(crate) server_count: u64,
    /// Every entry of the version has been fetched.
    pub(crate) complete: bool,
    /// The era in which it was so last; 0 for never.
    pub(crate) complete_in: i64,
    /// Entries that were here then, and not on the server.
    pub(crate) surplus: u64,
    /// The server does not have it any more.
    pub(crate) gone: bool,
    /// It has been asked for since another one is current.
    pub(crate) superseded: bool,
    /// Rises when the server's etag or count is another one.
    pub(crate) era: i64,
    /// When the list of rooms was made, in milliseconds since 1970.
    pub(crate) rooms_listed_ms: Option<i64>,
    /// How often a request for everything was cut.
    pub(crate) cuts: u32,
    pub(crate) bytes: u64,
    pub(crate) has_key: bool,
    pub(crate) counts: Counts,
}

/// How many keys of a version are how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) fetched: u64,
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    pub(crate) conflicts: u64,
    /// Of these, opened and not delivered.
    pub(crate) withheld: u64,
    pub(crate) delivered: u64,
    pub(crate) refused: u64,
}

impl Counts {
    /// Fetched, but neither opened nor failed.
    pub(crate) fn unopened(&self) -> u64 {
        self.fetched.saturating_sub(self.opened + self.failed)
    }
}

impl VersionRow {
    /// Keys that the server has, by its count, and the vault has not.
    pub(crate) fn lacks(&self) -> u64 {
        self.server_count
            .saturating_sub(self.counts.fetched.saturating_sub(self.surplus))
    }
}

const COLUMNS: &str = "id, version, public_key, server_count, complete, cuts, bytes, sealed_key IS NOT NULL,
    fetched, opened, failed, conflicts, delivered, refused, gone, era, rooms_listed_ms, withheld, complete_in,
    surplus, superseded";

impl Connection {
    /// The version that the last run worked on.
    pub(crate) fn current_version(&self) -> Result<Option<VersionRow>, VaultError> {
        let sql =
            format!("SELECT {COLUMNS} FROM backup_version WHERE id = (SELECT current_version FROM job WHERE id = 1)");
        Ok(self.inner.prepare_cached(&sql)?.query_row([], version_row).optional()?)
    }

    pub(crate) fn version_by_id(&self, id: i64) -> Result<Option<VersionRow>, VaultError> {
        let sql = format!("SELECT {COLUMNS} FROM backup_version WHERE id = ?1");
        Ok(self
            .inner
            .prepare_cached(&sql)?
            .query_row([id], version_row)
            .optional()?)
    }

    /// All versions that were ever seen, the oldest first.
    pub(crate) fn versions(&self) -> Result<Vec<VersionRow>, VaultError> {
        let mut statement = self
            .inner
            .prepare_cached(&format!("SELECT {COLUMNS} FROM backup_version ORDER BY id"))?;
        let rows = statement.query_map([], version_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes what the server says of its current version, beside a run. Whether that is news is the caller's to see.
    pub(crate) fn note_version(&mut self, info: &VersionInfo) -> Result<VersionRow, VaultError> {
        let id = self.write(|transaction, _| note_version(transaction, info))?;
        self.version_by_id(id)?.ok_or(VaultError::Corrupt)
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

    /// Keeps the decryption key of a version, if the vault can seal; makes the version known if it was not.
    /// Gives its row id.
    pub(crate) fn keep_decryption_key(&mut self, info: &VersionInfo, key: &KeyBytes) -> Result<i64, VaultError> {
        self.write(|transaction, keys| {
            let id = note_version(transaction, info)?;
            seal_key(transaction, keys, id, &info.version, key)?;
            transaction.execute("UPDATE job SET current_version = ?1", [id])?;
            Ok(id)
        })
    }

    /// Keeps the decryption key of another version for this one, too. Gives the version as it is then.
    pub(crate) fn adopt_key(&mut self, version: &VersionRow, key: &KeyBytes) -> Result<VersionRow, VaultError> {
        self.write(|transaction, keys| seal_key(transaction, keys, version.id, &version.version, key))?;
        self.version_by_id(version.id)?.ok_or(VaultError::Corrupt)
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
            let id = note_version(transaction, info)?;
            transaction.execute("UPDATE job SET current_version = ?1", [id])?;
            transaction.execute("UPDATE backup_version SET superseded = 0 WHERE id = ?1", [id])?;
            Ok(id)
        })?;
        self.reader().version_by_id(id)?.ok_or(VaultError::Corrupt)
    }

    /// Keeps the decryption key of another version for this one, too. Gives the version as it is then.
    pub(crate) fn adopt_key(&mut self, version: &VersionRow, key: &KeyBytes) -> Result<VersionRow, VaultError> {
        self.write(|transaction, keys| seal_key(transaction, keys, version.id, &version.version, key))?;
        self.reader().version_by_id(version.id)?.ok_or(VaultError::Corrupt)
    }

    /// Says that it has been asked for since another one is current.
    pub(crate) fn is_superseded(&mut self, id: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute("UPDATE backup_version SET superseded = 1 WHERE id = ?1", [id])?;
            Ok(())
        })
    }

    /// Says that the server does not have the version any more.
    pub(crate) fn version_is_gone(&mut self, id: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute("UPDATE backup_version SET gone = 1 WHERE id = ?1", [id])?;
            Ok(())
        })
    }

    /// Says that the list of rooms has been made.
    pub(crate) fn rooms_are_listed(&mut self, id: i64, now_ms: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE backup_version SET rooms_listed_ms = ?2 WHERE id = ?1",
                [id, now_ms],
            )?;
            Ok(())
        })
    }

    /// Rooms that have not been read since the version was complete last are to be asked for again.
    pub(crate) fn ask_again_since_it_was_complete(&mut self, id: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE room SET complete = 0 WHERE version = ?1
                 AND complete BETWEEN 1 AND (SELECT complete_in FROM backup_version WHERE id = ?1)",
                [id],
            )?;
            Ok(())
        })
    }

    /// Says that every entry is here that the version had in that era. False if it has moved on since.
    pub(crate) fn complete_version(&mut self, id: i64, era: i64) -> Result<bool, VaultError> {
        self.write(|transaction, _| {
            let completed = transaction.execute(
                "UPDATE backup_version SET complete = 1, complete_in = era, surplus = max(0, fetched - server_count),
                    cuts = 0
                 WHERE id = ?1 AND era = ?2 AND gone = 0",
                [id, era],
            )?;
            if completed > 0 {
                // What was wanted is here.
                transaction.execute(
                    "UPDATE room SET position = NULL WHERE version = ?1 AND position < 0",
                    [id],
                )?;
            }
            Ok(completed > 0)
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
}

/// Another etag or count than at the last look means that there is more to fetch. Another public key under the same name
/// means another backup: the one that had the name is gone. Where no key is told, now or then, nothing speaks for another
/// one. Gives the row id.
fn note_version(transaction: &Transaction<'_>, info: &VersionInfo) -> Result<i64, VaultError> {
    let public_key = info.public_key.as_ref().map(|key| key.as_slice());
    let known: Option<i64> = transaction
        .prepare_cached(
            "SELECT id FROM backup_version
             WHERE version = ?1 AND (?2 IS NULL OR public_key IS NULL OR public_key = ?2)
             ORDER BY public_key IS NULL, gone, id DESC LIMIT 1",
        )?
        .query_row(params![info.version, public_key], |row| row.get(0))
        .optional()?;
    let (count, etag) = (info.count.cast_signed(), &info.etag);
    let id = match known {
        Some(id) => {
            transaction.execute(
                "UPDATE backup_version SET
                    complete = complete AND etag = ?2 AND server_count = ?3,
                    era = era + (etag <> ?2 OR server_count <> ?3),
                    gone = 0, etag = ?2, server_count = ?3, algorithm = ?4, public_key = ifnull(public_key, ?5)
                 WHERE id = ?1",
                params![id, etag, count, info.algorithm, public_key],
            )?;
            id
        }
        None => {
            transaction.execute(
                "INSERT INTO backup_version (version, algorithm, public_key, server_count, etag)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![info.version, info.algorithm, public_key, count, etag],
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
    transaction.execute(
        "UPDATE job SET opened_through = 0, delivered_through = 0, trimmed_through = 0",
        [],
    )?;
    Ok(())
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
    Ok(VersionRow {
        id: row.get(0)?,
        version: row.get(1)?,
        public_key: row.get::<_, Option<Vec<u8>>>(2)?.and_then(|key| key.try_into().ok()),
        server_count: number(3)?,
        complete: row.get(4)?,
        cuts: row.get(5)?,
        bytes: number(6)?,
        has_key: row.get(7)?,
        gone: row.get(14)?,
        era: row.get(15)?,
        rooms_listed_ms: row.get(16)?,
        complete_in: row.get(18)?,
        surplus: number(19)?,
        superseded: row.get(20)?,
        counts: Counts {
            fetched: number(8)?,
            opened: number(9)?,
            failed: number(10)?,
            conflicts: number(11)?,
            withheld: number(17)?,
            delivered: number(12)?,
            refused: number(13)?,
        },
    })
}
