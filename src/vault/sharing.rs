//! Counts how many keys of a room may be shared with people who are invited later.

use std::collections::HashSet;

use rusqlite::params;

use super::{
    Connection, VaultError,
    copies::{CopyState, StoredCopy, room_number},
};
use crate::backup::{
    copies::{Standing, judge, may_be_shared},
    session_id::SessionId,
};
use crate::ids::{EntryId, RoomRowId};

/// The number of keys of a room, over all versions, by whether they may be shared. A session with several copies
/// counts once: it may be shared if any copy that connects to the one that counts says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SharingCounts {
    pub(crate) shareable: u64,
    pub(crate) not_shareable: u64,
    /// Keys that have been fetched and not opened yet.
    pub(crate) unopened: u64,
    /// Upper bound on the keys of the room that have not been fetched; `None` if no version is known. The server
    /// counts only whole versions, so missing keys of other rooms may be included.
    pub(crate) not_fetched_at_most: Option<u64>,
}

/// Maximum number of entries that are read in one transaction: a long one would keep the log from being folded.
const STEP: i64 = 2_000;

impl Connection {
    /// Counts the keys of a room. A session with several copies counts once.
    pub(crate) fn sharing_counts(&self, room_id: &str) -> Result<SharingCounts, VaultError> {
        let mut counts = SharingCounts {
            not_fetched_at_most: self.missing_keys(room_id)?,
            ..SharingCounts::default()
        };
        let mut several = HashSet::new();
        for (room, _) in self.rooms_named(room_id)? {
            self.count_room(room, &mut counts, &mut several)?;
        }
        for session in several {
            let session = SessionId::from_bytes(&session);
            if let Some(may_be_shared) = self.may_be_shared(room_id, &session)? {
                counts.count(may_be_shared);
            }
        }
        Ok(counts)
    }

    /// Counts the keys of a room in one version. Leaves out entries that have failed, and sessions with several
    /// copies: these are added to `several`.
    fn count_room(
        &self,
        room: RoomRowId,
        counts: &mut SharingCounts,
        several: &mut HashSet<Vec<u8>>,
    ) -> Result<(), VaultError> {
        let mut in_run = self.inner.prepare_cached(
            "SELECT known.session, opened.entry IS NULL, failure, shared_history, copy.entry IS NOT NULL
             FROM (SELECT id, session FROM entry UNION ALL SELECT entry, session FROM trimmed WHERE NOT is_forgotten) AS known
             LEFT JOIN opened ON opened.entry = known.id
             LEFT JOIN copy ON copy.entry = known.id
             WHERE known.id BETWEEN ?1 AND ?2",
        )?;
        let mut after = EntryId::NONE;
        while let Some((first, last)) = self.next_run(room, after)? {
            after = last.min(EntryId(first.0 + STEP - 1));
            let mut rows = in_run.query([first, after])?;
            while let Some(row) = rows.next()? {
                let (is_unopened, failure): (bool, Option<i64>) = (row.get(1)?, row.get(2)?);
                if row.get(4)? {
                    several.insert(row.get(0)?);
                } else if is_unopened {
                    counts.count(MayBeShared::NotKnown);
                } else if failure == Some(0) {
                    let says_so: Option<bool> = row.get(3)?;
                    counts.count(MayBeShared::from(says_so == Some(true)));
                }
            }
        }
        Ok(())
    }

    /// Returns whether a session with several copies may be shared; `None` if all its copies in the room have
    /// failed. A key that is held back may not be shared.
    fn may_be_shared(&self, room_id: &str, session: &SessionId) -> Result<Option<MayBeShared>, VaultError> {
        let copies = self.copies(room_id, session)?;
        let hash = self.keys.room_hash(room_id);
        let facts: Vec<_> = copies.iter().filter_map(StoredCopy::facts).collect();
        let room = room_number(&hash);
        let class = facts
            .iter()
            .zip(judge(&facts))
            .find(|(copy, standing)| copy.room == room && *standing == Standing::Counts)
            .map(|(copy, _)| copy.class);
        if let Some(class) = class {
            return Ok(Some(may_be_shared(&facts, room, class).into()));
        }
        let in_room = || copies.iter().filter(|copy| copy.room_hash == hash);
        if in_room().any(|copy| copy.is_opened()) {
            return Ok(Some(MayBeShared::No));
        }
        let is_unopened = in_room().any(|copy| copy.state == CopyState::Unopened);
        Ok(is_unopened.then_some(MayBeShared::NotKnown))
    }

    /// Returns an upper bound on the keys of a room that are still missing: all that are missing from a version,
    /// unless the room has been read to its end. A version that is gone, or is known to be complete, adds none.
    /// `None` if no version is known.
    fn missing_keys(&self, room_id: &str) -> Result<Option<u64>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT CASE WHEN gone OR settled IN (1, 2) OR room.complete = era THEN 0 ELSE max(0, server_count - names) END
             FROM backup_version LEFT JOIN room ON room.version = backup_version.id AND hash = ?1",
        )?;
        let missing = statement.query_map(params![self.keys.room_hash(room_id)], |row| row.get::<_, i64>(0))?;
        let mut sum = None;
        for missing in missing {
            // The sum saturates, because a server can claim any count.
            sum = Some(sum.unwrap_or(0_u64).saturating_add(missing?.cast_unsigned()));
        }
        Ok(sum)
    }
}

/// Whether a key may be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MayBeShared {
    Yes,
    No,
    /// The key has not been opened.
    NotKnown,
}

impl From<bool> for MayBeShared {
    fn from(says_so: bool) -> Self {
        if says_so { Self::Yes } else { Self::No }
    }
}

impl SharingCounts {
    fn count(&mut self, key: MayBeShared) {
        *(match key {
            MayBeShared::Yes => &mut self.shareable,
            MayBeShared::No => &mut self.not_shareable,
            MayBeShared::NotKnown => &mut self.unopened,
        }) += 1;
    }
}
