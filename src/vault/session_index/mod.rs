//! The index from a session to its entries.
//!
//! The hashes are practically random. In a tree, each new hash falls on another page, so that with a large backup
//! each transaction would write nearly the whole tree. Therefore a transaction writes its hashes as one short row,
//! in the order of its entries (`recent`). From time to time, these hashes become a sorted run, and runs of one size
//! are merged into a larger one (`runs`), so that each pair of hash and entry is written only a few times. A run of
//! the download keeps the recent hashes in memory, and a filter over all others (`filter`). Once everything has been
//! fetched, [`tidy`] leaves hardly any recent hashes and few runs, so that a look-up reads two or three pages.
//!
//! A hash has two halves (see [`NameHash`]): the range of hashes with one upper half covers a session in all
//! rooms, and the full hash stands for the session in one room.

mod filter;
mod recent;
mod runs;

pub(super) use recent::RecentSessions;
pub(super) use runs::upgrade;

use std::collections::HashSet;

use rusqlite::{Connection, Transaction};

use super::{
    VaultError,
    seal::{NameHash, VaultKeys},
};
use crate::ids::EntryId;
use recent::scan;

/// Maximum number of places of a session that are examined. If a hostile server lists a session in more rooms, an
/// entry beyond this number is found only by the full hash of its session and room.
const MOST_PLACES: usize = 64;

/// Maximum number of hashes that are not in a run. They take a quarter of a megabyte of memory, and a look-up from the
/// file reads through all of them.
const MOST_RECENT: usize = 16_000;

/// A hash and an entry that has it.
type Pair = (i64, EntryId);

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

    /// Adds the entries of a session that are in runs.
    fn add_from_runs(&mut self, connection: &Connection, name: NameHash) -> Result<(), VaultError> {
        let (first, last) = name.of_session();
        let mut found = 0;
        runs::between(connection, first, last, |hash, entry| {
            self.add(name, hash, entry);
            found += 1;
            found < MOST_PLACES
        })?;
        if found >= MOST_PLACES {
            self.is_flooded = true;
            self.of_name.extend(in_runs(connection, name)?);
        }
        Ok(())
    }
}

/// Returns the entries of a session in a room that are in runs.
pub(super) fn in_runs(connection: &Connection, name: NameHash) -> Result<Vec<EntryId>, VaultError> {
    let mut entries = Vec::new();
    runs::between(connection, name.0, name.0, |_, entry| {
        entries.push(entry);
        true
    })?;
    Ok(entries)
}

/// Returns all entries of a session in a room, as stored in the vault.
pub(super) fn entries_of_name(transaction: &Transaction<'_>, name: NameHash) -> Result<Vec<EntryId>, VaultError> {
    let mut entries = Vec::new();
    scan(transaction, |hash, entry| {
        if hash == name.0 {
            entries.push(entry);
        }
    })?;
    entries.extend(in_runs(transaction, name)?);
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
    // Read the runs last: if recent entries become a run in between, an entry is found twice, but is never missed.
    places.add_from_runs(connection, name)?;
    for entries in [&mut places.of_name, &mut places.elsewhere] {
        entries.sort_unstable();
        entries.dedup();
    }
    Ok(places)
}

/// The index during one transaction that inserts entries.
pub(super) struct SessionIndex<'a> {
    transaction: &'a Transaction<'a>,
    recent: &'a RecentSessions,
    /// In the order of the entries, which are numbered consecutively.
    added: Vec<Pair>,
    /// The lowest hash of each session in `added`. Nearly all incoming sessions are new, and need no search
    /// through `added`.
    added_sessions: HashSet<i64>,
}

impl<'a> SessionIndex<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>, recent: &'a RecentSessions) -> Self {
        Self {
            transaction,
            recent,
            added: Vec::new(),
            added_sessions: HashSet::new(),
        }
    }

    /// Returns the entries of a session in all rooms, including those added in this transaction.
    pub(super) fn places(&self, name: NameHash) -> Result<Places, VaultError> {
        let mut places = Places::default();
        let (first, last) = name.of_session();
        if self.recent.may_be_in_runs(name) {
            places.add_from_runs(self.transaction, name)?;
        }
        let added: &[Pair] = match self.added_sessions.contains(&first) {
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
    pub(super) fn into_added(self) -> Vec<Pair> {
        self.added
    }
}

/// Writes the added pairs. Makes a run of all recent pairs if there are enough of them. Returns the recent pairs that
/// are left; they are valid once the transaction is committed.
pub(super) fn write(
    transaction: &Transaction<'_>,
    mut recent: RecentSessions,
    added: Vec<Pair>,
) -> Result<RecentSessions, VaultError> {
    if added.is_empty() {
        return Ok(recent);
    }
    let is_due = recent.is_due_with(added.len());
    if !is_due {
        recent::note(transaction, &added)?;
    }
    recent.add(added);
    if is_due {
        runs::add(transaction, recent.take())?;
        recent::forget(transaction)?;
    }
    Ok(recent)
}

/// Whether [`tidy`] has something to do.
pub(super) fn can_tidy(connection: &Connection) -> Result<bool, VaultError> {
    Ok(recent::are_many(connection)? || runs::is_worth_merging(connection)?)
}

/// Makes look-ups cheaper once everything has been fetched: of many recent pairs a run, and of many runs one. Returns
/// the recent pairs that are left; they are valid once the transaction is committed.
pub(super) fn tidy(transaction: &Transaction<'_>, mut recent: RecentSessions) -> Result<RecentSessions, VaultError> {
    if recent::are_many(transaction)? {
        runs::add(transaction, recent.take())?;
        recent::forget(transaction)?;
    }
    if runs::is_worth_merging(transaction)? {
        runs::merge_all(transaction)?;
    }
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

#[cfg(test)]
mod tests;
