//! Keeps track of which entries of one version the server still has as they are in the vault. Otherwise the vault only
//! knows that the server has had them: another device may have replaced them since.
//!
//! The version to which the backup moves is mirrored while it moves. The record is cleared before each time it is
//! read back, and every answer confirms the entries that it contains byte for byte.

use super::{Connection, VaultError, VaultTx, versions::recount_names};
use crate::ids::{EntryId, VersionRowId};

impl Connection {
    /// Whether the server still has this entry of the mirrored version.
    pub(crate) fn is_served(&self, entry: EntryId) -> Result<bool, VaultError> {
        let sql = "SELECT 1 FROM served WHERE entry = ?1";
        Ok(self.inner.prepare_cached(sql)?.exists([entry])?)
    }
}

impl VaultTx<'_> {
    /// Makes runs read a version from the beginning, and records from now on what the server has of it.
    pub(crate) fn begin_mirror(&self, version: VersionRowId) -> Result<(), VaultError> {
        self.end_mirror()?;
        self.execute(
            "UPDATE backup_version SET is_mirrored = 1, era = era + 1, settled = 0, everything_in = 0, rooms_listed_in = 0
             WHERE id = ?1",
            [version],
        )?;
        recount_names(self, version)
    }

    /// Ends the record.
    pub(crate) fn end_mirror(&self) -> Result<(), VaultError> {
        self.execute("UPDATE backup_version SET is_mirrored = 0 WHERE is_mirrored", [])?;
        self.execute("DELETE FROM served", [])?;
        Ok(())
    }
}
