//! How many keys of a room may be shared with people who are invited later.

use std::collections::HashSet;

use rusqlite::params;

use super::{Connection, VaultError};

/// Keys of a room, over all versions; one that is in several counts once, as the newest version has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SharingCounts {
    pub(crate) shareable: u64,
    pub(crate) not_shareable: u64,
    /// Fetched, and not opened yet.
    pub(crate) unopened: u64,
    /// What the server has in all rooms and the vault has not; `None` where no version has been looked at.
    pub(crate) not_fetched_at_most: Option<u64>,
}

impl Connection {
    /// Counts the keys of a room. Where it stands in several versions, this takes some ten bytes of memory a key.
    pub(crate) fn sharing_counts(&self, room_id: &str) -> Result<SharingCounts, VaultError> {
        let hash = self.keys.room_hash(room_id);
        let mut rooms = self
            .inner
            .prepare_cached("SELECT id FROM room WHERE hash = ?1 ORDER BY version DESC")?;
        let rooms: Vec<i64> = rooms.query_map([hash], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut counts = SharingCounts {
            not_fetched_at_most: self.missing_keys(room_id)?,
            ..SharingCounts::default()
        };
        let mut seen = (rooms.len() > 1).then(HashSet::new);
        for room in rooms {
            self.count_room(room, seen.as_mut(), &mut counts)?;
        }
        Ok(counts)
    }

    fn count_room(
        &self,
        room: i64,
        mut seen: Option<&mut HashSet<i64>>,
        counts: &mut SharingCounts,
    ) -> Result<(), VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT session, opened.entry IS NULL, failure, shared_history, conflict.entry IS NOT NULL
             FROM room_run
             JOIN (SELECT id, session FROM entry UNION ALL SELECT entry, session FROM trimmed) AS known
                ON known.id BETWEEN first_entry AND last_entry
             LEFT JOIN opened ON opened.entry = known.id
             LEFT JOIN conflict ON conflict.entry = known.id
             WHERE room_run.room = ?1",
        )?;
        let mut rows = statement.query([room])?;
        while let Some(row) = rows.next()? {
            let (is_unopened, failure): (bool, Option<i64>) = (row.get(1)?, row.get(2)?);
            if failure.is_some_and(|failure| failure != 0) {
                continue;
            }
            let session = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            if let Some(seen) = &mut seen
                && !seen.insert(self.keys.session_hash(session))
            {
                continue;
            }
            let may_be_shared = row.get::<_, Option<bool>>(3)? == Some(true) && !row.get::<_, bool>(4)?;
            *(match (is_unopened, may_be_shared) {
                (true, _) => &mut counts.unopened,
                (false, true) => &mut counts.shareable,
                (false, false) => &mut counts.not_shareable,
            }) += 1;
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
