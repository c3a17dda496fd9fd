//! Reads backup versions.

use rusqlite::OptionalExtension;

use super::row::{VersionRow, version_row};
use crate::{
    backup::BackupOrigin,
    ids::VersionRowId,
    vault::{Connection, VaultError},
};

impl Connection {
    /// Returns the version that the last run worked on.
    pub(crate) fn current_version(&self) -> Result<Option<VersionRow>, VaultError> {
        version_where(&self.inner, "id = (SELECT current_version FROM job WHERE id = 1)", [])
    }

    pub(crate) fn version_by_id(&self, id: VersionRowId) -> Result<Option<VersionRow>, VaultError> {
        version_by_id(&self.inner, id)
    }

    /// Returns the origin that room keys of a version report. It never says that the version is current, because
    /// that is not known here.
    pub(crate) fn origin_of(&self, id: VersionRowId) -> Result<BackupOrigin, VaultError> {
        let origin = self.last_known_origin(id)?.ok_or(VaultError::Corrupt)?;
        Ok(origin.with_current(false))
    }

    /// Returns the origin that room keys of a version report. It says that the version is current if the last run
    /// worked on it. `None` if the public key is not known, because then no key can be opened.
    pub(crate) fn last_known_origin(&self, id: VersionRowId) -> Result<Option<BackupOrigin>, VaultError> {
        let mut origin = self.inner.prepare_cached(
            "SELECT version, public_key, id IS (SELECT current_version FROM job WHERE id = 1)
             FROM backup_version WHERE id = ?1",
        )?;
        let origin = origin.query_row([id], |row| {
            let (version, public_key): (String, Option<[u8; 32]>) = (row.get(0)?, row.get(1)?);
            let is_current = row.get(2)?;
            Ok(public_key.map(|key| BackupOrigin::of(&version, &key).with_current(is_current)))
        });
        Ok(origin.optional()?.flatten())
    }

    /// Returns all versions that were ever seen, the oldest first.
    pub(crate) fn versions(&self) -> Result<Vec<VersionRow>, VaultError> {
        let mut statement = self
            .inner
            .prepare_cached("SELECT *, sealed_key IS NOT NULL AS has_key FROM backup_version ORDER BY id")?;
        let rows = statement.query_map([], version_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the row id of each version, with the number of its keys that are still to be decrypted
    /// (`KeyCounts::awaiting_key`).
    pub(crate) fn keys_awaiting_key(&self, has_sink: bool) -> Result<Vec<(VersionRowId, u64)>, VaultError> {
        let sql = "SELECT id, max(0, fetched - opened - failed)
                        + iif(?1, max(0, opened - delivered - refused - withheld), 0)
                   FROM backup_version";
        let mut statement = self.inner.prepare_cached(sql)?;
        let rows = statement.query_map([has_sink], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the versions that have something left to ask for, the oldest first.
    pub(crate) fn versions_to_fetch(&self) -> Result<Vec<VersionRow>, VaultError> {
        let mut open = Vec::new();
        for version in self.versions()? {
            if version.is_open() || self.has_failures_to_ask(&version)? {
                open.push(version);
            }
        }
        Ok(open)
    }
}

/// Reads one version, inside a transaction or outside one.
pub(super) fn version_by_id(
    connection: &rusqlite::Connection,
    id: VersionRowId,
) -> Result<Option<VersionRow>, VaultError> {
    version_where(connection, "id = ?1", [id])
}

fn version_where(
    connection: &rusqlite::Connection,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> Result<Option<VersionRow>, VaultError> {
    let sql = format!("SELECT *, sealed_key IS NOT NULL AS has_key FROM backup_version WHERE {condition}");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row(parameters, version_row)
        .optional()?)
}
