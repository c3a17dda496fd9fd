//! Recognising entries of earlier runs, before they are packed: a room, or everything, is read again from its beginning when
//! its answer was cut.
//!
//! Servers give a room's entries in the same order again, nearly always. So what comes is first held against the entries of
//! the room in the order they came; a look-up, ten times as dear, is for those that come out of turn.

use std::{collections::VecDeque, ops::RangeInclusive};

use rusqlite::{OptionalExtension, params};

use super::{
    Connection, VaultError,
    entries::session_from_row,
    session_index::{self, RecentSessions},
};
use crate::backup::session_id::SessionId;

/// Entries that are read ahead.
const AHEAD: i64 = 2_000;
/// Entries out of turn after which a room is taken for one without an order.
const MOST_OUT_OF_TURN: u32 = 20;

/// Entries of earlier runs.
pub(crate) struct KnownEntries {
    connection: Connection,
    recent: RecentSessions,
}

/// Those of the room that is being read.
#[derive(Debug, Default)]
pub(crate) struct KnownRoom {
    /// Its own answer has been read to the end: all of it is known.
    is_complete: bool,
    /// Runs of entries that are still to come, if they come in order.
    runs: VecDeque<RangeInclusive<i64>>,
    ahead: VecDeque<SessionId>,
    out_of_turn: u32,
}

impl KnownEntries {
    pub(crate) fn new(connection: Connection) -> Result<Self, VaultError> {
        let recent = RecentSessions::read(&connection.inner)?;
        Ok(Self { connection, recent })
    }

    /// Begins with a room.
    pub(crate) fn room(&self, version: i64, room_id: &str) -> Result<KnownRoom, VaultError> {
        Ok(KnownRoom {
            is_complete: self.connection.room_is_complete(version, room_id)?,
            runs: self.connection.room_runs_of(version, room_id)?.into(),
            ..KnownRoom::default()
        })
    }

    /// Whether the entry is one of them. One that has come since may be missed: it costs only time.
    pub(crate) fn has(
        &self,
        room: &mut KnownRoom,
        version: i64,
        room_id: &str,
        session: &SessionId,
    ) -> Result<bool, VaultError> {
        if room.is_complete {
            return Ok(true);
        }
        if room.ahead.is_empty() {
            self.read_ahead(room)?;
        }
        if room.ahead.front() == Some(session) {
            room.ahead.pop_front();
            return Ok(true);
        }
        let Some(id) = self.find(version, room_id, session)? else {
            return Ok(false);
        };
        room.out_of_turn += 1;
        room.ahead.clear();
        if room.out_of_turn >= MOST_OUT_OF_TURN {
            room.runs.clear();
        }
        // What follows it is expected next.
        room.runs.retain_mut(|run| {
            *run = *run.start().max(&(id + 1))..=*run.end();
            !run.is_empty()
        });
        Ok(true)
    }

    fn read_ahead(&self, room: &mut KnownRoom) -> Result<(), VaultError> {
        let mut statement = self
            .connection
            .inner
            .prepare_cached("SELECT id, session FROM entry WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3")?;
        while room.ahead.is_empty()
            && let Some(run) = room.runs.pop_front()
        {
            let mut rows = statement.query([*run.start(), *run.end(), AHEAD])?;
            let mut last = *run.end();
            while let Some(row) = rows.next()? {
                last = row.get(0)?;
                room.ahead.push_back(session_from_row(row, 1)?);
            }
            if last < *run.end() {
                room.runs.push_front(last + 1..=*run.end());
            }
        }
        Ok(())
    }

    fn find(&self, version: i64, room_id: &str, session: &SessionId) -> Result<Option<i64>, VaultError> {
        let Connection { inner, keys, .. } = &self.connection;
        let session = &*session.to_bytes();
        let hash = keys.session_hash(session);
        let mut candidates = session_index::in_tree(inner, hash)?;
        candidates.extend(self.recent.entries(hash));
        let mut is_it = inner.prepare_cached(
            "SELECT ?1 FROM (SELECT room, session FROM entry WHERE id = ?1
                             UNION ALL SELECT room, session FROM trimmed WHERE entry = ?1) AS known
             JOIN room ON room.id = known.room WHERE session = ?2 AND version = ?3 AND hash = ?4",
        )?;
        for candidate in candidates {
            let found = is_it
                .query_row(params![candidate, session, version, keys.room_hash(room_id)], |row| {
                    row.get(0)
                })
                .optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
