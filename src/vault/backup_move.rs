//! Stores how far the move of the backup to a new key has come. Contains only numbers and names; `reset::stored`
//! defines what they mean.

use std::fmt;

use rusqlite::{OptionalExtension, Row, params};
use zeroize::Zeroizing;

use super::{
    Connection, VaultError, VaultTx,
    seal::{Sealed, VaultKeys},
};
use crate::{
    backup::version::VersionMark,
    ids::{EntryId, VersionRowId},
    secret::KeyBytes,
};

/// The stored row: the move under way, or the last one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MoveRow {
    pub(crate) step: i64,
    pub(crate) stopped: i64,
    /// Whether nothing is left to do.
    pub(crate) is_over: bool,
    pub(crate) cause: i64,
    pub(crate) old_version: Option<String>,
    pub(crate) old_public_key: Option<[u8; 32]>,
    /// The new private key.
    pub(crate) key: KeyBytes,
    pub(crate) public_key: [u8; 32],
    pub(crate) first_storage: Option<String>,
    pub(crate) storage_key: Option<String>,
    pub(crate) posts: u32,
    pub(crate) posted: Vec<String>,
    pub(crate) new_version: Option<VersionRowId>,
    pub(crate) mark: VersionMark,
    pub(crate) sent_through: EntryId,
    pub(crate) announced: EntryId,
    pub(crate) announced_keys: u64,
    pub(crate) round: u32,
    pub(crate) sent_in_round: u64,
    pub(crate) sent: u64,
    pub(crate) unreplaced: u64,
    pub(crate) marked_through: EntryId,
}

impl fmt::Debug for MoveRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = formatter.debug_struct("MoveRow");
        row.field("step", &self.step).field("stopped", &self.stopped);
        row.finish_non_exhaustive()
    }
}

impl Connection {
    /// Returns the move under way, or the last one.
    pub(crate) fn backup_move(&self) -> Result<Option<MoveRow>, VaultError> {
        backup_move(&self.inner, &self.keys)
    }

    /// Whether a move is under way, which needs every key of the vault.
    pub(crate) fn has_move_under_way(&self) -> Result<bool, VaultError> {
        let sql = "SELECT 1 FROM backup_move WHERE NOT is_over";
        Ok(self.inner.prepare_cached(sql)?.exists([])?)
    }
}

impl VaultTx<'_> {
    /// Returns the move under way, or the last one.
    pub(crate) fn backup_move(&self) -> Result<Option<MoveRow>, VaultError> {
        backup_move(self, self.keys)
    }

    /// Stores a move in place of the last one. The vault must be able to seal.
    pub(crate) fn keep_move(&self, row: &MoveRow) -> Result<(), VaultError> {
        if !self.keys.can_seal() {
            return Err(VaultError::Unsealable);
        }
        self.execute(
            "INSERT OR REPLACE INTO backup_move (id, step, stopped, is_over, cause, old_version, old_public_key, sealed_key,
                public_key, first_storage, storage_key, posts, posted, new_version, etag, count, sent_through, announced,
                announced_keys, round, sent_in_round, sent, unreplaced, marked_through)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                ?22, ?23)",
            params![
                row.step,
                row.stopped,
                row.is_over,
                row.cause,
                row.old_version,
                row.old_public_key.as_ref().map(|key| key.as_slice()),
                self.keys.seal(Sealed::NewKey, row.key.as_slice()),
                row.public_key.as_slice(),
                row.first_storage,
                row.storage_key,
                row.posts,
                row.posted.join("\n"),
                row.new_version,
                row.mark.etag,
                row.mark.count.map(u64::cast_signed),
                row.sent_through,
                row.announced,
                row.announced_keys.cast_signed(),
                row.round,
                row.sent_in_round.cast_signed(),
                row.sent.cast_signed(),
                row.unreplaced.cast_signed(),
                row.marked_through,
            ],
        )?;
        Ok(())
    }

    /// Forgets the move, with its key.
    pub(crate) fn forget_move(&self) -> Result<(), VaultError> {
        self.execute("DELETE FROM backup_move", [])?;
        Ok(())
    }
}

fn backup_move(connection: &rusqlite::Connection, keys: &VaultKeys) -> Result<Option<MoveRow>, VaultError> {
    let sql = "SELECT * FROM backup_move WHERE id = 1";
    let read = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((read(row)?, row.get::<_, Vec<u8>>("sealed_key")?)))
        .optional()?;
    let Some((mut row, sealed)) = read else { return Ok(None) };
    let key = keys.unseal(Sealed::NewKey, &sealed)?;
    row.key = Zeroizing::new(key.as_slice().try_into().map_err(|_| VaultError::Unsealable)?);
    Ok(Some(row))
}

/// Reads a row, all but its key.
fn read(row: &Row<'_>) -> rusqlite::Result<MoveRow> {
    let number = |name| row.get::<_, i64>(name).map(i64::cast_unsigned);
    let posted: String = row.get("posted")?;
    Ok(MoveRow {
        step: row.get("step")?,
        stopped: row.get("stopped")?,
        is_over: row.get("is_over")?,
        cause: row.get("cause")?,
        old_version: row.get("old_version")?,
        old_public_key: row
            .get::<_, Option<Vec<u8>>>("old_public_key")?
            .and_then(|key| key.try_into().ok()),
        key: KeyBytes::default(),
        public_key: row.get("public_key")?,
        first_storage: row.get("first_storage")?,
        storage_key: row.get("storage_key")?,
        posts: row.get("posts")?,
        posted: posted.lines().map(str::to_owned).collect(),
        new_version: row.get("new_version")?,
        mark: VersionMark {
            count: row.get::<_, Option<i64>>("count")?.map(i64::cast_unsigned),
            etag: row.get("etag")?,
        },
        sent_through: row.get("sent_through")?,
        announced: row.get("announced")?,
        announced_keys: number("announced_keys")?,
        round: row.get("round")?,
        sent_in_round: number("sent_in_round")?,
        sent: number("sent")?,
        unreplaced: number("unreplaced")?,
        marked_through: row.get("marked_through")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{OpenVaultError, Protection, Vault};

    fn vault(protection: Protection) -> (tempfile::TempDir, Vault) {
        let directory = tempfile::tempdir().expect("a directory");
        let vault = Vault::open(directory.path(), "@a:x", "D", || Ok::<_, OpenVaultError>(protection));
        (directory, vault.expect("a vault"))
    }

    fn row() -> MoveRow {
        MoveRow {
            step: 3,
            stopped: 2,
            is_over: true,
            cause: 1,
            old_version: Some("7".to_owned()),
            old_public_key: Some([6; 32]),
            key: Zeroizing::new([4; 32]),
            public_key: [5; 32],
            first_storage: None,
            storage_key: Some("id".to_owned()),
            posts: 2,
            posted: vec!["8".to_owned(), "9".to_owned()],
            new_version: None,
            mark: VersionMark {
                count: Some(12),
                etag: "x".to_owned(),
            },
            sent_through: EntryId(90),
            announced: EntryId(95),
            announced_keys: 5,
            round: 1,
            sent_in_round: 80,
            sent: 170,
            unreplaced: 3,
            marked_through: EntryId(10),
        }
    }

    #[test]
    fn a_move_is_kept_with_its_key_sealed() {
        let (directory, vault) = vault(Protection::Key(Zeroizing::new([1; 32])));
        let mut connection = vault.connect().expect("a connection");
        assert_eq!(connection.backup_move().expect("a row"), None);
        for row in [
            row(),
            MoveRow {
                step: 4,
                mark: VersionMark::default(),
                ..row()
            },
        ] {
            connection.write(|tx| tx.keep_move(&row)).expect("it is kept");
            assert_eq!(connection.backup_move().expect("a row"), Some(row));
        }
        connection.write(|tx| tx.forget_move()).expect("it is forgotten");
        assert_eq!(connection.backup_move().expect("a row"), None);
        drop(connection);
        for file in std::fs::read_dir(directory.path()).expect("a directory") {
            let bytes = std::fs::read(file.expect("a file").path()).expect("it can be read");
            assert!(!bytes.windows(32).any(|window| window == [4; 32]), "the key is sealed");
        }
    }

    #[test]
    fn a_vault_that_cannot_seal_keeps_no_move() {
        let (_directory, vault) = vault(Protection::None);
        let mut connection = vault.connect().expect("a connection");
        let kept = connection.write(|tx| tx.keep_move(&row()));
        assert!(matches!(kept, Err(VaultError::Unsealable)));
    }
}
