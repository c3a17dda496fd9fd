//! Records which entries each room has, as runs of consecutive ids.

use rusqlite::{Transaction, params};

use crate::ids::{EntryId, RoomRowId};
use crate::vault::VaultError;

/// A run of consecutive entries of one room. Rooms arrive one after the other, so there are few runs; an index by
/// room would have to be written with every entry.
pub(super) struct RoomRun {
    pub(super) room: RoomRowId,
    pub(super) first_entry: EntryId,
    pub(super) last_entry: EntryId,
}

pub(super) fn note_run(transaction: &Transaction<'_>, run: &RoomRun) -> Result<(), VaultError> {
    let RoomRun {
        room,
        first_entry,
        last_entry,
    } = *run;
    transaction
        .prepare_cached("UPDATE room SET entries = entries + ?2 WHERE id = ?1")?
        .execute(params![room, last_entry.0 - first_entry.0 + 1])?;
    let longer = transaction
        .prepare_cached(
            "UPDATE room_run SET last_entry = ?3 WHERE room = ?1 AND last_entry = ?2 - 1
             AND first_entry = (SELECT max(first_entry) FROM room_run WHERE room = ?1)",
        )?
        .execute(params![room, first_entry, last_entry])?;
    if longer == 0 {
        transaction
            .prepare_cached("INSERT INTO room_run (room, first_entry, last_entry) VALUES (?1, ?2, ?3)")?
            .execute(params![room, first_entry, last_entry])?;
    }
    Ok(())
}
