//! Records what the app decides about backup versions.

use rusqlite::params;

use crate::vault::{Connection, VaultError};

impl Connection {
    /// Adds a version that the app names, of which only the number is known. If the vault already has the version,
    /// makes it one that runs may ask for again.
    pub(crate) fn include_version(&mut self, version: &str) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO backup_version (version, algorithm, server_count, has_count, etag)
                 SELECT ?1, '', 0, 0, '' WHERE NOT EXISTS (SELECT 1 FROM backup_version WHERE version = ?1)",
                [version],
            )?;
            // The version may exist on the server again, and may have changed.
            transaction.execute(
                "UPDATE backup_version SET gone = 0, superseded = 0 WHERE version = ?1 AND id =
                    (SELECT max(id) FROM backup_version WHERE version = ?1)",
                [version],
            )?;
            Ok(())
        })
    }

    /// Records how many keys of a version may be missing, as accepted by the app. Returns false if the vault knows
    /// no version with this number and public key.
    pub(crate) fn accept_shortfall(
        &mut self,
        version: &str,
        public_key: &[u8; 32],
        most: u64,
    ) -> Result<bool, VaultError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE backup_version SET accepted = ?3 WHERE version = ?1 AND public_key = ?2",
                params![version, public_key.as_slice(), most],
            )?;
            Ok(changed > 0)
        })
    }

    /// Records that the app gives up unlocking a version. Returns false if the vault knows no version with this
    /// number.
    pub(crate) fn give_up_version(&mut self, version: &str) -> Result<bool, VaultError> {
        self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE backup_version SET is_given_up = 1 WHERE version = ?1",
                [version],
            )?;
            Ok(changed > 0)
        })
    }

    /// Records that the server no longer has a version with this number.
    pub(crate) fn mark_number_gone(&mut self, version: &str) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute("UPDATE backup_version SET gone = 1 WHERE version = ?1", [version])?;
            Ok(())
        })
    }
}
