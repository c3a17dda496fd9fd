//! The index from a session's hash to its entries, in two levels.
//!
//! The hashes are as good as random: in one tree every new one lands on another page, and with a large backup each
//! transaction writes nearly all of the tree. So new ones go into a small tree, which is merged into the large one, in
//! order, once in a while: a third of the bytes at 500,000 keys.

use rusqlite::{Statement, Transaction};

use super::VaultError;

/// Finds the entries of a hash, `?1`.
pub(super) const ENTRIES_OF_HASH: &str = "SELECT entry FROM session_index WHERE hash = ?1
     UNION ALL SELECT entry FROM session_index_recent WHERE hash = ?1";
/// Rows of the small tree from which on it is merged: a megabyte.
const MOST_RECENT: i64 = 32_000;

/// The index, for many entries in one transaction.
pub(super) struct SessionIndex<'a> {
    find: Statement<'a>,
    add: Statement<'a>,
}

impl<'a> SessionIndex<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>) -> Result<Self, VaultError> {
        Ok(Self {
            find: transaction.prepare(ENTRIES_OF_HASH)?,
            add: transaction.prepare("INSERT INTO session_index_recent (hash, entry) VALUES (?1, ?2)")?,
        })
    }

    /// The entries of a hash: those of the session, and seldom of another one with the same hash.
    pub(super) fn entries(&mut self, hash: i64) -> Result<Vec<i64>, VaultError> {
        let rows = self.find.query_map([hash], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn add(&mut self, hash: i64, entry: i64) -> Result<(), VaultError> {
        self.add.execute([hash, entry])?;
        Ok(())
    }
}

/// Merges the small tree into the large one if it has grown enough.
pub(super) fn merge_if_due(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    let recent: i64 = transaction
        .prepare_cached("SELECT count(*) FROM session_index_recent")?
        .query_row([], |row| row.get(0))?;
    if recent < MOST_RECENT {
        return Ok(());
    }
    // Row by row: in one statement, SQLite would keep what every page was before in memory, to take it back.
    let mut read = transaction.prepare_cached("SELECT hash, entry FROM session_index_recent ORDER BY hash, entry")?;
    let mut write = transaction.prepare_cached("INSERT INTO session_index (hash, entry) VALUES (?1, ?2)")?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        let (hash, entry): (i64, i64) = (row.get(0)?, row.get(1)?);
        write.execute([hash, entry])?;
    }
    drop(rows);
    transaction.execute("DELETE FROM session_index_recent", [])?;
    Ok(())
}
