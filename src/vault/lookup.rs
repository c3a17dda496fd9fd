//! Reads entries for the app: those of a room or of all rooms, and those that failed, are held back or were refused.
//! Pages are continued by entry id and read in short transactions.

use rusqlite::{OptionalExtension, params};

use super::{
    Connection, VaultError,
    bodies::{BODY, Stored},
    entries::session_from_row,
};
use crate::backup::{FailureReason, limits::MAX_PAGE_BYTES, session_id::SessionId};
use crate::ids::{EntryId, RoomRowId, VersionRowId};

/// An entry, with everything that is needed to open it.
#[derive(Clone, Debug)]
pub(crate) struct StoredEntry {
    pub(crate) id: EntryId,
    pub(crate) version: VersionRowId,
    pub(crate) room_id: String,
    pub(crate) session: SessionId,
    pub(crate) body: Vec<u8>,
}

/// A page of the entries of a room.
#[derive(Debug, Default)]
pub(crate) struct ListedPage {
    pub(crate) entries: Vec<ListedEntry>,
    /// Whether the page is full, so that more entries may follow.
    pub(crate) is_full: bool,
}

/// An entry, and whether the vault has other copies of its session.
#[derive(Clone, Debug)]
pub(crate) struct ListedEntry {
    pub(crate) entry: StoredEntry,
    pub(crate) has_copies: bool,
    /// How often the key was forwarded before it was backed up, as the entry claims.
    pub(crate) forwarded_count: Option<u32>,
}

/// A copy that is held back, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldBack {
    pub(crate) entry: EntryId,
    pub(crate) room_id: String,
    pub(crate) session: SessionId,
    pub(crate) version: VersionRowId,
    pub(crate) cause: HeldBackCause,
}

/// Why a copy is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HeldBackCause {
    /// The session counts in another room, or one answer brought it under both rooms.
    OtherRoom,
    /// The copy's ratchet does not connect to that of the copy that counts.
    Unconnected,
}

impl Connection {
    /// Returns the entries of a room after `after`, by entry id. A page ends after `limit` entries, or when its
    /// bodies reach [`MAX_PAGE_BYTES`].
    pub(crate) fn room_entries(&self, room_id: &str, after: EntryId, limit: usize) -> Result<ListedPage, VaultError> {
        self.look_up(|| self.page_of_room(room_id, after, limit))
    }

    fn page_of_room(&self, room_id: &str, after: EntryId, limit: usize) -> Result<ListedPage, VaultError> {
        let mut in_run = self.inner.prepare_cached(&format!(
            "SELECT id, session, EXISTS (SELECT 1 FROM copy WHERE copy.entry = id), forwarded_count, {BODY}
             FROM entry WHERE id BETWEEN ?1 AND ?2 ORDER BY id"
        ))?;
        let rooms = self.rooms_named(room_id)?;
        let mut page = ListedPage::default();
        let mut bytes = 0;
        let mut after = after;
        loop {
            // Finds the first run of entries among all versions.
            let mut next = None;
            for &(room, version) in &rooms {
                let run = self.next_run(room, after)?.map(|(first, last)| (first, last, version));
                next = [next, run].into_iter().flatten().min();
            }
            let Some((first, last, version)) = next else {
                return Ok(page);
            };
            let mut rows = in_run.query([first, last])?;
            while let Some(row) = rows.next()? {
                let entry = StoredEntry {
                    id: row.get(0)?,
                    version,
                    room_id: room_id.to_owned(),
                    session: session_from_row(row, 1)?,
                    body: self.bodies.read(Stored::from_row(row, 4)?)?,
                };
                bytes += entry.body.len();
                page.entries.push(ListedEntry {
                    entry,
                    has_copies: row.get(2)?,
                    forwarded_count: row.get(3)?,
                });
                page.is_full = page.entries.len() >= limit || bytes >= MAX_PAGE_BYTES;
                if page.is_full {
                    return Ok(page);
                }
            }
            after = last;
        }
    }

    /// Returns the entries of all rooms and versions after `after`, by entry id. A page ends after `limit` entries,
    /// or when its bodies reach [`MAX_PAGE_BYTES`].
    pub(crate) fn all_entries(&self, after: EntryId, limit: usize) -> Result<Vec<ListedEntry>, VaultError> {
        self.look_up(|| self.page_of_all(after, limit))
    }

    fn page_of_all(&self, after: EntryId, limit: usize) -> Result<Vec<ListedEntry>, VaultError> {
        let mut statement = self.inner.prepare_cached(&format!(
            "SELECT id, room, session, EXISTS (SELECT 1 FROM copy WHERE copy.entry = id), forwarded_count, {BODY}
             FROM entry WHERE id > ?1 ORDER BY id LIMIT ?2"
        ))?;
        let mut rows = statement.query(params![after, limit as i64])?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut room = None;
        while let Some(row) = rows.next()?
            && bytes < MAX_PAGE_BYTES
        {
            let room = self.cached_room(&mut room, row.get(1)?)?;
            let entry = StoredEntry {
                id: row.get(0)?,
                version: room.version,
                room_id: room.room_id.clone(),
                session: session_from_row(row, 2)?,
                body: self.bodies.read(Stored::from_row(row, 5)?)?,
            };
            bytes += entry.body.len();
            entries.push(ListedEntry {
                entry,
                has_copies: row.get(3)?,
                forwarded_count: row.get(4)?,
            });
        }
        Ok(entries)
    }

    /// Returns how often a key was forwarded before it was backed up, as its entry claims.
    pub(crate) fn forwarded_count(&self, entry: EntryId) -> Result<Option<u32>, VaultError> {
        let sql = "SELECT forwarded_count FROM entry WHERE id = ?1";
        let count = self.inner.prepare_cached(sql)?.query_row([entry], |row| row.get(0));
        Ok(count.optional()?.flatten())
    }

    /// Returns the opened entries of one version after `after`, by entry id. Leaves out copies that do not connect to
    /// the one that counts.
    pub(crate) fn opened_in(
        &self,
        version: VersionRowId,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<StoredEntry>, VaultError> {
        self.look_up(|| self.page_of_opened(version, after, limit))
    }

    fn page_of_opened(
        &self,
        version: VersionRowId,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<StoredEntry>, VaultError> {
        let mut statement = self.inner.prepare_cached(&format!(
            "SELECT entry.id, entry.room, session, {BODY} FROM entry
             JOIN room ON room.id = entry.room AND room.version = ?1
             JOIN opened ON opened.entry = entry.id AND failure = 0
             LEFT JOIN copy ON copy.entry = entry.id
             WHERE entry.id > ?2 AND ifnull(standing, 0) IN (0, 1, 2) ORDER BY entry.id LIMIT ?3"
        ))?;
        let mut rows = statement.query(params![version, after, limit as i64])?;
        let mut opened = Vec::new();
        let mut room = None;
        while let Some(row) = rows.next()? {
            opened.push(StoredEntry {
                id: row.get(0)?,
                version,
                room_id: self.cached_room(&mut room, row.get(1)?)?.room_id.clone(),
                session: session_from_row(row, 2)?,
                body: self.bodies.read(Stored::from_row(row, 3)?)?,
            });
        }
        Ok(opened)
    }

    /// Returns the entries that failed with `reason`, after the entry `after`, as id, room and session.
    pub(crate) fn failures(
        &self,
        reason: FailureReason,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<(EntryId, String, SessionId)>, VaultError> {
        self.listed(
            "SELECT opened.entry, room, session, '' FROM opened JOIN entry ON id = opened.entry
             WHERE failure = ?1 AND opened.entry > ?2 ORDER BY opened.entry LIMIT ?3",
            params![reason.code(), after, limit as i64],
        )
        .map(|rows| {
            rows.into_iter()
                .map(|(id, room, session, _)| (id, room, session))
                .collect()
        })
    }

    /// Returns the copies that are held back, after the entry `after`.
    pub(crate) fn held_back(&self, after: EntryId, limit: usize) -> Result<Vec<HeldBack>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT copy.entry, room, session, standing FROM copy
             JOIN (SELECT id, room, session FROM entry UNION ALL SELECT entry, room, session FROM trimmed) AS known
                 ON known.id = copy.entry
             JOIN opened ON opened.entry = copy.entry AND failure = 0
             WHERE standing IN (1, 2, 3) AND copy.entry > ?1 ORDER BY copy.entry LIMIT ?2",
        )?;
        let mut rows = statement.query(params![after, limit as i64])?;
        let mut held_back = Vec::new();
        let mut room = None;
        while let Some(row) = rows.next()? {
            let room = self.cached_room(&mut room, row.get(1)?)?;
            held_back.push(HeldBack {
                entry: row.get(0)?,
                room_id: room.room_id.clone(),
                session: session_from_row(row, 2)?,
                version: room.version,
                cause: match row.get::<_, i64>(3)? {
                    3 => HeldBackCause::Unconnected,
                    _ => HeldBackCause::OtherRoom,
                },
            });
        }
        Ok(held_back)
    }

    /// Returns the keys that the sink refused, after the entry `after`, as id, room, session and reason.
    pub(crate) fn refusals(
        &self,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<(EntryId, String, SessionId, String)>, VaultError> {
        self.listed(
            "SELECT delivered.entry, room, session, refusal FROM delivered JOIN entry ON id = delivered.entry
             WHERE refusal IS NOT NULL AND delivered.entry > ?1 ORDER BY delivered.entry LIMIT ?2",
            params![after, limit as i64],
        )
    }

    fn listed(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<(EntryId, String, SessionId, String)>, VaultError> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut listed = Vec::new();
        let mut room = None;
        while let Some(row) = rows.next()? {
            let room_id = self.cached_room(&mut room, row.get(1)?)?.room_id.clone();
            listed.push((row.get(0)?, room_id, session_from_row(row, 2)?, row.get(3)?));
        }
        Ok(listed)
    }

    /// Returns a room, and keeps it in `cache`. A cache of one room is enough, because entries nearly always come
    /// room by room.
    pub(super) fn cached_room<'a>(
        &self,
        cache: &'a mut Option<super::RoomRow>,
        id: RoomRowId,
    ) -> Result<&'a super::RoomRow, VaultError> {
        if cache.as_ref().is_none_or(|room| room.id != id) {
            *cache = Some(self.room(id)?);
        }
        Ok(cache.as_ref().expect("the cache was filled above"))
    }
}
