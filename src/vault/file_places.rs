//! How far answers that were downloaded into files have been read.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::{Connection, VaultError, VaultTx, Writer, seal::Sealed};
use crate::ids::{Era, VersionRowId};

/// A place in an answer that was downloaded into a file, directly after an entry or at the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePlace {
    /// The name of the download.
    pub(crate) name: String,
    /// Bytes from the beginning of the file.
    pub(crate) offset: u64,
    /// The room that the file lists the entries at this place under.
    pub(crate) room_id: String,
}

/// The mark that the version had when an answer was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AskedUnder {
    /// The era of the version.
    pub(crate) era: Era,
    /// The number of keys that the server reported; `None` if it reported none.
    pub(crate) count: Option<u64>,
}

impl Connection {
    /// Returns a hash that names the download of a room's keys, or of all keys of a version without a room. It
    /// differs between downloads, and reveals neither version nor room.
    pub(crate) fn file_hash(&self, version: &str, room_id: Option<&str>) -> u64 {
        let what = format!("{version}\n{}", room_id.unwrap_or_default());
        self.keys.hash(what.as_bytes())
    }

    /// Returns how far the download `name` has been read, and the mark under which it was requested.
    pub(crate) fn file_place(&self, name: &str) -> Result<Option<(FilePlace, AskedUnder)>, VaultError> {
        let found: Option<(i64, Vec<u8>, Era, Option<i64>)> = self
            .inner
            .prepare_cached("SELECT place, sealed_room, era, server_count FROM file_place WHERE name = ?1")?
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((offset, sealed, era, count)) = found else {
            return Ok(None);
        };
        let room = self.keys.unseal(Sealed::RoomId, &sealed)?;
        let place = FilePlace {
            name: name.to_owned(),
            offset: offset.cast_unsigned(),
            room_id: String::from_utf8(room.to_vec()).map_err(|_| VaultError::Corrupt)?,
        };
        let count = count.map(i64::cast_unsigned);
        Ok(Some((place, AskedUnder { era, count })))
    }
}

impl Writer {
    /// Notes that a download into a file has begun, and that nothing of it has been read.
    pub(crate) fn note_file(
        &mut self,
        version: VersionRowId,
        begun: &FilePlace,
        under: AskedUnder,
    ) -> Result<(), VaultError> {
        self.write(|tx| {
            let room = tx.keys.seal(Sealed::RoomId, begun.room_id.as_bytes());
            let count = under.count.map(u64::cast_signed);
            tx.execute(
                "INSERT OR REPLACE INTO file_place (name, version, era, server_count, place, sealed_room)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5)",
                params![begun.name, version, under.era, count, room],
            )?;
            Ok(())
        })
    }

    /// Forgets the downloads of versions that are gone, or that have nothing left to request. Returns the names of
    /// the remaining downloads.
    pub(crate) fn forget_useless_files(&mut self) -> Result<HashSet<String>, VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "DELETE FROM file_place
                 WHERE version NOT IN (SELECT id FROM backup_version WHERE gone = 0 AND settled = 0)",
                [],
            )?;
            let mut names = transaction.prepare("SELECT name FROM file_place")?;
            let names = names.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })
    }

    /// Forgets the download `name`, and how far it has been read.
    pub(crate) fn forget_file_place(&mut self, name: &str) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM file_place WHERE name = ?1", [name])?;
            Ok(())
        })
    }
}

/// Notes how far a file has been read, in the transaction that writes the entries before that place.
pub(super) fn note(tx: &VaultTx<'_>, place: &FilePlace) -> Result<(), VaultError> {
    tx.prepare_cached("UPDATE file_place SET place = ?2, sealed_room = ?3 WHERE name = ?1")?
        .execute(params![
            place.name,
            place.offset.cast_signed(),
            tx.keys.seal(Sealed::RoomId, place.room_id.as_bytes())
        ])?;
    Ok(())
}
