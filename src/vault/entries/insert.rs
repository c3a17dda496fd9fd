//! Writes a batch of entries in one transaction.

use rusqlite::{CachedStatement, Transaction, params};

use super::{
    batch::{EntryBatch, InsertedEntries},
    namesakes::{Comes, Incoming, Namesake, compare, forget_failed, known_ids, namesakes, note_copies},
    runs::{RoomRun, note_run},
};
use crate::ids::{EntryId, VersionRowId};
use crate::vault::{
    Connection, VaultError, VaultTx, Writer,
    bodies::{Appending, cut_off_uncommitted},
    file_places,
    rooms::room_row,
    session_index::{self, RecentSessions, SessionIndex},
};

impl Writer {
    /// Writes a batch in one transaction: new entries, further copies of known keys, and the rooms that are now
    /// complete.
    pub(crate) fn insert_entries(
        &mut self,
        version: VersionRowId,
        batch: &mut EntryBatch,
    ) -> Result<InsertedEntries, VaultError> {
        let recent = self.take_recent_sessions();
        let written = self.write(|tx| {
            let recent = match recent {
                Some(recent) if recent.is_of(tx)? => recent,
                _ => RecentSessions::read(tx)?.with_filter(tx)?,
            };
            insert(tx, version, batch, recent)
        });
        if let Err(VaultError::DiskFull) = written
            && let Err(error) = self.write(cut_off_uncommitted)
        {
            log::debug!("bodies that were not committed stay until they are written over: {error}");
        }
        let (result, recent) = written?;
        self.keep_recent_sessions(recent);
        Ok(result)
    }

    /// Makes look-ups of sessions cheaper, in one transaction that writes at most 16 bytes for each entry. This is for the
    /// end of a run that has fetched everything.
    pub(crate) fn tidy_session_index(&mut self) -> Result<(), VaultError> {
        let recent = self.take_recent_sessions();
        let recent = self.write(|tx| match recent {
            Some(recent) if recent.is_of(tx)? => Ok(Some(session_index::tidy(tx, recent)?)),
            // Without the filter, they are of no use to the next insert.
            _ => session_index::tidy(tx, RecentSessions::read(tx)?).map(|_| None),
        })?;
        if let Some(recent) = recent {
            self.keep_recent_sessions(recent);
        }
        Ok(())
    }
}

impl Connection {
    /// Whether [`Writer::tidy_session_index`] has something to do.
    pub(crate) fn can_tidy_session_index(&self) -> Result<bool, VaultError> {
        session_index::can_tidy(&self.inner)
    }

    /// Returns the last entry in the vault. Entries that arrive later have higher ids.
    pub(crate) fn last_entry(&self) -> Result<EntryId, VaultError> {
        let sql = "SELECT max((SELECT coalesce(max(id), 0) FROM entry), (SELECT coalesce(max(entry), 0) FROM trimmed))";
        Ok(self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Writes a batch in one transaction without a fence, while a run of this process or another may be under way.
    pub(crate) fn insert_beside(
        &mut self,
        version: VersionRowId,
        batch: &mut EntryBatch,
    ) -> Result<InsertedEntries, VaultError> {
        self.write(|tx| {
            let recent = RecentSessions::read(tx)?;
            let (result, _) = insert(tx, version, batch, recent)?;
            session_index::note_insert_beside(tx)?;
            Ok(result)
        })
    }
}

fn insert(
    tx: &VaultTx<'_>,
    version: VersionRowId,
    batch: &mut EntryBatch,
    recent: RecentSessions,
) -> Result<(InsertedEntries, RecentSessions), VaultError> {
    let mut rooms = Vec::with_capacity(batch.rooms.len());
    for room_id in &batch.rooms {
        let row = room_row(tx, version, room_id)?;
        rooms.push((row, tx.keys.room_hash(room_id)));
    }
    let mut inserting = Inserting::new(tx, version, &recent, batch.bodies.len())?;
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
            name: tx.keys.name_hash(session, &room_hash),
            entry,
            body: &bodies[entry.body.clone()],
        };
        let answer_began = answers.get(&entry.answer).copied().unwrap_or(EntryId::MAX);
        if let Some(id) = inserting.take(&incoming, *compare_through, answer_began)? {
            answers.entry(entry.answer).or_insert(id);
        }
    }
    let (result, names, runs, added) = inserting.end(bodies)?;
    let recent = session_index::write(tx, recent, added)?;
    for run in runs {
        note_run(tx, &run)?;
    }
    for (place, era) in &batch.complete_rooms {
        tx.prepare_cached(
            "UPDATE room SET complete = max(complete, ?2), failures = 0, fault = 0, failed_at_ms = 0, retry_at_ms = 0
                 WHERE id = ?1",
        )?
        .execute(params![rooms[*place].0, *era])?;
    }
    for place in &batch.file_places {
        file_places::note(tx, place)?;
    }
    tx.prepare_cached("UPDATE backup_version SET fetched = fetched + ?2, names = names + ?3 WHERE id = ?1")?
        .execute(params![version, result.inserted.cast_signed(), names])?;
    Ok((result, recent))
}

/// The counts of a transaction, the runs of rooms, and the pairs for the session index.
type Written = (InsertedEntries, i64, Vec<RoomRun>, Vec<(i64, EntryId)>);

/// The state of one transaction that writes entries.
struct Inserting<'a> {
    transaction: &'a VaultTx<'a>,
    version: VersionRowId,
    /// Entries of the version up to this one count as names only after an answer contains them again.
    confirm_through: EntryId,
    /// Whether entries that the server has are noted.
    is_mirrored: bool,
    index: SessionIndex<'a>,
    appending: Appending,
    insert_entry: CachedStatement<'a>,
    first_id: EntryId,
    next_id: EntryId,
    result: InsertedEntries,
    names: i64,
    runs: Vec<RoomRun>,
}

impl<'a> Inserting<'a> {
    fn new(
        transaction: &'a VaultTx<'a>,
        version: VersionRowId,
        recent: &'a RecentSessions,
        bytes: usize,
    ) -> Result<Self, VaultError> {
        let (confirm_through, is_mirrored) = transaction
            .prepare_cached("SELECT confirm_through, is_mirrored FROM backup_version WHERE id = ?1")?
            .query_row([version], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let first_id = next_id(transaction)?;
        Ok(Self {
            transaction,
            version,
            confirm_through,
            is_mirrored,
            index: SessionIndex::new(transaction, recent),
            appending: Appending::begin(transaction, bytes)?,
            insert_entry: transaction.prepare_cached(
                "INSERT INTO entry (id, room, session, body, forwarded_count, segment, at, length)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?,
            first_id,
            next_id: first_id,
            result: InsertedEntries::default(),
            names: 0,
            runs: Vec::new(),
        })
    }

    /// Writes the bodies from the batch's buffer to their segment. Returns what the rest of the transaction needs.
    fn end(self, bodies: &[u8]) -> Result<Written, VaultError> {
        self.appending
            .end(self.transaction, bodies, self.first_id..=self.next_id.previous())?;
        Ok((self.result, self.names, self.runs, self.index.into_added()))
    }

    /// Writes an entry and returns its id. Returns `None` if the vault does not need the entry, because it already
    /// has that entry or a copy that is as good.
    fn take(
        &mut self,
        incoming: &Incoming<'_>,
        compare_through: EntryId,
        answer_began: EntryId,
    ) -> Result<Option<EntryId>, VaultError> {
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
                Comes::Same(entry) => {
                    self.note_served(entry)?;
                    return Ok(None);
                }
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

    /// Records that an answer contains known entries again, so that their name counts under the current mark.
    fn confirm(&mut self, known: &[&Namesake]) -> Result<(), VaultError> {
        // The first entry stands for the name, so that a name with several copies counts once.
        let first = known.iter().map(|known| known.id).min().unwrap_or(EntryId::MAX);
        if first <= self.confirm_through {
            let confirmed = self
                .transaction
                .prepare_cached("INSERT OR IGNORE INTO confirmed (entry) VALUES (?1)")?
                .execute([first])?;
            self.names += confirmed as i64;
        }
        Ok(())
    }

    /// Records that the server has an entry as it is in the vault.
    fn note_served(&self, entry: EntryId) -> Result<(), VaultError> {
        if self.is_mirrored {
            self.transaction
                .prepare_cached("INSERT OR IGNORE INTO served (entry) VALUES (?1)")?
                .execute([entry])?;
        }
        Ok(())
    }

    fn write(&mut self, incoming: &Incoming<'_>, fetched: i64, names: i64) -> Result<EntryId, VaultError> {
        let id = self.next_id;
        let place = self.appending.place(incoming.entry.body.clone());
        let body = match place {
            Some(_) => &[],
            None => incoming.body,
        };
        self.insert_entry.execute(params![
            id,
            incoming.room,
            incoming.session,
            body,
            incoming.entry.claims.forwarded_count,
            place.map(|place| place.segment),
            place.map(|place| place.at.cast_signed()),
            place.map(|place| place.length as i64),
        ])?;
        self.note_served(id)?;
        self.next_id = id.next();
        self.result.inserted += fetched.cast_unsigned();
        self.result.taken += 1;
        self.names += names;
        self.index.add(incoming.name, id);
        match self.runs.last_mut() {
            Some(run) if run.room == incoming.room && run.last_entry.next() == id => run.last_entry = id,
            _ => self.runs.push(RoomRun {
                room: incoming.room,
                first_entry: id,
                last_entry: id,
            }),
        }
        Ok(id)
    }
}

/// Returns an id that is higher than that of every entry that the vault has or had, including trimmed and forgotten
/// entries.
fn next_id(transaction: &Transaction<'_>) -> Result<EntryId, VaultError> {
    let sql = "SELECT 1 + max(last_forgotten, (SELECT coalesce(max(id), 0) FROM entry),
                              (SELECT coalesce(max(entry), 0) FROM trimmed)) FROM job";
    Ok(transaction.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}
