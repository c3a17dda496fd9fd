//! Stores the rooms of a backup version: which of them a run requests, in which order, and which have been read to
//! their end.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use rusqlite::{OptionalExtension, params};

use super::{
    Connection, VaultError, VaultTx, VersionRow, Writer,
    rests::{Fault, Rest},
    seal::{Sealed, VaultKeys},
};
use crate::{
    backup::{BackupOrigin, limits::MAX_REST},
    clock::wall_ms,
    ids::{EntryId, RoomRowId, VersionRowId},
};

/// One room of one backup version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) id: RoomRowId,
    pub(crate) version: VersionRowId,
    pub(crate) room_id: String,
    /// The origin that its keys are given, without whether the version is the current one; `None` if the version's
    /// public key is not known.
    pub(crate) origin: Option<Arc<BackupOrigin>>,
}

/// A room that a run requests separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomToFetch {
    pub(crate) room_id: String,
    /// Whether the vault has some of its entries, usually because an answer was cut off.
    pub(crate) is_begun: bool,
    /// Whether it was moved to the front.
    pub(crate) is_wanted: bool,
    /// How often its answer was cut off.
    pub(crate) cuts: u32,
    /// Its failures, and the wait until it may be requested again.
    pub(crate) rest: Rest,
}

/// Summary of the rooms that fail and are not requested again yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RestingRooms {
    pub(crate) rooms: u64,
    /// Number of failing rooms with a last answer that did not have the shape of a key backup.
    pub(crate) wrong_shapes: u64,
    /// Whether any other room of the version has been read to its end.
    pub(crate) is_any_read: bool,
    /// The wait until the first of the failing rooms may be requested again.
    pub(crate) wait: Duration,
}

/// SQL condition: rooms in the list of the version (`?1`) that have not been read to their end and do not rest now
/// (`?2`).
const IS_DUE: &str = "version = ?1 AND complete = 0 AND position IS NOT NULL
    AND NOT (retry_at_ms > ?2 AND failed_at_ms <= ?2)";

/// SQL condition: rooms of the version (`?1`) that were last read in an earlier era, or are not read and in no
/// list. They have not been requested separately in the current era, and are not about to be.
const IS_OLDER: &str = "version = ?1 AND CASE complete WHEN 0 THEN position IS NULL
    ELSE complete < (SELECT era FROM backup_version WHERE id = ?1) END";

impl Connection {
    /// Returns the next rooms to request separately. Rooms without failures come first, then the order is that of
    /// the list. Rooms that rest are left out.
    pub(crate) fn rooms_to_fetch(&self, version: VersionRowId, limit: usize) -> Result<Vec<RoomToFetch>, VaultError> {
        let mut statement = self.inner.prepare_cached(&format!(
            "SELECT sealed_id, entries > 0 AS is_begun, position < 0 AS is_wanted, cuts, failures, fault, failed_at_ms,
                 retry_at_ms
             FROM room WHERE {IS_DUE} ORDER BY failures > 0, position LIMIT ?3"
        ))?;
        let mut rows = statement.query(params![version, wall_ms(), limit as i64])?;
        let mut rooms = Vec::new();
        while let Some(row) = rows.next()? {
            rooms.push(RoomToFetch {
                room_id: room_id(&self.keys, row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?,
                is_begun: row.get("is_begun")?,
                is_wanted: row.get("is_wanted")?,
                cuts: row.get("cuts")?,
                rest: Rest::from_row(row)?,
            });
        }
        Ok(rooms)
    }

    /// Whether a run has to request rooms of the list now, not counting rooms that were moved to the front.
    pub(crate) fn has_listed_rooms_to_fetch(&self, version: VersionRowId) -> Result<bool, VaultError> {
        let sql = format!("SELECT 1 FROM room WHERE {IS_DUE} AND position >= 0");
        Ok(self.inner.prepare_cached(&sql)?.exists(params![version, wall_ms()])?)
    }

    /// Whether some rooms were last read in an earlier era, or are known but in no list and not read.
    pub(crate) fn has_older_answers(&self, version: VersionRowId) -> Result<bool, VaultError> {
        let sql = format!("SELECT 1 FROM room WHERE {IS_OLDER}");
        Ok(self.inner.prepare_cached(&sql)?.exists([version])?)
    }

    /// Returns a summary of the rooms of the list that have failed and rest.
    pub(crate) fn resting_rooms(&self, version: VersionRowId) -> Result<RestingRooms, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT count(*), total(fault = 1), min(retry_at_ms) - ?2,
                 EXISTS (SELECT 1 FROM room AS other WHERE other.version = ?1 AND other.complete <> 0)
             FROM room
             WHERE version = ?1 AND complete = 0 AND position IS NOT NULL AND retry_at_ms > ?2 AND failed_at_ms <= ?2",
        )?;
        Ok(statement.query_row(params![version, wall_ms()], |row| {
            let wait = row.get::<_, Option<i64>>(2)?.unwrap_or(0);
            Ok(RestingRooms {
                rooms: row.get::<_, i64>(0)?.cast_unsigned(),
                wrong_shapes: row.get::<_, f64>(1)? as u64,
                is_any_read: row.get(3)?,
                wait: Duration::from_millis(wait.max(0).cast_unsigned()).min(MAX_REST),
            })
        })?)
    }

    /// Whether a run has to request failed entries again, because their rooms have not been read in this era.
    pub(crate) fn has_failures_to_ask(&self, version: &VersionRow) -> Result<bool, VaultError> {
        if version.failed_asked || version.counts.failed == 0 || version.gone {
            return Ok(false);
        }
        Ok(!self.rooms_with_failures(version.id, 1)?.is_empty())
    }

    /// Returns rooms with failed entries that have not been read in this era and do not rest.
    pub(crate) fn rooms_with_failures(&self, version: VersionRowId, limit: usize) -> Result<Vec<String>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT sealed_id FROM room WHERE version = ?1
             AND complete <> (SELECT era FROM backup_version WHERE id = ?1)
             AND NOT (retry_at_ms > ?2 AND failed_at_ms <= ?2)
             AND id IN (SELECT room FROM opened JOIN entry ON entry.id = opened.entry WHERE failure <> 0) LIMIT ?3",
        )?;
        let mut rows = statement.query(params![version, wall_ms(), limit as i64])?;
        let mut rooms = Vec::new();
        while let Some(row) = rows.next()? {
            let sealed = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            rooms.push(room_id(&self.keys, sealed)?);
        }
        Ok(rooms)
    }

    /// Returns the row ids of a room in every version that has it, each with the row id of the version, newest
    /// first.
    pub(super) fn rooms_named(&self, room_id: &str) -> Result<Vec<(RoomRowId, VersionRowId)>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            // `CROSS JOIN` fixes the order of the loops: there are only few versions.
            "SELECT room.id, room.version FROM backup_version
             CROSS JOIN room ON room.version = backup_version.id AND hash = ?1 ORDER BY backup_version.id DESC",
        )?;
        let rows = statement.query_map([self.keys.room_hash(room_id)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the next run of a room's entries after `after`, as its first and last entry. If `after` lies inside
    /// a run, that is the rest of this run. Costs one search, however many runs the room has.
    pub(super) fn next_run(&self, room: RoomRowId, after: EntryId) -> Result<Option<(EntryId, EntryId)>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT max(first_entry, ?2 + 1), last_entry FROM room_run
             WHERE room = ?1 AND last_entry > ?2 AND first_entry >= ifnull(
                (SELECT max(first_entry) FROM room_run WHERE room = ?1 AND first_entry <= ?2 + 1), 0)
             ORDER BY first_entry LIMIT 1",
        )?;
        let run = statement.query_row(params![room, after], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(run.optional()?)
    }

    /// Returns the runs of a room's entries that end after `after`, each as its first and last entry: at most
    /// `limit` runs over all versions, those of the newest version first.
    pub(crate) fn room_runs(
        &self,
        room_id: &str,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<RangeInclusive<EntryId>>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT first_entry, last_entry FROM room_run WHERE room = ?1 AND last_entry > ?2
             ORDER BY first_entry LIMIT ?3",
        )?;
        let mut runs = Vec::new();
        for (room, _) in self.rooms_named(room_id)? {
            let left = (limit - runs.len()) as i64;
            for run in statement.query_map(params![room, after, left], |row| Ok(row.get(0)?..=row.get(1)?))? {
                runs.push(run?);
            }
        }
        Ok(runs)
    }

    /// Whether the room's own answer has been read to its end in the current era of the version.
    pub(crate) fn room_is_complete(&self, version: VersionRowId, room_id: &str) -> Result<bool, VaultError> {
        Ok(self
            .inner
            .prepare_cached(
                "SELECT 1 FROM room JOIN backup_version ON backup_version.id = room.version
                 WHERE room.version = ?1 AND hash = ?2 AND room.complete = era",
            )?
            .exists(params![version, self.keys.room_hash(room_id)])?)
    }

    /// Returns the number of entries of a room in one version, and how often its answer was cut off.
    pub(crate) fn room_size(&self, version: VersionRowId, room_id: &str) -> Result<(u64, u32), VaultError> {
        let sql = "SELECT entries, cuts FROM room WHERE version = ?1 AND hash = ?2";
        let mut statement = self.inner.prepare_cached(sql)?;
        let size = statement.query_row(params![version, self.keys.room_hash(room_id)], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
        });
        Ok(size.optional()?.unwrap_or_default())
    }

    /// Whether the server may have a better copy of a key of the room: one has failed, or does not begin with its
    /// session's first message.
    pub(crate) fn room_may_be_better(&self, version: VersionRowId, room_id: &str) -> Result<bool, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT 1 FROM room JOIN room_run ON room_run.room = room.id
             JOIN opened ON opened.entry BETWEEN first_entry AND last_entry
             WHERE version = ?1 AND hash = ?2 AND (failure <> 0 OR first_index > 0)",
        )?;
        Ok(statement.exists(params![version, self.keys.room_hash(room_id)])?)
    }

    /// Returns the rooms among the next `limit` to request that were moved to the front.
    pub(crate) fn wanted_rooms(&self, version: VersionRowId, limit: usize) -> Result<Vec<String>, VaultError> {
        let mut rooms = self.rooms_to_fetch(version, limit)?;
        rooms.retain(|room| room.is_wanted);
        Ok(rooms.into_iter().map(|room| room.room_id).collect())
    }

    /// Returns the number of rooms that have been read to their end, and the number of all known rooms.
    pub(crate) fn room_counts(&self, version: VersionRowId) -> Result<(u64, u64), VaultError> {
        Ok(self
            .inner
            .prepare_cached("SELECT total(complete > 0), count(*) FROM room WHERE version = ?1")?
            .query_row([version], |row| {
                Ok((row.get::<_, f64>(0)? as u64, row.get::<_, i64>(1)?.cast_unsigned()))
            })?)
    }

    /// Returns a room by its row id.
    pub(crate) fn room(&self, id: RoomRowId) -> Result<RoomRow, VaultError> {
        let sql = "SELECT room.version, sealed_id, backup_version.version, public_key
                   FROM room JOIN backup_version ON backup_version.id = room.version WHERE room.id = ?1";
        let mut statement = self.inner.prepare_cached(sql)?;
        let (version, sealed, name, key): (VersionRowId, Vec<u8>, String, Option<Vec<u8>>) =
            statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok(RoomRow {
            id,
            version,
            room_id: room_id(&self.keys, &sealed)?,
            origin: key.map(|key| Arc::new(BackupOrigin::of(&name, &key))),
        })
    }
}

impl Writer {
    /// Puts rooms into the list in this order, from `first_position` on. A room that is already listed is moved to
    /// its new position, unless it was moved to the front.
    pub(crate) fn list_rooms(
        &mut self,
        version: VersionRowId,
        rooms: &[String],
        first_position: u64,
    ) -> Result<(), VaultError> {
        self.write(|tx| {
            for (position, room_id) in (first_position..).zip(rooms) {
                place(tx, version, room_id, position.cast_signed())?;
            }
            Ok(())
        })
    }

    /// Makes rooms due again that were last read in an earlier era, or are known but in no list and not read.
    pub(crate) fn ask_again_for_rooms(&mut self, version: VersionRowId) -> Result<(), VaultError> {
        self.write(|transaction| {
            let sql = format!(
                "UPDATE room SET complete = 0, position = ifnull(position,
                    (SELECT max(0, ifnull(max(position), 0) + 1) FROM room WHERE version = ?1)) WHERE {IS_OLDER}"
            );
            transaction.execute(&sql, [version])?;
            Ok(())
        })
    }

    /// Counts an answer for a room that was cut off.
    pub(crate) fn count_room_cut(&mut self, version: VersionRowId, room_id: &str) -> Result<(), VaultError> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE room SET cuts = cuts + 1 WHERE version = ?1 AND hash = ?2")?
                .execute(params![version, tx.keys.room_hash(room_id)])?;
            Ok(())
        })
    }

    /// Notes that a room has failed, and that it may be requested again after `wait`. Then it comes after all rooms
    /// without failures.
    pub(crate) fn postpone_room(
        &mut self,
        version: VersionRowId,
        room_id: &str,
        fault: Fault,
        wait: Duration,
    ) -> Result<(), VaultError> {
        self.write(|tx| {
            let now = wall_ms();
            tx.prepare_cached(
                "UPDATE room SET failures = failures + 1, fault = ?3, failed_at_ms = ?4, retry_at_ms = ?5
                     WHERE version = ?1 AND hash = ?2",
            )?
            .execute(params![
                version,
                tx.keys.room_hash(room_id),
                fault.code(),
                now,
                now + wait.as_millis() as i64
            ])?;
            Ok(())
        })
    }
}

impl VaultTx<'_> {
    pub(crate) fn prioritise(&self, rooms: &[String]) -> Result<(), VaultError> {
        let mut versions = self.prepare_cached("SELECT id FROM backup_version WHERE settled = 0 AND gone = 0")?;
        let versions: Vec<VersionRowId> = versions.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for version in versions {
            let first: i64 = self.query_row(
                "SELECT coalesce(min(position), 0) FROM room WHERE version = ?1",
                [version],
                |row| row.get(0),
            )?;
            for (position, room_id) in (first.min(0) - rooms.len() as i64..).zip(rooms) {
                let room = place(self, version, room_id, position)?;
                // A room that was read to its end in an earlier era may have more entries now.
                self.prepare_cached(
                    "UPDATE room SET complete = 0 WHERE id = ?1 AND complete <> 0
                         AND complete <> (SELECT era FROM backup_version WHERE id = ?2)",
                )?
                .execute(params![room, version])?;
            }
        }
        Ok(())
    }
}

/// Gives a room its position in the list, unless it was moved further to the front. Returns its row id.
fn place(tx: &VaultTx<'_>, version: VersionRowId, room_id: &str, position: i64) -> Result<RoomRowId, VaultError> {
    let id = room_row(tx, version, room_id)?;
    tx.prepare_cached(
        "UPDATE room SET position = ?2 WHERE id = ?1 AND (position IS NULL OR position > ?2 OR position >= 0)
             AND position IS NOT ?2",
    )?
    .execute(params![id, position])?;
    Ok(id)
}

/// Returns the row id of a room, and creates the row if there is none.
pub(super) fn room_row(tx: &VaultTx<'_>, version: VersionRowId, room_id: &str) -> Result<RoomRowId, VaultError> {
    let hash = tx.keys.room_hash(room_id);
    let found = tx
        .prepare_cached("SELECT id FROM room WHERE version = ?1 AND hash = ?2")?
        .query_row(params![version, hash], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO room (version, hash, sealed_id) VALUES (?1, ?2, ?3)")?
        .execute(params![version, hash, tx.keys.seal(Sealed::RoomId, room_id.as_bytes())])?;
    Ok(RoomRowId(tx.last_insert_rowid()))
}

fn room_id(keys: &VaultKeys, sealed: &[u8]) -> Result<String, VaultError> {
    let bytes = keys.unseal(Sealed::RoomId, sealed)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| VaultError::Corrupt)
}
