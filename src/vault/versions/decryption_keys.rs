//! Stores the decryption keys of backup versions. They are always sealed.

use rusqlite::params;
use zeroize::Zeroizing;

use super::{read::version_by_id, row::VersionRow};
use crate::{
    ids::VersionRowId,
    secret::KeyBytes,
    vault::{Connection, VaultError, VaultTx, seal::Sealed},
};

impl Connection {
    /// Returns the decryption keys in the vault, with the row ids of their versions.
    pub(crate) fn decryption_keys(&self) -> Result<Vec<(VersionRowId, KeyBytes)>, VaultError> {
        let mut statement = self
            .inner
            .prepare_cached("SELECT id, version, sealed_key FROM backup_version WHERE sealed_key IS NOT NULL")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, VersionRowId>(0)?,
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
}

impl VaultTx<'_> {
    /// Stores the decryption key of a version if the vault can seal it, and makes runs examine all entries again,
    /// because the key may open some of them. The version is then no longer given up.
    pub(crate) fn keep_key(&self, version: &VersionRow, key: &KeyBytes) -> Result<(), VaultError> {
        let id = version.id;
        if self.keys.can_seal() {
            let name = Sealed::DecryptionKey {
                version: &version.version,
            };
            let sealed = self.keys.seal(name, key.as_slice());
            self.execute(
                "UPDATE backup_version SET sealed_key = ?2 WHERE id = ?1",
                params![id, sealed],
            )?;
        }
        self.execute("UPDATE backup_version SET is_given_up = 0 WHERE id = ?1", [id])?;
        self.execute(
            "UPDATE job SET opened_through = 0, delivered_through = 0, trimmed_through = 0",
            [],
        )?;
        Ok(())
    }

    /// Stores the decryption key of another version for this version too. Returns the updated version.
    pub(crate) fn adopt_key(&self, version: &VersionRow, key: &KeyBytes) -> Result<VersionRow, VaultError> {
        self.keep_key(version, key)?;
        version_by_id(self, version.id)?.ok_or(VaultError::Corrupt)
    }
}
