//! What the app says of backup versions.

use rusqlite::params;

use crate::vault::{Connection, VaultError};

impl Connection {
    /// Notes a version of which only the number is known: the app names it.
    pub(crate) fn include_version(&mut self, version: &str) -> Result<(), VaultError> {
        self.write(|transaction| {
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
        self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE backup_version SET accepted = ?3 WHERE version = ?1 AND public_key = ?2",
                params![version, public_key.as_slice(), most],
            )?;
            Ok(changed > 0)
        })
    }

    /// Says that a version will not be unlocked. False if the vault knows no such version.
    pub(crate) fn give_up_version(&mut self, version: &str) -> Result<bool, VaultError> {
        self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE backup_version SET is_given_up = 1 WHERE version = ?1",
                [version],
            )?;
            Ok(changed > 0)
        })
    }
}
