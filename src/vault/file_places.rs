//! How far answers that lie in a file have been read.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Connection, VaultError, Writer,
    seal::{Sealed, VaultKeys},
};

/// A place in an answer, behind an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePlace {
    /// The name of the download.
    pub(crate) name: String,
    /// Bytes from the beginning.
    pub(crate) offset: u64,
    /// The room that the entries stand under there.
    pub(crate) room_id: String,
    /// The era of the version that it was asked for in.
    pub(crate) era: i64,
}

impl Connection {
    /// A name for the download of a room's keys, or of all. It tells others nothing, and is the same after a restart.
    pub(crate) fn file_name(&self, version: &str, room_id: Option<&str>) -> String {
        let what = format!("{version}\n{}", room_id.unwrap_or_default());
        format!("keyferry-{:016x}", self.keys.hash(what.as_bytes()))
    }

    /// How far that one has been read.
    pub(crate) fn file_place(&self, name: &str) -> Result<Option<FilePlace>, VaultError> {
        let found: Option<(i64, Vec<u8>, i64)> = self
            .inner
            .prepare_cached("SELECT place, sealed_room, era FROM file_place WHERE name = ?1")?
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((offset, sealed, era)) = found else {
            return Ok(None);
        };
        let room = self.keys.unseal(Sealed::RoomId, &sealed)?;
        Ok(Some(FilePlace {
            name: name.to_owned(),
            offset: offset.cast_unsigned(),
            room_id: String::from_utf8(room.to_vec()).map_err(|_| VaultError::Corrupt)?,
            era,
        }))
    }
}

impl Connection {
    /// Downloads into files that were begun for a version.
    pub(crate) fn files_of(&self, version: i64) -> Result<Vec<String>, VaultError> {
        let mut statement = self
            .inner
            .prepare_cached("SELECT name FROM file_place WHERE version = ?1")?;
        let names = statement.query_map([version], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }
}

impl Writer {
    /// Notes that a download into a file is begun, and nothing of it read.
    pub(crate) fn note_file(&mut self, version: i64, begun: &FilePlace) -> Result<(), VaultError> {
        self.write(|transaction, keys| {
            let room = keys.seal(Sealed::RoomId, begun.room_id.as_bytes());
            transaction.execute(
                "INSERT OR REPLACE INTO file_place (name, version, era, place, sealed_room) VALUES (?1, ?2, ?3, 0, ?4)",
                params![begun.name, version, begun.era, room],
            )?;
            Ok(())
        })
    }

    /// Forgets how far that one has been read.
    pub(crate) fn forget_file_place(&mut self, name: &str) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute("DELETE FROM file_place WHERE name = ?1", [name])?;
            Ok(())
        })
    }
}

/// Notes a place, with the entries before it.
pub(super) fn note(transaction: &Transaction<'_>, keys: &VaultKeys, place: &FilePlace) -> Result<(), VaultError> {
    transaction
        .prepare_cached("UPDATE file_place SET place = ?2, sealed_room = ?3 WHERE name = ?1")?
        .execute(params![
            place.name,
            place.offset.cast_signed(),
            keys.seal(Sealed::RoomId, place.room_id.as_bytes())
        ])?;
    Ok(())
}
