//! Recognising entries of earlier runs, before they are packed: a room, or everything, is read again from its beginning when
//! its answer was cut.
//!
//! Servers give a room's entries in the same order again, nearly always. So what comes is first held against the entries of
//! the room in the order they came; a look-up, about ten times slower, is for those that come out of turn.

use std::{collections::VecDeque, ops::RangeInclusive};

use rusqlite::{OptionalExtension, params};

use super::{
    Connection, VaultError,
    entries::session_from_row,
    session_index::{self, RecentSessions},
};
use crate::backup::session_id::SessionId;
use crate::ids::{EntryId, RoomRowId, VersionRowId};

/// Entries that are read ahead: so many at first, and twice as many each time, up to the second figure.
const AHEAD: RangeInclusive<i64> = 32..=2_048;
/// Entries out of turn after which a room is taken for one without an order.
const MOST_OUT_OF_TURN: u32 = 20;

/// Whether what comes may be better than the entry `known.id`: that has failed, or does not begin with the first message, or
/// waits for its key since before the mark moved (`?1`), and may have been replaced since.
const MAY_BE_BETTER: &str =
    "ifnull((SELECT failure <> 0 OR first_index > 0 FROM opened WHERE opened.entry = known.id), known.id <= ?1)";

/// Entries of earlier runs.
pub(crate) struct KnownEntries {
    connection: Connection,
    recent: RecentSessions,
    /// The last entry that there was when the era of the version began.
    era_began: EntryId,
}

/// What is known of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing. One that has come since may be missed: it costs only time.
    No,
    /// It is here.
    Yes,
    /// It is here, and what comes may be a better copy.
    MayBeBetter,
}

/// Those of the room that is being read.
#[derive(Debug)]
pub(crate) struct KnownRoom {
    /// Row id; `None` where nothing of it is known.
    id: Option<RoomRowId>,
    hash: [u8; 16],
    /// Its own answer has been read to the end: all of it is known.
    is_complete: bool,
    /// The entry after which what comes in order is still to come.
    after: EntryId,
    ahead: VecDeque<(EntryId, SessionId, Known)>,
    /// Entries to read ahead the next time; 0 where nothing comes in order.
    next_ahead: i64,
    out_of_turn: u32,
    /// The last one was found behind all that are expected.
    was_behind: bool,
}

impl KnownEntries {
    /// Of a version whose era began after that entry.
    pub(crate) fn new(connection: Connection, era_began: EntryId) -> Result<Self, VaultError> {
        let recent = RecentSessions::read(&connection.inner)?;
        Ok(Self {
            connection,
            recent,
            era_began,
        })
    }

    /// Begins with a room.
    pub(crate) fn room(&self, version: VersionRowId, room_id: &str) -> Result<KnownRoom, VaultError> {
        let Connection { inner, keys, .. } = &self.connection;
        let hash = keys.room_hash(room_id);
        let row = inner
            .prepare_cached(
                "SELECT room.id, room.complete = era FROM room JOIN backup_version ON backup_version.id = room.version
                 WHERE room.version = ?1 AND hash = ?2",
            )?
            .query_row(params![version, hash], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(KnownRoom {
            id: row.map(|(id, _)| id),
            hash,
            is_complete: row.is_some_and(|(_, is_complete)| is_complete),
            after: EntryId::NONE,
            ahead: VecDeque::new(),
            next_ahead: *AHEAD.start(),
            out_of_turn: 0,
            was_behind: false,
        })
    }

    /// Whether the entry is one of them.
    pub(crate) fn has(&self, room: &mut KnownRoom, session: &SessionId) -> Result<Known, VaultError> {
        let Some(row) = room.id else { return Ok(Known::No) };
        if room.is_complete {
            return Ok(Known::Yes);
        }
        if room.ahead.is_empty() {
            self.read_ahead(row, room)?;
        }
        if let Some((id, _, known)) = room.ahead.pop_front_if(|(_, next, _)| next == session) {
            room.after = id;
            room.was_behind = false;
            return Ok(known);
        }
        let Some((id, known)) = self.find(row, &room.hash, session)? else {
            return Ok(Known::No);
        };
        let is_behind = room.ahead.back().is_some_and(|(last, ..)| id > *last);
        if is_behind && !std::mem::replace(&mut room.was_behind, true) {
            // A better copy has its place in the order, and stands behind all others.
            return Ok(known);
        }
        // What follows it is expected next.
        room.after = id;
        room.ahead.clear();
        room.next_ahead = *AHEAD.start();
        room.out_of_turn += 1;
        if room.out_of_turn >= MOST_OUT_OF_TURN {
            room.next_ahead = 0;
        }
        Ok(known)
    }

    fn read_ahead(&self, row: RoomRowId, room: &mut KnownRoom) -> Result<(), VaultError> {
        if room.next_ahead == 0 {
            return Ok(());
        }
        // Runs begin with the one that the place is in: those before it are many, where a server tears rooms into pieces.
        let mut statement = self.connection.inner.prepare_cached(&format!(
            "SELECT known.id, session, {MAY_BE_BETTER}
             FROM room_run JOIN entry AS known ON known.id BETWEEN max(first_entry, ?3 + 1) AND last_entry
             WHERE room_run.room = ?2 AND last_entry > ?3 AND first_entry >= ifnull(
                (SELECT max(first_entry) FROM room_run WHERE room = ?2 AND first_entry <= ?3 + 1), 0)
             ORDER BY first_entry, known.id LIMIT ?4"
        ))?;
        let mut rows = statement.query(params![self.era_began, row, room.after, room.next_ahead])?;
        while let Some(row) = rows.next()? {
            room.ahead
                .push_back((row.get(0)?, session_from_row(row, 1)?, known(row.get(2)?)));
        }
        room.next_ahead = match room.ahead.is_empty() {
            true => 0,
            false => (room.next_ahead * 2).min(*AHEAD.end()),
        };
        Ok(())
    }

    fn find(
        &self,
        row: RoomRowId,
        hash: &[u8; 16],
        session: &SessionId,
    ) -> Result<Option<(EntryId, Known)>, VaultError> {
        let Connection { inner, keys, .. } = &self.connection;
        let session = &*session.to_bytes();
        let name = keys.name_hash(session, hash);
        let mut candidates = session_index::in_tree(inner, name)?;
        candidates.extend(self.recent.of_name(name));
        let mut is_it = inner.prepare_cached(&format!(
            "SELECT {MAY_BE_BETTER}
             FROM (SELECT id, room, session FROM entry WHERE id = ?2
                   UNION ALL SELECT entry, room, session FROM trimmed WHERE entry = ?2 AND NOT is_forgotten) AS known
             WHERE session = ?3 AND room = ?4"
        ))?;
        for candidate in candidates {
            let found = is_it.query_row(params![self.era_began, candidate, session, row], |row| row.get(0));
            if let Some(may_be_better) = found.optional()? {
                return Ok(Some((candidate, known(may_be_better))));
            }
        }
        Ok(None)
    }
}

fn known(may_be_better: bool) -> Known {
    if may_be_better { Known::MayBeBetter } else { Known::Yes }
}
