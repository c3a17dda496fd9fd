//! Rooms of a backup version: which are to be asked for, in which order, and which are done.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Connection, VaultError, Writer,
    seal::{Sealed, VaultKeys},
};

/// One room of one backup version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) room_id: String,
}

impl Connection {
    /// The next rooms to ask for by themselves, the most wanted first.
    pub(crate) fn rooms_to_fetch(&self, version: i64, limit: usize) -> Result<Vec<String>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT sealed_id FROM room
             WHERE version = ?1 AND complete = 0 AND position IS NOT NULL ORDER BY position LIMIT ?2",
        )?;
        let rows = statement.query_map(params![version, limit as i64], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|sealed| room_id(&self.keys, &sealed?)).collect()
    }

    /// Rooms that are complete, and rooms known.
    pub(crate) fn room_counts(&self, version: i64) -> Result<(u64, u64), VaultError> {
        Ok(self
            .inner
            .prepare_cached("SELECT total(complete), count(*) FROM room WHERE version = ?1")?
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
    /// Notes rooms in the order they are wanted in; a room that is noted already takes its new place.
    pub(crate) fn list_rooms(&mut self, version: i64, rooms: &[String], first_position: u64) -> Result<(), VaultError> {
        self.write(|transaction, keys| {
            for (position, room_id) in (first_position..).zip(rooms) {
                let id = room_row(transaction, keys, version, room_id)?;
                transaction
                    .prepare_cached("UPDATE room SET position = ?2 WHERE id = ?1")?
                    .execute(params![id, position.cast_signed()])?;
            }
            Ok(())
        })
    }
}

impl Writer {
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
