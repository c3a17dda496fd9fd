//! Rooms of a backup version: which are to be asked for, in which order, and which are done.

use std::ops::RangeInclusive;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Connection, VaultError, Writer,
    copies::MAY_BE_BETTER,
    seal::{Sealed, VaultKeys},
};

/// One room of one backup version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) room_id: String,
}

/// A room that is to be asked for by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomToFetch {
    pub(crate) room_id: String,
    /// Some of its entries have come: its answer was cut, as a rule.
    pub(crate) is_begun: bool,
    /// It was moved to the front.
    pub(crate) is_wanted: bool,
    /// How often its answer was cut.
    pub(crate) cuts: u32,
}

impl Connection {
    /// The next rooms to ask for by themselves, the most wanted first.
    pub(crate) fn rooms_to_fetch(&self, version: i64, limit: usize) -> Result<Vec<RoomToFetch>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT sealed_id, entries > 0, position < 0, cuts FROM room
             WHERE version = ?1 AND complete = 0 AND position IS NOT NULL ORDER BY position LIMIT ?2",
        )?;
        let mut rows = statement.query(params![version, limit as i64])?;
        let mut rooms = Vec::new();
        while let Some(row) = rows.next()? {
            rooms.push(RoomToFetch {
                room_id: room_id(&self.keys, row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?,
                is_begun: row.get(1)?,
                is_wanted: row.get(2)?,
                cuts: row.get(3)?,
            });
        }
        Ok(rooms)
    }

    /// Whether rooms of the list are still to be asked for, those that were moved to the front aside.
    pub(crate) fn has_listed_rooms_to_fetch(&self, version: i64) -> Result<bool, VaultError> {
        let sql = "SELECT 1 FROM room WHERE version = ?1 AND complete = 0 AND position >= 0";
        Ok(self.inner.prepare_cached(sql)?.exists([version])?)
    }

    /// The row ids of a room and of its version, in every version, the newest first.
    pub(super) fn rooms_named(&self, room_id: &str) -> Result<Vec<(i64, i64)>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            // In this order: versions are few.
            "SELECT room.id, room.version FROM backup_version
             CROSS JOIN room ON room.version = backup_version.id AND hash = ?1 ORDER BY backup_version.id DESC",
        )?;
        let rows = statement.query_map([self.keys.room_hash(room_id)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// First and last entry of the first run of entries of a room that ends after `after`, from there on. However many pieces a
    /// room is in, it costs one search.
    pub(super) fn next_run(&self, room: i64, after: i64) -> Result<Option<(i64, i64)>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT max(first_entry, ?2 + 1), last_entry FROM room_run
             WHERE room = ?1 AND last_entry > ?2 AND first_entry >= ifnull(
                (SELECT max(first_entry) FROM room_run WHERE room = ?1 AND first_entry <= ?2 + 1), 0)
             ORDER BY first_entry LIMIT 1",
        )?;
        let run = statement.query_row([room, after], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(run.optional()?)
    }

    /// First and last entry of each run of entries of a room that ends after `after`, in every version, the newest first: at
    /// most `limit` of them.
    pub(crate) fn room_runs(
        &self,
        room_id: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<RangeInclusive<i64>>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT first_entry, last_entry FROM room_run WHERE room = ?1 AND last_entry > ?2
             ORDER BY first_entry LIMIT ?3",
        )?;
        let mut runs = Vec::new();
        for (room, _) in self.rooms_named(room_id)? {
            let left = (limit - runs.len()) as i64;
            for run in statement.query_map([room, after, left], |row| Ok(row.get(0)?..=row.get(1)?))? {
                runs.push(run?);
            }
        }
        Ok(runs)
    }

    /// Whether the room's own answer has been read to its end, in the era that the version is in.
    pub(crate) fn room_is_complete(&self, version: i64, room_id: &str) -> Result<bool, VaultError> {
        Ok(self
            .inner
            .prepare_cached(
                "SELECT 1 FROM room JOIN backup_version ON backup_version.id = room.version
                 WHERE room.version = ?1 AND hash = ?2 AND room.complete = era",
            )?
            .exists(params![version, self.keys.room_hash(room_id)])?)
    }

    /// Entries of a room in one version, and how often its answer was cut.
    pub(crate) fn room_size(&self, version: i64, room_id: &str) -> Result<(u64, u32), VaultError> {
        let sql = "SELECT entries, cuts FROM room WHERE version = ?1 AND hash = ?2";
        let mut statement = self.inner.prepare_cached(sql)?;
        let size = statement.query_row(params![version, self.keys.room_hash(room_id)], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
        });
        Ok(size.optional()?.unwrap_or_default())
    }

    /// Whether a key of the room has failed, or does not begin with the session's first message.
    pub(crate) fn room_may_be_better(&self, version: i64, room_id: &str) -> Result<bool, VaultError> {
        let mut statement = self.inner.prepare_cached(&format!(
            "SELECT 1 FROM room JOIN room_run ON room_run.room = room.id
             JOIN opened ON opened.entry BETWEEN first_entry AND last_entry
             WHERE version = ?1 AND hash = ?2 AND {MAY_BE_BETTER}"
        ))?;
        Ok(statement.exists(params![version, self.keys.room_hash(room_id)])?)
    }

    /// Rooms that were moved to the front and are still to be asked for.
    pub(crate) fn wanted_rooms(&self, version: i64, limit: usize) -> Result<Vec<String>, VaultError> {
        let mut rooms = self.rooms_to_fetch(version, limit)?;
        rooms.retain(|room| room.is_wanted);
        Ok(rooms.into_iter().map(|room| room.room_id).collect())
    }

    /// Moves rooms to the front, of every version that is still being fetched; rooms that nobody knew of are noted.
    pub(crate) fn prioritise(&mut self, rooms: &[String]) -> Result<(), VaultError> {
        self.write(|transaction, keys| prioritise(transaction, keys, rooms))
    }

    /// Rooms that are complete, and rooms known.
    pub(crate) fn room_counts(&self, version: i64) -> Result<(u64, u64), VaultError> {
        Ok(self
            .inner
            .prepare_cached("SELECT total(complete > 0), count(*) FROM room WHERE version = ?1")?
            .query_row([version], |row| {
                Ok((row.get::<_, f64>(0)? as u64, row.get::<_, i64>(1)?.cast_unsigned()))
            })?)
    }

    /// A room by its row id.
    pub(crate) fn room(&self, id: i64) -> Result<RoomRow, VaultError> {
        let (version, sealed): (i64, Vec<u8>) = self
            .inner
            .prepare_cached("SELECT version, sealed_id FROM room WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(RoomRow {
            id,
            version,
            room_id: room_id(&self.keys, &sealed)?,
        })
    }
}

impl Writer {
    /// Notes rooms in the order they are wanted in; a room that is noted already takes its new place, unless it was moved
    /// to the front.
    pub(crate) fn list_rooms(&mut self, version: i64, rooms: &[String], first_position: u64) -> Result<(), VaultError> {
        self.write(|transaction, keys| {
            for (position, room_id) in (first_position..).zip(rooms) {
                place(transaction, keys, version, room_id, position.cast_signed())?;
            }
            Ok(())
        })
    }

    /// Moves rooms to the front, as for a connection.
    pub(crate) fn prioritise(&mut self, rooms: &[String]) -> Result<(), VaultError> {
        self.write(|transaction, keys| prioritise(transaction, keys, rooms))
    }

    /// Counts an answer for a room that was cut.
    pub(crate) fn count_room_cut(&mut self, version: i64, room_id: &str) -> Result<(), VaultError> {
        self.write(|transaction, keys| {
            transaction
                .prepare_cached("UPDATE room SET cuts = cuts + 1 WHERE version = ?1 AND hash = ?2")?
                .execute(params![version, keys.room_hash(room_id)])?;
            Ok(())
        })
    }

    /// Asks for a room no more by itself.
    pub(crate) fn unlist_room(&mut self, version: i64, room_id: &str) -> Result<(), VaultError> {
        self.write(|transaction, keys| {
            transaction
                .prepare_cached("UPDATE room SET position = NULL WHERE version = ?1 AND hash = ?2")?
                .execute(params![version, keys.room_hash(room_id)])?;
            Ok(())
        })
    }
}

fn prioritise(transaction: &Transaction<'_>, keys: &VaultKeys, rooms: &[String]) -> Result<(), VaultError> {
    let mut versions = transaction.prepare_cached("SELECT id FROM backup_version WHERE complete = 0 AND gone = 0")?;
    let versions: Vec<i64> = versions.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for version in versions {
        let first: i64 = transaction.query_row(
            "SELECT coalesce(min(position), 0) FROM room WHERE version = ?1",
            [version],
            |row| row.get(0),
        )?;
        for (position, room_id) in (first.min(0) - rooms.len() as i64..).zip(rooms) {
            let room = place(transaction, keys, version, room_id, position)?;
            // What was complete in an earlier era may have more by now.
            transaction
                .prepare_cached(
                    "UPDATE room SET complete = 0 WHERE id = ?1 AND complete <> 0
                     AND complete <> (SELECT era FROM backup_version WHERE id = ?2)",
                )?
                .execute([room, version])?;
        }
    }
    Ok(())
}

/// Gives the room its place in the list, unless it has a better one; its row id.
fn place(
    transaction: &Transaction<'_>,
    keys: &VaultKeys,
    version: i64,
    room_id: &str,
    position: i64,
) -> Result<i64, VaultError> {
    let id = room_row(transaction, keys, version, room_id)?;
    transaction
        .prepare_cached(
            "UPDATE room SET position = ?2 WHERE id = ?1 AND (position IS NULL OR position > ?2 OR position >= 0)
             AND position IS NOT ?2",
        )?
        .execute(params![id, position])?;
    Ok(id)
}

/// The row of a room, made if there is none.
pub(super) fn room_row(
    transaction: &Transaction<'_>,
    keys: &VaultKeys,
    version: i64,
    room_id: &str,
) -> Result<i64, VaultError> {
    let hash = keys.room_hash(room_id);
    let found = transaction
        .prepare_cached("SELECT id FROM room WHERE version = ?1 AND hash = ?2")?
        .query_row(params![version, hash], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    transaction
        .prepare_cached("INSERT INTO room (version, hash, sealed_id) VALUES (?1, ?2, ?3)")?
        .execute(params![version, hash, keys.seal(Sealed::RoomId, room_id.as_bytes())])?;
    Ok(transaction.last_insert_rowid())
}

fn room_id(keys: &VaultKeys, sealed: &[u8]) -> Result<String, VaultError> {
    let bytes = keys.unseal(Sealed::RoomId, sealed)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| VaultError::Corrupt)
}
