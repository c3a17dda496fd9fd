//! Records what the server reports about its backup versions. The etag and the count of a version are its mark; a
//! new era begins when the mark changes.

use rusqlite::{OptionalExtension, Row, params};

use super::{read::version_by_id, row::VersionRow};
use crate::{
    backup::{completeness::names_are_carried, version::VersionInfo},
    ids::VersionRowId,
    vault::{VaultError, VaultTx},
};

impl VaultTx<'_> {
    /// Records what the server reports about a version that was requested by its number, whether it is current or
    /// not. Returns the updated version, which is another row than before if another backup has the number now.
    pub(crate) fn note_version(&self, info: &VersionInfo) -> Result<VersionRow, VaultError> {
        let id = note_version(self, info)?;
        version_by_id(self, id)?.ok_or(VaultError::Corrupt)
    }

    /// Records what the server reports about its current version. Returns the updated version.
    pub(crate) fn note_current_version(&self, info: &VersionInfo) -> Result<VersionRow, VaultError> {
        // The current version is not superseded, even if it was before: its count includes only its own keys.
        let sql = "UPDATE backup_version SET superseded = 0 WHERE version = ?1";
        self.execute(sql, [&info.version])?;
        self.note_version(info)
    }

    /// Makes the server's current version the one to work on. Returns the updated version.
    pub(crate) fn begin_version(&self, info: &VersionInfo) -> Result<VersionRow, VaultError> {
        let version = self.note_current_version(info)?;
        self.execute("UPDATE job SET current_version = ?1", [version.id])?;
        Ok(version)
    }

    /// Makes a version the one to work on, unless another one is set already. An unlock needs this, because it may
    /// come before the first run.
    pub(crate) fn begin_with(&self, version: VersionRowId) -> Result<(), VaultError> {
        self.execute(
            "UPDATE job SET current_version = ?1 WHERE current_version IS NULL",
            [version],
        )?;
        Ok(())
    }
}

/// Records what the server reports about a version. Returns the row id of the version.
///
/// If the mark differs from the last one, there may be more to fetch. Only the etag of a superseded version counts,
/// because some servers add the keys of other versions to its count. Another public key under the same number means
/// another backup: the one that had the number is gone. If the public key is not reported now, or was not reported
/// before, the backup is taken to be the same.
fn note_version(tx: &VaultTx<'_>, info: &VersionInfo) -> Result<VersionRowId, VaultError> {
    let public_key = info.public_key.as_ref().map(|key| key.as_slice());
    let known: Option<(VersionRowId, bool)> = tx
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
                move_mark(tx, id, info)?;
            }
            tx.execute(
                "UPDATE backup_version SET gone = 0, algorithm = CASE WHEN public_key IS NULL THEN ?2 ELSE algorithm END,
                    public_key = ifnull(public_key, ?3) WHERE id = ?1",
                params![id, info.algorithm.name(), public_key],
            )?;
            id
        }
        None => {
            tx.execute(
                "INSERT INTO backup_version (version, algorithm, public_key, server_count, has_count, etag, era_began)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(id), 0) FROM entry))",
                params![
                    info.version,
                    info.algorithm.name(),
                    public_key,
                    info.count.unwrap_or(0).cast_signed(),
                    info.count.is_some(),
                    info.etag
                ],
            )?;
            VersionRowId(tx.last_insert_rowid())
        }
    };
    tx.execute(
        "UPDATE backup_version SET gone = 1 WHERE version = ?1 AND id <> ?2 AND gone = 0",
        params![info.version, id],
    )?;
    Ok(id)
}

/// Begins a new era of a version, with the mark in `info`. Restarts the count of names if the names counted so far
/// no longer hold.
fn move_mark(tx: &VaultTx<'_>, id: VersionRowId, info: &VersionInfo) -> Result<(), VaultError> {
    let number = |row: &Row<'_>, column| {
        row.get::<_, Option<i64>>(column)
            .map(|number| number.map(i64::cast_unsigned))
    };
    let (names, settled_names, old_count) = tx.query_row(
        "SELECT names, CASE WHEN settled THEN settled_names END, CASE WHEN has_count THEN server_count END
         FROM backup_version WHERE id = ?1",
        [id],
        |row| Ok((number(row, 0)?.unwrap_or(0), number(row, 1)?, number(row, 2)?)),
    )?;
    tx.execute(
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
    let is_mirrored: bool = tx.query_row("SELECT is_mirrored FROM backup_version WHERE id = ?1", [id], |row| {
        row.get(0)
    })?;
    if is_mirrored {
        // What the server had under the earlier mark, it may have replaced.
        tx.execute("DELETE FROM served", [])?;
    }
    if is_mirrored || !names_are_carried(names, settled_names, old_count, info.count) {
        recount_names(tx, id)?;
    }
    Ok(())
}

pub(in crate::vault) fn recount_names(tx: &VaultTx<'_>, id: VersionRowId) -> Result<(), VaultError> {
    forget_confirmations(tx, id)?;
    tx.execute(
        "UPDATE backup_version SET names = 0, is_carried = 0, confirm_through =
            max((SELECT coalesce(max(id), 0) FROM entry), (SELECT coalesce(max(entry), 0) FROM trimmed))
         WHERE id = ?1",
        [id],
    )?;
    tx.execute(
        "UPDATE room SET complete = 0 WHERE version = ?1 AND complete <> 0",
        [id],
    )?;
    Ok(())
}

pub(super) fn forget_confirmations(tx: &VaultTx<'_>, id: VersionRowId) -> Result<(), VaultError> {
    let confirms: i64 = tx.query_row(
        "SELECT confirm_through FROM backup_version WHERE id = ?1",
        [id],
        |row| row.get(0),
    )?;
    if confirms == 0 {
        return Ok(());
    }
    tx.execute(
        "DELETE FROM confirmed WHERE EXISTS (SELECT 1 FROM (SELECT id, room FROM entry WHERE id = confirmed.entry
            UNION ALL SELECT entry, room FROM trimmed WHERE entry = confirmed.entry) AS known
            JOIN room ON room.id = known.room WHERE room.version = ?1)",
        [id],
    )?;
    tx.execute("UPDATE backup_version SET confirm_through = 0 WHERE id = ?1", [id])?;
    Ok(())
}
