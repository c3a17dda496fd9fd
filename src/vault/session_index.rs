//! The index from a session to its entries, in two levels.
//!
//! The hashes are practically random. In a tree, each new hash falls on another page, so that with a large backup
//! each transaction would write nearly the whole tree. Therefore a transaction writes its hashes as one short row,
//! in the order of its entries. From time to time, these hashes are merged into the tree, in the order of the
//! hashes. A run keeps the hashes that are not yet merged in memory.
//!
//! A hash has two halves (see [`NameHash`]): the range of hashes with one upper half covers a session in all
//! rooms, and the full hash stands for the session in one room.

use std::collections::HashSet;

use rusqlite::{CachedStatement, Connection, Transaction};

use super::{
    VaultError,
    seal::{NameHash, VaultKeys},
    session_filter::SessionFilter,
};
use crate::ids::EntryId;

/// Maximum number of hashes that wait to be merged. They take half a megabyte of memory, and a look-up from the
/// file reads through all of them.
const MOST_RECENT: usize = 32_000;
/// Size of a hash in bytes.
const HASH: usize = 8;
/// The limit is [`MOST_PLACES`]. It is not a parameter, because SQLite would prepare the statement again for each
/// value that is bound to a limit.
const OF_SESSION: &str = "SELECT hash, entry FROM session_index WHERE hash BETWEEN ?1 AND ?2 LIMIT 64";
const OF_NAME: &str = "SELECT entry FROM session_index WHERE hash = ?1";
/// Maximum number of places of a session that are examined. If a hostile server lists a session in more rooms, an
/// entry beyond this number is found only by the full hash of its session and room.
const MOST_PLACES: usize = 64;

/// The index entries that are not yet merged into the tree, as one run knows them.
#[derive(Default)]
pub(super) struct RecentSessions {
    /// Pairs of hash and entry, in ascending order.
    sorted: Vec<(i64, EntryId)>,
    /// The sessions in the tree. `None` if the tree was not empty when this was read, because the filter would be
    /// incomplete.
    in_tree: Option<SessionFilter>,
    /// The number of inserting transactions outside the run that are included in this.
    inserts_beside: i64,
}

/// Entries of a session. Another session may have the same hash, so that callers must compare.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Entries in the room itself, in any backup version.
    pub(super) of_name: Vec<EntryId>,
    /// Entries in other rooms.
    pub(super) elsewhere: Vec<EntryId>,
    /// Whether there may be more entries in other rooms than were examined.
    pub(super) is_flooded: bool,
}

impl Places {
    fn add(&mut self, name: NameHash, hash: i64, entry: EntryId) {
        match hash == name.0 {
            true => self.of_name.push(entry),
            false => self.elsewhere.push(entry),
        }
    }
}

impl RecentSessions {
    pub(super) fn read(connection: &Connection) -> Result<Self, VaultError> {
        let mut sorted = Vec::new();
        scan(connection, |hash, entry| sorted.push((hash, entry)))?;
        sorted.sort_unstable();
        Ok(Self {
            sorted,
            in_tree: is_tree_empty(connection)?.then(SessionFilter::default),
            inserts_beside: inserts_beside(connection)?,
        })
    }

    /// Whether this is still the state of the vault: nothing was inserted outside the run since this was read.
    pub(super) fn is_of(&self, transaction: &Transaction<'_>) -> Result<bool, VaultError> {
        Ok(self.inserts_beside == inserts_beside(transaction)?)
    }

    /// Returns the pairs with a hash from `first` to `last`.
    fn between(&self, first: i64, last: i64) -> impl Iterator<Item = (i64, EntryId)> {
        let begin = self.sorted.partition_point(|(other, _)| *other < first);
        let range = self.sorted[begin..].iter().take_while(move |(hash, _)| *hash <= last);
        range.copied()
    }

    /// Returns the recent entries of a session in a room.
    pub(super) fn of_name(&self, name: NameHash) -> impl Iterator<Item = EntryId> {
        self.between(name.0, name.0).map(|(_, entry)| entry)
    }

    fn add(&mut self, added: Vec<(i64, EntryId)>) {
        self.sorted.extend(added);
        // Both parts are already sorted, and the stable sort merges them.
        self.sorted.sort();
    }
}

/// Returns the entries of a session in a room that are in the tree.
pub(super) fn in_tree(connection: &Connection, name: NameHash) -> Result<Vec<EntryId>, VaultError> {
    let mut find = connection.prepare_cached(OF_NAME)?;
    let rows = find.query_map([name.0], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns all entries of a session in a room, as stored in the vault.
pub(super) fn entries_of_name(transaction: &Transaction<'_>, name: NameHash) -> Result<Vec<EntryId>, VaultError> {
    let mut entries = Vec::new();
    scan(transaction, |hash, entry| {
        if hash == name.0 {
            entries.push(entry);
        }
    })?;
    entries.extend(in_tree(transaction, name)?);
    Ok(entries)
}

/// Returns the entries of a session in all rooms, as stored in the vault.
pub(super) fn places(connection: &Connection, name: NameHash) -> Result<Places, VaultError> {
    let mut places = Places::default();
    let (first, last) = name.of_session();
    scan(connection, |hash, entry| {
        if (first..=last).contains(&hash) && (hash == name.0 || places.elsewhere.len() < MOST_PLACES) {
            places.add(name, hash, entry);
        }
    })?;
    // Read the tree last: if a run merges in between, an entry is found twice, but is never missed.
    in_tree_and_elsewhere(connection, name, &mut places)?;
    for entries in [&mut places.of_name, &mut places.elsewhere] {
        entries.sort_unstable();
        entries.dedup();
    }
    Ok(places)
}

fn in_tree_and_elsewhere(connection: &Connection, name: NameHash, places: &mut Places) -> Result<(), VaultError> {
    let mut statement = connection.prepare_cached(OF_SESSION)?;
    read_places(&mut statement, name, places)?;
    if places.is_flooded {
        places.of_name.extend(in_tree(connection, name)?);
    }
    Ok(())
}

fn read_places(statement: &mut CachedStatement<'_>, name: NameHash, places: &mut Places) -> Result<(), VaultError> {
    let (first, last) = name.of_session();
    let mut rows = statement.query((first, last))?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        places.add(name, row.get(0)?, row.get(1)?);
        found += 1;
    }
    places.is_flooded = found >= MOST_PLACES;
    Ok(())
}

/// The index during one transaction that inserts entries.
pub(super) struct SessionIndex<'a> {
    tree: CachedStatement<'a>,
    transaction: &'a Transaction<'a>,
    recent: &'a RecentSessions,
    /// In the order of the entries, which are numbered consecutively.
    added: Vec<(i64, EntryId)>,
    /// The lowest hash of each session in `added`. Nearly all incoming sessions are new, and need no search
    /// through `added`.
    added_sessions: HashSet<i64>,
}

impl<'a> SessionIndex<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>, recent: &'a RecentSessions) -> Result<Self, VaultError> {
        Ok(Self {
            tree: transaction.prepare_cached(OF_SESSION)?,
            transaction,
            recent,
            added: Vec::new(),
            added_sessions: HashSet::new(),
        })
    }

    /// Returns the entries of a session in all rooms, including those added in this transaction.
    pub(super) fn places(&mut self, name: NameHash) -> Result<Places, VaultError> {
        let mut places = Places::default();
        let (first, last) = name.of_session();
        if self.recent.in_tree.as_ref().is_none_or(|tree| tree.may_have(name)) {
            read_places(&mut self.tree, name, &mut places)?;
            if places.is_flooded {
                places.of_name = in_tree(self.transaction, name)?;
            }
        }
        let added: &[(i64, EntryId)] = match self.added_sessions.contains(&first) {
            true => &self.added,
            false => &[],
        };
        let of_session = added.iter().filter(|(hash, _)| (first..=last).contains(hash));
        let in_memory = self.recent.between(first, last).take(MOST_PLACES);
        let mut found = 0;
        for (hash, entry) in in_memory.chain(of_session.copied().take(MOST_PLACES)) {
            places.add(name, hash, entry);
            found += 1;
        }
        places.is_flooded |= found >= MOST_PLACES;
        if places.is_flooded {
            places.of_name.extend(self.recent.of_name(name));
            let of_name = added.iter().filter(|(hash, _)| *hash == name.0);
            places.of_name.extend(of_name.map(|(_, entry)| *entry));
            places.of_name.sort_unstable();
            places.of_name.dedup();
        }
        Ok(places)
    }

    pub(super) fn add(&mut self, name: NameHash, entry: EntryId) {
        debug_assert!(self.added.last().is_none_or(|(_, last)| last.next() == entry));
        self.added.push((name.0, entry));
        self.added_sessions.insert(name.of_session().0);
    }

    /// Returns the pairs of hash and entry that were added, for [`write`].
    pub(super) fn into_added(self) -> Vec<(i64, EntryId)> {
        self.added
    }
}

/// Writes the added pairs. Merges all recent pairs into the tree if there are enough of them. Returns the recent
/// pairs that are left; they are valid once the transaction is committed.
pub(super) fn write(
    transaction: &Transaction<'_>,
    mut recent: RecentSessions,
    mut added: Vec<(i64, EntryId)>,
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
    // Insert row by row: for a single statement, SQLite would keep the old content of each changed page in memory,
    // to be able to undo the statement.
    let mut insert = transaction.prepare_cached("INSERT INTO session_index (hash, entry) VALUES (?1, ?2)")?;
    for (hash, entry) in recent.sorted.drain(..) {
        insert.execute((hash, entry))?;
        if let Some(tree) = &mut recent.in_tree {
            tree.add(NameHash(hash));
        }
    }
    transaction.execute("DELETE FROM session_recent", [])?;
    Ok(recent)
}

/// Rebuilds the index from the entries, and notes sessions that the vault has several times. This is for upgrades:
/// it holds 16 bytes for each entry in memory.
pub(super) fn rebuild(transaction: &Transaction<'_>, keys: &VaultKeys) -> Result<(), VaultError> {
    transaction.execute_batch("DELETE FROM session_index; DELETE FROM session_recent;")?;
    let mut statement = transaction.prepare(
        "SELECT known.id, hash, session FROM (SELECT id, room, session FROM entry
            UNION ALL SELECT entry, room, session FROM trimmed) AS known JOIN room ON room.id = known.room",
    )?;
    let mut rows = statement.query([])?;
    let mut hashes = Vec::new();
    while let Some(row) = rows.next()? {
        let room_hash: [u8; 16] = row.get(1)?;
        let session = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        hashes.push((keys.name_hash(session, &room_hash), row.get::<_, EntryId>(0)?));
    }
    hashes.sort_unstable();
    let mut insert = transaction.prepare("INSERT INTO session_index (hash, entry) VALUES (?1, ?2)")?;
    let mut note = transaction.prepare("INSERT INTO copy (entry, standing) VALUES (?1, 4)")?;
    for same in hashes.chunk_by(|(one, _), (other, _)| one.of_session() == other.of_session()) {
        for (hash, entry) in same {
            insert.execute((hash.0, *entry))?;
            if same.len() > 1 {
                note.execute([entry])?;
            }
        }
    }
    Ok(())
}

/// Tells a run that entries were inserted outside it, so that it reads the recent entries from the vault again.
pub(super) fn note_insert_beside(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    transaction.execute("UPDATE job SET inserts_beside = inserts_beside + 1", [])?;
    Ok(())
}

fn inserts_beside(connection: &Connection) -> Result<i64, VaultError> {
    let mut statement = connection.prepare_cached("SELECT inserts_beside FROM job")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn is_tree_empty(connection: &Connection) -> Result<bool, VaultError> {
    Ok(!connection.prepare_cached("SELECT 1 FROM session_index")?.exists([])?)
}

/// Calls `see` with the hash and the entry of each pair that is not in the tree.
fn scan(connection: &Connection, mut see: impl FnMut(i64, EntryId)) -> Result<(), VaultError> {
    let mut statement = connection.prepare_cached("SELECT first_entry, hashes FROM session_recent")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let first_entry: i64 = row.get(0)?;
        let hashes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        for (entry, hash) in (first_entry..).zip(hashes.chunks_exact(HASH)) {
            see(
                i64::from_le_bytes(hash.try_into().expect("a chunk has eight bytes")),
                EntryId(entry),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "session_index_tests.rs"]
mod tests;
