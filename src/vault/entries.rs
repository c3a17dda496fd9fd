//! Entries: written as they come, never changed.

use std::ops::Range;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{
    Connection, FilePlace, VaultError, Writer,
    copies::{self, Comes},
    file_places,
    rooms::room_row,
    seal::VaultKeys,
    session_index::{self, RecentSessions, SessionIndex},
};
use crate::backup::{limits::MAX_PLACES_OF_A_SESSION, session_id::SessionId};

/// Places in the index that one session may have: far more than it has without ill will.
const MOST_CANDIDATES: usize = 1_024;

/// Entries on their way into the vault, with the bodies in one buffer.
#[derive(Default)]
pub(crate) struct EntryBatch {
    rooms: Vec<String>,
    entries: Vec<NewEntry>,
    pub(crate) bodies: Vec<u8>,
    /// Rooms whose own answer has been read to its end, by place in `rooms`, and the era that it is of.
    complete_rooms: Vec<(usize, i64)>,
    /// How far answers that lie in a file have been read with it.
    pub(crate) file_places: Vec<FilePlace>,
    /// What came later than this entry is not held against what comes now: an answer would go on for ever replacing its own.
    compare_through: i64,
}

/// One of them.
struct NewEntry {
    /// By place in `EntryBatch::rooms`.
    room: usize,
    session: SessionId,
    /// The message index that it begins with, if it says so.
    claimed_index: Option<u32>,
    /// By place in `EntryBatch::bodies`.
    body: Range<usize>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InsertedEntries {
    pub(crate) inserted: u64,
    /// Of these, in the place of entries that had failed.
    pub(crate) in_place_of_failed: u64,
    /// Keys newly found to be under two rooms.
    pub(crate) conflicts: u64,
}

impl EntryBatch {
    /// An empty one, whose entries may be better copies of those up to that one.
    pub(crate) fn compared_through(entry: i64) -> Self {
        Self {
            compare_through: entry,
            ..Self::default()
        }
    }

    /// The same again.
    pub(crate) fn next(&self) -> Self {
        Self::compared_through(self.compare_through)
    }

    /// Rooms in it that are complete with it.
    pub(crate) fn complete_rooms(&self) -> usize {
        self.complete_rooms.len()
    }

    /// Entries in it.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.complete_rooms.is_empty() && self.file_places.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.rooms.clear();
        self.entries.clear();
        self.bodies.clear();
        self.complete_rooms.clear();
        self.file_places.clear();
    }

    /// Adds an entry; `pack` writes its body. What it claims to begin with counts where the vault has a copy already.
    pub(crate) fn push(
        &mut self,
        room_id: &str,
        session: SessionId,
        claimed_index: Option<u32>,
        pack: impl FnOnce(&mut Vec<u8>),
    ) {
        let room = self.room(room_id);
        let begin = self.bodies.len();
        pack(&mut self.bodies);
        self.entries.push(NewEntry {
            room,
            session,
            claimed_index,
            body: begin..self.bodies.len(),
        });
    }

    /// Says that the room's own answer has been read to its end, and in which era of the version it was asked for.
    pub(crate) fn complete_room(&mut self, room_id: &str, era: i64) {
        let room = self.room(room_id);
        self.complete_rooms.push((room, era));
    }

    /// The place of a room in this batch.
    fn room(&mut self, room_id: &str) -> usize {
        // Answers come room by room: the last one is the one, nearly always.
        match self.rooms.last() {
            Some(last) if last == room_id => {}
            _ => self.rooms.push(room_id.to_owned()),
        }
        self.rooms.len() - 1
    }
}

impl Writer {
    /// Writes a batch in one transaction: entries that are new, conflicts, and rooms that are complete by now.
    pub(crate) fn insert_entries(&mut self, version: i64, batch: &EntryBatch) -> Result<InsertedEntries, VaultError> {
        let recent = self.take_recent_sessions();
        let (result, recent) = self.write(|transaction, keys| {
            let recent = match recent {
                Some(recent) if recent.is_of(transaction)? => recent,
                _ => RecentSessions::read(transaction)?,
            };
            insert(transaction, keys, version, batch, recent)
        })?;
        self.keep_recent_sessions(recent);
        Ok(result)
    }
}

impl Connection {
    /// The last entry there is: what comes from now on is later.
    pub(crate) fn last_entry(&self) -> Result<i64, VaultError> {
        let sql = "SELECT max((SELECT coalesce(max(id), 0) FROM entry), (SELECT coalesce(max(entry), 0) FROM trimmed))";
        Ok(self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// The same beside a run, of this process or another: one transaction, without a fence.
    pub(crate) fn insert_beside(&mut self, version: i64, batch: &EntryBatch) -> Result<InsertedEntries, VaultError> {
        self.write(|transaction, keys| {
            let recent = RecentSessions::read(transaction)?;
            let (result, _) = insert(transaction, keys, version, batch, recent)?;
            session_index::note_insert_beside(transaction)?;
            Ok(result)
        })
    }
}

fn insert(
    transaction: &Transaction<'_>,
    keys: &VaultKeys,
    version: i64,
    batch: &EntryBatch,
    recent: RecentSessions,
) -> Result<(InsertedEntries, RecentSessions), VaultError> {
    let mut result = InsertedEntries::default();
    let mut rooms = Vec::with_capacity(batch.rooms.len());
    for room_id in &batch.rooms {
        rooms.push(room_row(transaction, keys, version, room_id)?);
    }
    let mut runs: Vec<RoomRun> = Vec::new();
    let mut insert =
        transaction.prepare_cached("INSERT INTO entry (id, room, session, body) VALUES (?1, ?2, ?3, ?4)")?;
    let mut next_id = next_id(transaction)?;
    let mut index = SessionIndex::new(transaction, &recent)?;
    for entry in &batch.entries {
        let room = rooms[entry.room];
        let session = &*entry.session.to_bytes();
        let hash = keys.session_hash(session);
        let candidates = index.entries(hash)?;
        // Numbers of entries that have made way among them.
        if candidates.len() >= MOST_CANDIDATES {
            continue;
        }
        let mut namesakes = namesakes(transaction, &candidates, room, session)?;
        // Over so many places, each would be held against all others.
        if namesakes.len() >= MAX_PLACES_OF_A_SESSION {
            continue;
        }
        let body = &batch.bodies[entry.body.clone()];
        let known: Vec<i64> = ids(&namesakes, |namesake| namesake.is_known);
        if known.iter().any(|known| *known > batch.compare_through) {
            continue;
        }
        if !known.is_empty() {
            let Comes::Better { failed } = copies::compare(transaction, &known, entry.claimed_index, body)? else {
                continue;
            };
            for &failed in &failed {
                copies::forget_failed(transaction, failed)?;
                namesakes.retain(|namesake| namesake.id != failed);
            }
            copies::note_copy(transaction, room, failed.len())?;
            result.in_place_of_failed += failed.len() as u64;
        }
        let id = next_id;
        insert.execute(params![id, room, session, body])?;
        next_id += 1;
        result.inserted += 1;
        index.add(hash, id);
        match runs.last_mut() {
            Some(run) if run.room == room && run.last_entry + 1 == id => run.last_entry = id,
            _ => runs.push(RoomRun {
                room,
                first_entry: id,
                last_entry: id,
            }),
        }
        let elsewhere: Vec<i64> = ids(&namesakes, |namesake| !namesake.in_same_room);
        if !elsewhere.is_empty() {
            result.conflicts += note_conflict(transaction, id, &elsewhere)?;
        }
    }
    let added = index.into_added();
    let recent = session_index::write(transaction, recent, added)?;
    for run in runs {
        note_run(transaction, &run)?;
    }
    for (place, era) in &batch.complete_rooms {
        transaction
            .prepare_cached("UPDATE room SET complete = max(complete, ?2) WHERE id = ?1")?
            .execute([rooms[*place], *era])?;
    }
    for place in &batch.file_places {
        file_places::note(transaction, keys, place)?;
    }
    transaction
        .prepare_cached("UPDATE backup_version SET fetched = fetched + ?2 WHERE id = ?1")?
        .execute([version, result.inserted.cast_signed()])?;
    Ok((result, recent))
}

/// Higher than that of any entry there is or was: those that were trimmed or forgotten, too.
fn next_id(transaction: &Transaction<'_>) -> Result<i64, VaultError> {
    let sql = "SELECT 1 + max(last_forgotten, (SELECT coalesce(max(id), 0) FROM entry),
                              (SELECT coalesce(max(entry), 0) FROM trimmed)) FROM job";
    Ok(transaction.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// A session id as the entry table has it.
pub(super) fn session_from_row(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    Ok(SessionId::from_bytes(row.get_ref(column)?.as_blob()?))
}

/// Entries of one room with no others between them. Rooms come one after the other, so there are few: an index by room
/// would have to be written with every entry.
struct RoomRun {
    room: i64,
    first_entry: i64,
    last_entry: i64,
}

fn note_run(transaction: &Transaction<'_>, run: &RoomRun) -> Result<(), VaultError> {
    let RoomRun {
        room,
        first_entry,
        last_entry,
    } = *run;
    transaction
        .prepare_cached("UPDATE room SET entries = entries + ?2 WHERE id = ?1")?
        .execute([room, last_entry - first_entry + 1])?;
    let longer = transaction
        .prepare_cached(
            "UPDATE room_run SET last_entry = ?3 WHERE room = ?1 AND last_entry = ?2 - 1
             AND first_entry = (SELECT max(first_entry) FROM room_run WHERE room = ?1)",
        )?
        .execute([room, first_entry, last_entry])?;
    if longer == 0 {
        transaction
            .prepare_cached("INSERT INTO room_run (room, first_entry, last_entry) VALUES (?1, ?2, ?3)")?
            .execute([room, first_entry, last_entry])?;
    }
    Ok(())
}

struct Namesake {
    id: i64,
    /// It is the same entry: same room, same version.
    is_known: bool,
    in_same_room: bool,
}

/// Entries of the same session, in whichever room and version: a server may announce a version anew to move keys.
fn namesakes(
    transaction: &Transaction<'_>,
    candidates: &[i64],
    own_room: i64,
    session: &[u8],
) -> Result<Vec<Namesake>, VaultError> {
    let mut namesakes = Vec::new();
    for &id in candidates {
        let mut statement = transaction.prepare_cached(
            "SELECT other.id = own.id, other.hash = own.hash
             FROM (SELECT room, session FROM entry WHERE id = ?1
                   UNION ALL SELECT room, session FROM trimmed WHERE entry = ?1) AS known
             JOIN room AS other ON other.id = known.room JOIN room AS own ON own.id = ?2 WHERE session = ?3",
        )?;
        let found = statement
            .query_row(params![id, own_room, session], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((is_known, in_same_room)) = found {
            namesakes.push(Namesake {
                id,
                is_known,
                in_same_room,
            });
        }
    }
    Ok(namesakes)
}

fn ids(namesakes: &[Namesake], which: impl Fn(&Namesake) -> bool) -> Vec<i64> {
    let these = namesakes.iter().filter(|namesake| which(namesake));
    these.map(|namesake| namesake.id).collect()
}

fn note_conflict(transaction: &Transaction<'_>, id: i64, others: &[i64]) -> Result<u64, VaultError> {
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO conflict (entry) VALUES (?1)")?;
    // Counted where each of them stands. What was delivered before is no longer withheld.
    let mut count = transaction.prepare_cached(
        "UPDATE backup_version SET conflicts = conflicts + 1,
             withheld = withheld + (EXISTS (SELECT 1 FROM opened WHERE entry = ?1 AND failure = 0)
                 AND EXISTS (SELECT 1 FROM entry WHERE id = ?1)
                 AND NOT EXISTS (SELECT 1 FROM delivered WHERE entry = ?1))
         WHERE id = (SELECT version FROM room WHERE room.id =
             (SELECT room FROM entry WHERE id = ?1 UNION ALL SELECT room FROM trimmed WHERE entry = ?1))",
    )?;
    let mut noted = 0;
    for entry in [&[id], others].concat() {
        if insert.execute([entry])? > 0 {
            count.execute([entry])?;
            noted += 1;
        }
    }
    Ok(noted)
}

/// Whether the entry's session is under another room too.
pub(super) fn in_conflict(connection: &rusqlite::Connection, entry: i64) -> Result<bool, VaultError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM conflict WHERE entry = ?1")?
        .query_row([entry], |_| Ok(()))
        .optional()?
        .is_some())
}
