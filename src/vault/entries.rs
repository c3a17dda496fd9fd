//! Entries: written as they come, never changed.

use std::{collections::HashMap, ops::Range};

use rusqlite::{CachedStatement, OptionalExtension, Row, Transaction, params};

use super::{
    Connection, FilePlace, VaultError, Writer, copies, file_places,
    rooms::room_row,
    seal::{NameHash, VaultKeys},
    session_index::{self, Places, RecentSessions, SessionIndex},
};
use crate::backup::{entry::Claims, limits::MAX_CLASSES_OF_A_SESSION, session_id::SessionId};

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
    /// The first entry that each answer has brought, by whatever number tells answers apart.
    answers: HashMap<u64, i64>,
    /// Answers of which no more comes than what is in this batch.
    ended_answers: Vec<u64>,
}

/// One of them.
struct NewEntry {
    /// By place in `EntryBatch::rooms`.
    room: usize,
    session: SessionId,
    /// The answer that it came in.
    answer: u64,
    claims: Claims,
    /// It is taken beside whatever is here, unless that is the same: somebody has asked for just this one.
    takes_any: bool,
    /// By place in `EntryBatch::bodies`.
    body: Range<usize>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InsertedEntries {
    /// Keys that were not there before.
    pub(crate) inserted: u64,
    /// Entries that were taken: these, and other copies of keys that were there.
    pub(crate) taken: u64,
}

impl EntryBatch {
    /// An empty one, whose entries may be better copies of those up to that one.
    pub(crate) fn compared_through(entry: i64) -> Self {
        Self {
            compare_through: entry,
            ..Self::default()
        }
    }

    /// The same again, without its entries.
    pub(crate) fn next(&mut self) -> Self {
        Self {
            answers: std::mem::take(&mut self.answers),
            ..Self::compared_through(self.compare_through)
        }
    }

    /// The answer of that number will bring no more.
    pub(crate) fn end_answer(&mut self, answer: u64) {
        self.ended_answers.push(answer);
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
        for ended in self.ended_answers.drain(..) {
            self.answers.remove(&ended);
        }
    }

    /// Adds an entry of an answer; `pack` writes its body, and tells what it claims of itself.
    pub(crate) fn push(
        &mut self,
        answer: u64,
        room_id: &str,
        session: SessionId,
        pack: impl FnOnce(&mut Vec<u8>) -> Claims,
    ) {
        let room = self.room(room_id);
        let begin = self.bodies.len();
        let claims = pack(&mut self.bodies);
        self.entries.push(NewEntry {
            room,
            session,
            answer,
            claims,
            takes_any: false,
            body: begin..self.bodies.len(),
        });
    }

    /// The entries that are in it are taken beside whatever is here, also where they claim to be no better.
    pub(crate) fn take_any(&mut self) {
        for entry in &mut self.entries {
            entry.takes_any = true;
        }
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
    pub(crate) fn insert_entries(
        &mut self,
        version: i64,
        batch: &mut EntryBatch,
    ) -> Result<InsertedEntries, VaultError> {
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
    pub(crate) fn insert_beside(
        &mut self,
        version: i64,
        batch: &mut EntryBatch,
    ) -> Result<InsertedEntries, VaultError> {
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
    batch: &mut EntryBatch,
    recent: RecentSessions,
) -> Result<(InsertedEntries, RecentSessions), VaultError> {
    let mut rooms = Vec::with_capacity(batch.rooms.len());
    for room_id in &batch.rooms {
        let row = room_row(transaction, keys, version, room_id)?;
        rooms.push((row, keys.room_hash(room_id)));
    }
    let mut inserting = Inserting::new(transaction, version, &recent)?;
    let EntryBatch {
        entries,
        bodies,
        answers,
        compare_through,
        ..
    } = &mut *batch;
    for entry in entries.iter() {
        let (room, room_hash) = rooms[entry.room];
        let session = &*entry.session.to_bytes();
        let incoming = Incoming {
            room,
            room_hash,
            session,
            name: keys.name_hash(session, &room_hash),
            entry,
            body: &bodies[entry.body.clone()],
        };
        let answer_began = answers.get(&entry.answer).copied().unwrap_or(i64::MAX);
        if let Some(id) = inserting.take(&incoming, *compare_through, answer_began)? {
            answers.entry(entry.answer).or_insert(id);
        }
    }
    let (result, names, runs, added) = inserting.end();
    let recent = session_index::write(transaction, recent, added)?;
    for run in runs {
        note_run(transaction, &run)?;
    }
    for (place, era) in &batch.complete_rooms {
        transaction
            .prepare_cached(
                "UPDATE room SET complete = max(complete, ?2), failures = 0, fault = 0, failed_at_ms = 0, retry_at_ms = 0
                 WHERE id = ?1",
            )?
            .execute([rooms[*place].0, *era])?;
    }
    for place in &batch.file_places {
        file_places::note(transaction, keys, place)?;
    }
    transaction
        .prepare_cached("UPDATE backup_version SET fetched = fetched + ?2, names = names + ?3 WHERE id = ?1")?
        .execute([version, result.inserted.cast_signed(), names])?;
    Ok((result, recent))
}

/// An entry on its way in.
struct Incoming<'a> {
    room: i64,
    room_hash: [u8; 16],
    session: &'a [u8],
    name: NameHash,
    entry: &'a NewEntry,
    body: &'a [u8],
}

/// The work of one transaction that inserts.
struct Inserting<'a> {
    transaction: &'a Transaction<'a>,
    version: i64,
    /// Entries of the version up to that one count as names once they are seen again.
    confirm_through: i64,
    index: SessionIndex<'a>,
    insert_entry: CachedStatement<'a>,
    next_id: i64,
    result: InsertedEntries,
    names: i64,
    runs: Vec<RoomRun>,
}

impl<'a> Inserting<'a> {
    fn new(transaction: &'a Transaction<'a>, version: i64, recent: &'a RecentSessions) -> Result<Self, VaultError> {
        Ok(Self {
            transaction,
            version,
            confirm_through: transaction
                .prepare_cached("SELECT confirm_through FROM backup_version WHERE id = ?1")?
                .query_row([version], |row| row.get(0))?,
            index: SessionIndex::new(transaction, recent)?,
            insert_entry: transaction.prepare_cached(
                "INSERT INTO entry (id, room, session, body, forwarded_count) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            next_id: next_id(transaction)?,
            result: InsertedEntries::default(),
            names: 0,
            runs: Vec::new(),
        })
    }

    fn end(self) -> (InsertedEntries, i64, Vec<RoomRun>, Vec<(i64, i64)>) {
        (self.result, self.names, self.runs, self.index.into_added())
    }

    /// Writes an entry, unless the vault has it; gives its number.
    fn take(
        &mut self,
        incoming: &Incoming<'_>,
        compare_through: i64,
        answer_began: i64,
    ) -> Result<Option<i64>, VaultError> {
        let places = self.index.places(incoming.name)?;
        if places.of_name.is_empty() && places.elsewhere.is_empty() {
            return self.write(incoming, 1, 1).map(Some);
        }
        let is_flooded = places.is_flooded;
        let namesakes = namesakes(self.transaction, incoming, places)?;
        let known: Vec<&Namesake> = namesakes.iter().filter(|namesake| namesake.is_known).collect();
        let mut is_extra = false;
        if !known.is_empty() {
            self.confirm(&known)?;
            if known.iter().any(|known| known.id > compare_through) {
                return Ok(None);
            }
            let failed = match compare(self.transaction, &known_ids(&known), incoming)? {
                Comes::Known => return Ok(None),
                Comes::Better { failed } => failed,
            };
            is_extra = failed.len() < known.len();
            for entry in failed {
                forget_failed(self.transaction, entry)?;
            }
            self.transaction
                .prepare_cached("UPDATE backup_version SET replaced_in = era WHERE id = ?1")?
                .execute([self.version])?;
        }
        let is_new_name = known.is_empty();
        let id = self.write(incoming, i64::from(!is_extra), i64::from(is_new_name))?;
        if is_flooded || !namesakes.is_empty() {
            note_copies(self.transaction, id, is_extra, &namesakes, answer_began)?;
        }
        Ok(Some(id))
    }

    /// An answer has again what is here: it counts as a name of this mark.
    fn confirm(&mut self, known: &[&Namesake]) -> Result<(), VaultError> {
        // One of them stands for the name.
        let first = known.iter().map(|known| known.id).min().unwrap_or(i64::MAX);
        if first <= self.confirm_through {
            let confirmed = self
                .transaction
                .prepare_cached("INSERT OR IGNORE INTO confirmed (entry) VALUES (?1)")?
                .execute([first])?;
            self.names += confirmed as i64;
        }
        Ok(())
    }

    fn write(&mut self, incoming: &Incoming<'_>, fetched: i64, names: i64) -> Result<i64, VaultError> {
        let id = self.next_id;
        self.insert_entry.execute(params![
            id,
            incoming.room,
            incoming.session,
            incoming.body,
            incoming.entry.claims.forwarded_count
        ])?;
        self.next_id += 1;
        self.result.inserted += fetched.cast_unsigned();
        self.result.taken += 1;
        self.names += names;
        self.index.add(incoming.name, id);
        match self.runs.last_mut() {
            Some(run) if run.room == incoming.room && run.last_entry + 1 == id => run.last_entry = id,
            _ => self.runs.push(RoomRun {
                room: incoming.room,
                first_entry: id,
                last_entry: id,
            }),
        }
        Ok(id)
    }
}

fn known_ids(known: &[&Namesake]) -> Vec<i64> {
    known.iter().map(|known| known.id).collect()
}

/// Takes an entry that has failed out of the vault: another one takes its place.
fn forget_failed(transaction: &Transaction<'_>, entry: i64) -> Result<(), VaultError> {
    transaction
        .prepare_cached(
            "UPDATE backup_version SET fetched = fetched - 1, failed = failed - 1
             WHERE id = (SELECT version FROM room JOIN entry ON room.id = entry.room WHERE entry.id = ?1)
             AND NOT EXISTS (SELECT 1 FROM copy WHERE entry = ?1 AND is_extra)",
        )?
        .execute([entry])?;
    for sql in [
        "UPDATE room SET entries = entries - 1 WHERE id = (SELECT room FROM entry WHERE id = ?1)",
        "DELETE FROM copy WHERE entry = ?1",
        "DELETE FROM opened WHERE entry = ?1",
        "DELETE FROM entry WHERE id = ?1",
        "UPDATE job SET last_forgotten = max(last_forgotten, ?1)",
    ] {
        transaction.prepare_cached(sql)?.execute([entry])?;
    }
    Ok(())
}

/// Notes that an entry has the session of others. Those of one answer in two rooms are tied; what was there before stays as it
/// is until this one is opened.
fn note_copies(
    transaction: &Transaction<'_>,
    id: i64,
    is_extra: bool,
    namesakes: &[Namesake],
    answer_began: i64,
) -> Result<(), VaultError> {
    let mut insert = transaction
        .prepare_cached("INSERT OR IGNORE INTO copy (entry, standing, is_extra, tied) VALUES (?1, ?2, ?3, ?4)")?;
    let mut tie = transaction.prepare_cached("UPDATE copy SET tied = ?2 WHERE entry = ?1 AND tied = 0")?;
    let mut tied = 0;
    for namesake in namesakes {
        // What is opened counts until it is judged again.
        let standing = match namesake.is_opened {
            true => copies::COUNTS,
            false => copies::UNSETTLED,
        };
        insert.execute(params![namesake.id, standing, false, 0])?;
        if !namesake.in_same_room && namesake.id >= answer_began {
            tied = answer_began;
            tie.execute([namesake.id, answer_began])?;
        }
    }
    insert.execute(params![id, copies::UNSETTLED, is_extra, tied])?;
    Ok(())
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

/// An entry of the same session.
struct Namesake {
    id: i64,
    /// It is the same entry: same room, same version. One that was forgotten is not known.
    is_known: bool,
    in_same_room: bool,
    is_opened: bool,
}

/// Entries of the same session, in whichever room and version: a server may announce a version anew to move keys.
fn namesakes(
    transaction: &Transaction<'_>,
    incoming: &Incoming<'_>,
    places: Places,
) -> Result<Vec<Namesake>, VaultError> {
    let mut statement = transaction.prepare_cached(
        "SELECT other.id = ?2 AND NOT is_forgotten, other.hash = ?3,
             EXISTS (SELECT 1 FROM opened WHERE opened.entry = ?1 AND failure = 0)
         FROM (SELECT room, session, 0 AS is_forgotten FROM entry WHERE id = ?1
               UNION ALL SELECT room, session, is_forgotten FROM trimmed WHERE entry = ?1) AS known
         JOIN room AS other ON other.id = known.room WHERE session = ?4",
    )?;
    let mut namesakes = Vec::new();
    // One among thousands of rooms is noted as it is, and compared with some of them once it is opened.
    let elsewhere = if places.is_flooded {
        Vec::new()
    } else {
        places.elsewhere
    };
    for id in places.of_name.into_iter().chain(elsewhere) {
        let found = statement
            .query_row(
                params![id, incoming.room, incoming.room_hash, incoming.session],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        if let Some((is_known, in_same_room, is_opened)) = found {
            namesakes.push(Namesake {
                id,
                is_known,
                in_same_room,
                is_opened,
            });
        }
    }
    Ok(namesakes)
}

/// What a copy that comes means to those of the same name that are here.
#[derive(Debug, PartialEq, Eq)]
enum Comes {
    /// Nothing: it is one of them, or no better.
    Known,
    /// It may be better. These have failed, and make way.
    Better { failed: Vec<i64> },
}

/// Compares a copy with those that are here. What it claims is a hint: whether it is true shows when it is opened.
fn compare(transaction: &Transaction<'_>, known: &[i64], incoming: &Incoming<'_>) -> Result<Comes, VaultError> {
    // A copy that connects to nothing that counts does not keep better ones away.
    let mut state = transaction.prepare_cached(
        "SELECT failure, first_index, ifnull(standing, 0) = ?2 FROM opened LEFT JOIN copy USING (entry) WHERE entry = ?1",
    )?;
    let mut is_same = transaction.prepare_cached("SELECT 1 FROM entry WHERE id = ?1 AND body = ?2")?;
    let claimed = incoming.entry.claims.first_message_index;
    let (mut failed, mut unopened) = (Vec::new(), 0);
    for &entry in known {
        if is_same.exists((entry, incoming.body))? {
            return Ok(Comes::Known);
        }
        let found = state.query_row([entry, copies::UNCONNECTED], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<u32>>(1)?, row.get(2)?))
        });
        match found.optional()? {
            // Both wait for the key: which of them is genuine shows then.
            None => unopened += 1,
            Some((0, first_index, false)) if !incoming.entry.takes_any => {
                if claimed.is_none_or(|claimed| Some(claimed) >= first_index) {
                    return Ok(Comes::Known);
                }
            }
            Some((0, ..)) => {}
            Some(_) => failed.push(entry),
        }
    }
    match unopened >= MAX_CLASSES_OF_A_SESSION {
        true => Ok(Comes::Known),
        false => Ok(Comes::Better { failed }),
    }
}
