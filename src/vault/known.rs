//! Recognises entries of earlier runs before they are packed. This saves time when a room, or everything, is read
//! again from its beginning because the last answer was cut off.
//!
//! Servers nearly always return a room's entries in the same order again. So an incoming entry is first compared
//! with the next stored entry of the room, in the order of arrival. Only an entry that comes out of turn needs a
//! look-up, which is about ten times slower.

use std::{collections::VecDeque, ops::RangeInclusive};

use rusqlite::{OptionalExtension, params};

use super::{
    Connection, VaultError,
    entries::session_from_row,
    session_index::{self, RecentSessions},
};
use crate::backup::session_id::SessionId;
use crate::ids::{EntryId, RoomRowId, VersionRowId};

/// Number of stored entries that are read ahead: the lower bound at first, then twice as many each time, up to the
/// upper bound.
const AHEAD: RangeInclusive<i64> = 32..=2_048;
/// Number of entries out of turn after which a room's entries are no longer expected in order.
const MOST_OUT_OF_TURN: u32 = 20;

/// SQL condition: whether an incoming entry may be better than the stored entry `known.id`. It may if the stored
/// entry has failed, or does not begin with the session's first message. It also may if the stored entry has not
/// been opened and arrived before the current era (`?1` is the last entry before it): it may have been replaced
/// since.
const MAY_BE_BETTER: &str =
    "ifnull((SELECT failure <> 0 OR first_index > 0 FROM opened WHERE opened.entry = known.id), known.id <= ?1)";

/// The stored entries of earlier runs, with which incoming entries are compared.
pub(crate) struct KnownEntries {
    connection: Connection,
    recent: RecentSessions,
    /// The last entry that existed when the current era of the version began.
    era_began: EntryId,
}

/// What the vault knows of an incoming entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The vault does not have it. An entry that was stored while the answer is being read may be missed, which
    /// costs only time.
    No,
    /// The vault has it.
    Yes,
    /// The vault has it, and the incoming entry may be a better copy.
    MayBeBetter,
}

/// The stored entries of the room that is being read, and the position in them.
#[derive(Debug)]
pub(crate) struct KnownRoom {
    /// `None` if the vault does not know the room.
    id: Option<RoomRowId>,
    hash: [u8; 16],
    /// Whether the room's own answer has been read to the end in this era, so that every entry is known.
    is_complete: bool,
    /// The stored entry after which the next incoming entry is expected.
    after: EntryId,
    ahead: VecDeque<(EntryId, SessionId, Known)>,
    /// Number of entries to read ahead the next time; 0 if entries do not come in order.
    next_ahead: i64,
    out_of_turn: u32,
    /// Whether the last recognised entry was stored after all entries that were read ahead.
    was_behind: bool,
}

impl KnownEntries {
    /// Prepares to recognise the entries of a version. `era_began` is the last entry that existed when its era
    /// began.
    pub(crate) fn new(connection: Connection, era_began: EntryId) -> Result<Self, VaultError> {
        let recent = RecentSessions::read(&connection.inner)?;
        Ok(Self {
            connection,
            recent,
            era_began,
        })
    }

    /// Begins to recognise the entries of a room.
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

    /// Returns what the vault knows of the next entry of the room's answer.
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
            // A better copy comes at its old place in the answer but is stored after all other entries. So one
            // entry of this kind does not change which entry is expected next.
            return Ok(known);
        }
        // The stored entries after this one are expected next.
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
        // Starts at the run that contains the current position. There may be many runs before it, if a server splits
        // rooms into pieces.
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
        let mut candidates = session_index::in_runs(inner, name)?;
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
