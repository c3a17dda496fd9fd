//! The entries that are not in a run yet: as the vault has them, and as one run of the download knows them.

use rusqlite::{Connection, Transaction};

use super::{MOST_RECENT, Pair, VaultError, filter::SessionFilter, runs};
use crate::{ids::EntryId, vault::seal::NameHash};

/// Size of a hash in bytes.
const HASH: usize = 8;
/// Transactions, and recent hashes, that a look-up may have to read through once everything has been fetched.
const FEW_ROWS: i64 = 16;
const FEW_HASHES: i64 = 1_000;

/// The recent index entries, as one run knows them.
#[derive(Default)]
pub(in crate::vault) struct RecentSessions {
    /// In ascending order.
    pub(super) sorted: Vec<Pair>,
    /// The sessions that are in runs. `None` if this was not worth reading all of them.
    in_runs: Option<SessionFilter>,
    /// The number of inserting transactions outside the run that are included in this.
    inserts_beside: i64,
}

impl RecentSessions {
    /// Reads the recent entries.
    pub(in crate::vault) fn read(connection: &Connection) -> Result<Self, VaultError> {
        let mut sorted = Vec::new();
        scan(connection, |hash, entry| sorted.push((hash, entry)))?;
        sorted.sort_unstable();
        Ok(Self {
            sorted,
            in_runs: None,
            inserts_beside: inserts_beside(connection)?,
        })
    }

    /// Makes look-ups of new sessions cheap, for a caller that has thousands of them. Reads 16 bytes for each entry in
    /// the vault.
    pub(in crate::vault) fn with_filter(mut self, connection: &Connection) -> Result<Self, VaultError> {
        let mut filter = SessionFilter::default();
        runs::each(connection, |hash| filter.add(NameHash(hash)))?;
        self.in_runs = Some(filter);
        Ok(self)
    }

    /// Whether this is still the state of the vault: nothing was inserted outside the run since this was read.
    pub(in crate::vault) fn is_of(&self, transaction: &Transaction<'_>) -> Result<bool, VaultError> {
        Ok(self.inserts_beside == inserts_beside(transaction)?)
    }

    /// Whether the session may be in a run, under any room.
    pub(super) fn may_be_in_runs(&self, name: NameHash) -> bool {
        self.in_runs.as_ref().is_none_or(|filter| filter.may_have(name))
    }

    /// Returns the pairs with a hash from `first` to `last`.
    pub(super) fn between(&self, first: i64, last: i64) -> impl Iterator<Item = Pair> {
        let begin = self.sorted.partition_point(|(other, _)| *other < first);
        let range = self.sorted[begin..].iter().take_while(move |(hash, _)| *hash <= last);
        range.copied()
    }

    /// Returns the recent entries of a session in a room.
    pub(in crate::vault) fn of_name(&self, name: NameHash) -> impl Iterator<Item = EntryId> {
        self.between(name.0, name.0).map(|(_, entry)| entry)
    }

    /// Whether so many more pairs are too many.
    pub(super) fn is_due_with(&self, added: usize) -> bool {
        self.sorted.len() + added >= MOST_RECENT
    }

    pub(super) fn add(&mut self, added: Vec<Pair>) {
        let already = self.sorted.len();
        self.sorted.reserve_exact(added.len());
        self.sorted.extend(added);
        self.sorted[already..].sort_unstable();
        // Both parts are sorted, and the stable sort merges them.
        self.sorted.sort();
    }

    /// Takes the pairs out, for a run.
    pub(super) fn take(&mut self) -> Vec<Pair> {
        let pairs = std::mem::take(&mut self.sorted);
        if let Some(filter) = &mut self.in_runs {
            for (hash, _) in &pairs {
                filter.add(NameHash(*hash));
            }
        }
        pairs
    }
}

/// Stores the pairs of a transaction, whose entries are numbered consecutively.
pub(super) fn note(transaction: &Transaction<'_>, added: &[Pair]) -> Result<(), VaultError> {
    let first_entry = added.first().map(|(_, entry)| *entry);
    let hashes: Vec<u8> = added.iter().flat_map(|(hash, _)| hash.to_le_bytes()).collect();
    transaction
        .prepare_cached("INSERT INTO session_recent (first_entry, hashes) VALUES (?1, ?2)")?
        .execute((first_entry, hashes))?;
    Ok(())
}

/// Whether a look-up spends noticeable time on the recent entries.
pub(super) fn are_many(connection: &Connection) -> Result<bool, VaultError> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) > ?1 OR ifnull(sum(length(hashes)), 0) > ?2 FROM session_recent")?;
    Ok(statement.query_row([FEW_ROWS, FEW_HASHES * HASH as i64], |row| row.get(0))?)
}

/// Removes all recent entries from the vault, because they are in a run now.
pub(super) fn forget(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    transaction.execute("DELETE FROM session_recent", [])?;
    Ok(())
}

/// Calls `see` with the hash and the entry of each recent pair in the vault.
pub(super) fn scan(connection: &Connection, mut see: impl FnMut(i64, EntryId)) -> Result<(), VaultError> {
    let mut statement = connection.prepare_cached("SELECT first_entry, hashes FROM session_recent")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let first_entry: i64 = row.get(0)?;
        let hashes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        for (entry, hash) in (first_entry..).zip(hashes.as_chunks::<HASH>().0) {
            see(i64::from_le_bytes(*hash), EntryId(entry));
        }
    }
    Ok(())
}

fn inserts_beside(connection: &Connection) -> Result<i64, VaultError> {
    let mut statement = connection.prepare_cached("SELECT inserts_beside FROM job")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}
