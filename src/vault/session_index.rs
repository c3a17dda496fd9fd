//! The index from a session's hash to its entries, in two levels.
//!
//! The hashes are as good as random: in a tree every new one lands on another page, and with a large backup each
//! transaction writes nearly all of it. So the hashes of a transaction become one short row, in the order of its entries,
//! and are merged into the tree, in the order of the hash, once in a while. A run keeps what is not merged in memory.

use std::collections::HashSet;

use rusqlite::{CachedStatement, Connection, Transaction};

use super::VaultError;

/// Hashes that wait to be merged: half a megabyte of memory, and what a look-up reads through at most.
const MOST_RECENT: usize = 32_000;
/// Bytes of a hash.
const HASH: usize = 8;
const IN_TREE: &str = "SELECT entry FROM session_index WHERE hash = ?1";

/// What is not yet in the tree, as one run knows it: hash and entry, in that order.
#[derive(Default)]
pub(super) struct RecentSessions {
    sorted: Vec<(i64, i64)>,
    /// The number of transactions beside a run that it knows of.
    inserts_beside: i64,
}

impl RecentSessions {
    pub(super) fn read(connection: &Connection) -> Result<Self, VaultError> {
        let mut sorted = Vec::new();
        scan(connection, |hash, entry| sorted.push((hash, entry)))?;
        sorted.sort_unstable();
        Ok(Self {
            sorted,
            inserts_beside: inserts_beside(connection)?,
        })
    }

    /// Whether it is as the vault has it: nothing came in beside the run since.
    pub(super) fn is_of(&self, transaction: &Transaction<'_>) -> Result<bool, VaultError> {
        Ok(self.inserts_beside == inserts_beside(transaction)?)
    }

    pub(super) fn entries(&self, hash: i64) -> impl Iterator<Item = i64> {
        let first = self.sorted.partition_point(|(other, _)| *other < hash);
        let same = self.sorted[first..].iter().take_while(move |(other, _)| *other == hash);
        same.map(|(_, entry)| *entry)
    }

    fn add(&mut self, added: Vec<(i64, i64)>) {
        self.sorted.extend(added);
        // Two runs, each in order: this merges them.
        self.sorted.sort();
    }
}

/// The entries of a hash that are in the tree.
pub(super) fn in_tree(connection: &Connection, hash: i64) -> Result<Vec<i64>, VaultError> {
    let mut find = connection.prepare_cached(IN_TREE)?;
    let rows = find.query_map([hash], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The entries of a hash: those of the session, and seldom of another one with the same hash.
pub(super) fn entries_of(connection: &Connection, hash: i64) -> Result<Vec<i64>, VaultError> {
    let mut entries = Vec::new();
    scan(connection, |other, entry| {
        if other == hash {
            entries.push(entry);
        }
    })?;
    // In this order a run that merges in between shows an entry twice, and never not at all.
    entries.extend(in_tree(connection, hash)?);
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}

/// The index, for the entries of one transaction.
pub(super) struct SessionIndex<'a> {
    /// None while the tree is empty: a first download of some size is spared the look-ups.
    tree: Option<CachedStatement<'a>>,
    recent: &'a RecentSessions,
    /// In the order of the entries, which follow each other.
    added: Vec<(i64, i64)>,
    added_hashes: HashSet<i64>,
}

impl<'a> SessionIndex<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>, recent: &'a RecentSessions) -> Result<Self, VaultError> {
        let is_empty = !transaction.prepare_cached("SELECT 1 FROM session_index")?.exists([])?;
        Ok(Self {
            tree: (!is_empty).then(|| transaction.prepare_cached(IN_TREE)).transpose()?,
            recent,
            added: Vec::new(),
            added_hashes: HashSet::new(),
        })
    }

    /// The entries of a hash: those of the session, and seldom of another one with the same hash.
    pub(super) fn entries(&mut self, hash: i64) -> Result<Vec<i64>, VaultError> {
        let mut entries: Vec<i64> = self.recent.entries(hash).collect();
        if let Some(tree) = &mut self.tree {
            let rows = tree.query_map([hash], |row| row.get(0))?;
            for entry in rows {
                entries.push(entry?);
            }
        }
        if self.added_hashes.contains(&hash) {
            let added = self.added.iter().filter(|(other, _)| *other == hash);
            entries.extend(added.map(|(_, entry)| entry));
        }
        Ok(entries)
    }

    pub(super) fn add(&mut self, hash: i64, entry: i64) {
        debug_assert!(self.added.last().is_none_or(|(_, last)| last + 1 == entry));
        self.added.push((hash, entry));
        self.added_hashes.insert(hash);
    }

    /// What was added, to be written.
    pub(super) fn into_added(self) -> Vec<(i64, i64)> {
        self.added
    }
}

/// Writes what was added; merges it all into the tree when it has grown enough. Gives what is recent from then on, once
/// the transaction is committed.
pub(super) fn write(
    transaction: &Transaction<'_>,
    mut recent: RecentSessions,
    mut added: Vec<(i64, i64)>,
) -> Result<RecentSessions, VaultError> {
    let Some((_, first_entry)) = added.first().copied() else {
        return Ok(recent);
    };
    let is_due = recent.sorted.len() + added.len() >= MOST_RECENT;
    if !is_due {
        let hashes: Vec<u8> = added.iter().flat_map(|(hash, _)| hash.to_le_bytes()).collect();
        transaction
            .prepare_cached("INSERT INTO session_recent (first_entry, hashes) VALUES (?1, ?2)")?
            .execute((first_entry, hashes))?;
    }
    added.sort_unstable();
    recent.add(added);
    if !is_due {
        return Ok(recent);
    }
    // Row by row: in one statement, SQLite would keep what every page was before in memory, to take it back.
    let mut insert = transaction.prepare_cached("INSERT INTO session_index (hash, entry) VALUES (?1, ?2)")?;
    for (hash, entry) in recent.sorted.drain(..) {
        insert.execute([hash, entry])?;
    }
    transaction.execute("DELETE FROM session_recent", [])?;
    Ok(recent)
}

/// Tells a run that it has to read anew what the tree has not.
pub(super) fn note_insert_beside(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    transaction.execute("UPDATE job SET inserts_beside = inserts_beside + 1", [])?;
    Ok(())
}

fn inserts_beside(connection: &Connection) -> Result<i64, VaultError> {
    let mut statement = connection.prepare_cached("SELECT inserts_beside FROM job")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Hash and entry of everything that is not in the tree.
fn scan(connection: &Connection, mut see: impl FnMut(i64, i64)) -> Result<(), VaultError> {
    let mut statement = connection.prepare_cached("SELECT first_entry, hashes FROM session_recent")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let first_entry: i64 = row.get(0)?;
        let hashes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        for (entry, hash) in (first_entry..).zip(hashes.chunks_exact(HASH)) {
            see(i64::from_le_bytes(hash.try_into().expect("eight bytes")), entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::schema;

    /// Writes one transaction of entries that follow `first`; every third hash stands twice.
    fn batch(connection: &mut Connection, recent: RecentSessions, first: i64, count: i64) -> RecentSessions {
        let transaction = connection.transaction().expect("a transaction");
        let mut index = SessionIndex::new(&transaction, &recent).expect("an index");
        for entry in first..first + count {
            assert!(!index.entries(hash(entry)).expect("a look-up").contains(&entry));
            index.add(hash(entry), entry);
            assert!(index.entries(hash(entry)).expect("a look-up").contains(&entry));
        }
        let added = index.into_added();
        let recent = write(&transaction, recent, added).expect("it is written");
        transaction.commit().expect("it is durable");
        recent
    }

    fn hash(entry: i64) -> i64 {
        let twin = if entry % 3 == 0 { entry } else { entry - entry % 3 % 2 };
        twin.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed())
    }

    #[test]
    fn every_entry_is_found_before_and_after_it_is_merged() {
        let mut connection = Connection::open_in_memory().expect("a database");
        schema::create(&mut connection).expect("tables");
        let mut recent = RecentSessions::default();
        let mut first = 1;
        let mut merged = 0;
        for count in [1, 4_000, 26_000, 900, 2_000, 100] {
            recent = batch(&mut connection, recent, first, count);
            first += count;
            merged += u32::from(recent.sorted.is_empty());
            let read = RecentSessions::read(&connection).expect("it can be read");
            assert_eq!(read.sorted, recent.sorted, "memory and file are the same");
        }
        assert_eq!((merged, recent.sorted.len()), (1, 100));
        for entry in (1..first).step_by(7).chain(first - 2_200..first) {
            let found = entries_of(&connection, hash(entry)).expect("a look-up");
            assert!(found.contains(&entry), "entry {entry}");
            assert!(found.iter().all(|other| hash(*other) == hash(entry)));
            let mut twice = found.clone();
            twice.dedup();
            assert_eq!(twice, found);
        }
        assert!(entries_of(&connection, 12_345).expect("a look-up").is_empty());
    }
}
