//! How many keys of a room may be shared with people who are invited later.

use std::{cmp::Reverse, collections::HashMap};

use rusqlite::params;

use super::{Connection, VaultError};

/// Keys of a room, over all versions; one that is there several times counts once, as its best copy has it: the one that is
/// given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SharingCounts {
    pub(crate) shareable: u64,
    pub(crate) not_shareable: u64,
    /// Fetched, and not opened yet.
    pub(crate) unopened: u64,
    /// What the server has in all rooms and the vault has not; `None` where no version has been looked at.
    pub(crate) not_fetched_at_most: Option<u64>,
}

/// Entries that are looked at in one transaction: a long one would keep the log from being folded.
const STEP: i64 = 2_000;

/// What is known of one copy of a key; of two copies the larger counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum KeyCopy {
    Unopened,
    Opened {
        /// The one that begins earliest counts.
        first_index: Reverse<u32>,
        /// Row id: of two, the newest counts.
        version: i64,
        may_be_shared: bool,
    },
}

impl Connection {
    /// Counts the keys of a room. Where it stands in several versions, this takes some fifty bytes of memory a key.
    pub(crate) fn sharing_counts(&self, room_id: &str) -> Result<SharingCounts, VaultError> {
        let mut counts = SharingCounts {
            not_fetched_at_most: self.missing_keys(room_id)?,
            ..SharingCounts::default()
        };
        let rooms = self.rooms_named(room_id)?;
        if let [room] = rooms[..]
            && !self.room_has_copies(room.0)?
        {
            self.copies(room, |_, copy| counts.count(copy))?;
            return Ok(counts);
        }
        let mut best: HashMap<i64, KeyCopy> = HashMap::new();
        for room in rooms {
            self.copies(room, |session, copy| {
                let known = best.entry(self.keys.session_hash(session)).or_insert(copy);
                *known = copy.max(*known);
            })?;
        }
        best.into_values().for_each(|copy| counts.count(copy));
        Ok(counts)
    }

    /// Whether a key of the room stands there more than once.
    fn room_has_copies(&self, room: i64) -> Result<bool, VaultError> {
        let mut statement = self.inner.prepare_cached("SELECT copies > 0 FROM room WHERE id = ?1")?;
        Ok(statement.query_row([room], |row| row.get(0))?)
    }

    /// Goes through the keys of a room in one version, but for those that can never be opened.
    fn copies(&self, (room, version): (i64, i64), mut found: impl FnMut(&[u8], KeyCopy)) -> Result<(), VaultError> {
        let mut in_run = self.inner.prepare_cached(
            "SELECT known.session, opened.entry IS NULL, failure, shared_history, conflict.entry IS NOT NULL,
                 first_index
             FROM (SELECT id, session FROM entry UNION ALL SELECT entry, session FROM trimmed) AS known
             LEFT JOIN opened ON opened.entry = known.id
             LEFT JOIN conflict ON conflict.entry = known.id
             WHERE known.id BETWEEN ?1 AND ?2",
        )?;
        let mut after = 0;
        while let Some((first, last)) = self.next_run(room, after)? {
            after = last.min(first + STEP - 1);
            let mut rows = in_run.query([first, after])?;
            while let Some(row) = rows.next()? {
                let (is_unopened, failure): (bool, Option<i64>) = (row.get(1)?, row.get(2)?);
                if failure.is_some_and(|failure| failure != 0) {
                    continue;
                }
                let copy = match is_unopened {
                    true => KeyCopy::Unopened,
                    false => KeyCopy::Opened {
                        first_index: Reverse(row.get::<_, Option<u32>>(5)?.unwrap_or(0)),
                        version,
                        may_be_shared: row.get::<_, Option<bool>>(3)? == Some(true) && !row.get::<_, bool>(4)?,
                    },
                };
                found(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?, copy);
            }
        }
        Ok(())
    }

    /// Keys that may still be missing in a room: all that are missing, where the room has not been read to its end.
    fn missing_keys(&self, room_id: &str) -> Result<Option<u64>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT CASE WHEN gone OR backup_version.complete OR room.complete = era THEN 0
                         ELSE max(0, server_count - (fetched - surplus)) END
             FROM backup_version LEFT JOIN room ON room.version = backup_version.id AND hash = ?1",
        )?;
        let missing = statement.query_map(params![self.keys.room_hash(room_id)], |row| row.get::<_, i64>(0))?;
        let mut sum = None;
        for missing in missing {
            // What a server says may be as much as there is.
            sum = Some(sum.unwrap_or(0_u64).saturating_add(missing?.cast_unsigned()));
        }
        Ok(sum)
    }
}

impl SharingCounts {
    fn count(&mut self, copy: KeyCopy) {
        *(match copy {
            KeyCopy::Unopened => &mut self.unopened,
            KeyCopy::Opened {
                may_be_shared: true, ..
            } => &mut self.shareable,
            KeyCopy::Opened { .. } => &mut self.not_shareable,
        }) += 1;
    }
}
