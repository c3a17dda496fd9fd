//! Reads the entries that wait to be opened or delivered, in the order of arrival, page by page.

use std::ops::Range;

use rusqlite::{Row, params};

use super::{
    Connection, VaultError,
    bodies::{BODY, GatheredBodies, Stored},
    entries::session_from_row,
};
use crate::backup::{limits::MAX_PAGE_BYTES, session_id::SessionId};
use crate::ids::{EntryId, RoomRowId};

/// Bytes of a usual body, as clients write it today, rounded up.
const USUAL_BODY_BYTES: usize = 640;

/// A page of entries that wait to be opened or delivered, with their bodies in one buffer.
#[derive(Debug, Default)]
pub(crate) struct PendingEntries {
    pub(crate) entries: Vec<PendingEntry>,
    pub(crate) bodies: Vec<u8>,
    /// Whether the page is full, so that more entries may follow.
    pub(crate) is_full: bool,
}

/// One entry that waits to be opened or delivered.
#[derive(Clone, Debug)]
pub(crate) struct PendingEntry {
    pub(crate) id: EntryId,
    pub(crate) room: RoomRowId,
    pub(crate) session: SessionId,
    /// The position of its body in `PendingEntries::bodies`.
    pub(crate) body: Range<usize>,
    /// Whether it waits to be opened; if not, it waits only to be delivered.
    pub(crate) unopened: bool,
}

/// Which entries to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Every entry, without checking whether it has been opened. For entries after the last one that was opened.
    All,
    Unopened,
    UnopenedOrUndelivered,
}

impl Waiting {
    /// Returns what tells whether such an entry is unopened, and which entries after `?1` are meant.
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::All => ("1", "FROM entry WHERE id > ?1"),
            Self::Unopened => (
                "1",
                "FROM entry LEFT JOIN opened ON opened.entry = id WHERE id > ?1 AND opened.entry IS NULL",
            ),
            Self::UnopenedOrUndelivered => (
                "opened.entry IS NULL",
                "FROM entry LEFT JOIN opened ON opened.entry = id
                 WHERE id > ?1 AND (opened.entry IS NULL OR (failure = 0
                     AND NOT EXISTS (SELECT 1 FROM delivered WHERE delivered.entry = id)
                     AND NOT EXISTS (SELECT 1 FROM copy WHERE copy.entry = id AND standing <> 0)))",
            ),
        }
    }
}

/// Reads a row of id, room, session, whether it is unopened, and [`BODY`].
fn pending_from_row(row: &Row<'_>, bodies: &mut GatheredBodies) -> rusqlite::Result<PendingEntry> {
    Ok(PendingEntry {
        id: row.get(0)?,
        room: row.get(1)?,
        session: session_from_row(row, 2)?,
        unopened: row.get(3)?,
        body: bodies.push(Stored::from_row(row, 4)?),
    })
}

impl Connection {
    /// Returns the next waiting entries after `after` and up to `through`, in the order of arrival. A page ends
    /// after `limit` entries, or when its bodies reach [`MAX_PAGE_BYTES`].
    pub(crate) fn pending_entries(
        &self,
        after: EntryId,
        through: EntryId,
        waiting: Waiting,
        limit: usize,
    ) -> Result<PendingEntries, VaultError> {
        let (unopened, those) = waiting.sql();
        let sql = format!("SELECT id, room, session, {unopened}, {BODY} {those} AND id <= ?3 ORDER BY id LIMIT ?2");
        self.look_up(|| {
            let mut statement = self.inner.prepare_cached(&sql)?;
            let mut rows = statement.query(params![after, limit as i64, through])?;
            let mut entries = Vec::new();
            let mut bodies = GatheredBodies::default();
            let mut is_full = false;
            while !is_full && let Some(row) = rows.next()? {
                if entries.is_empty() {
                    entries.reserve_exact(limit);
                    bodies = GatheredBodies::with_capacity(limit * USUAL_BODY_BYTES);
                }
                entries.push(pending_from_row(row, &mut bodies)?);
                is_full = entries.len() >= limit || bodies.len() >= MAX_PAGE_BYTES;
            }
            Ok(PendingEntries {
                entries,
                bodies: bodies.read(&self.bodies)?,
                is_full,
            })
        })
    }

    /// Passes the next waiting entries after `after` to `see`, each with the stored form of its session id, in the
    /// order of arrival, until `see` returns false.
    pub(crate) fn waiting_sessions(
        &self,
        after: EntryId,
        waiting: Waiting,
        mut see: impl FnMut(EntryId, &[u8]) -> bool,
    ) -> Result<(), VaultError> {
        let (_, those) = waiting.sql();
        let mut statement = self
            .inner
            .prepare_cached(&format!("SELECT id, session {those} ORDER BY id"))?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            let session = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            if !see(row.get(0)?, session) {
                break;
            }
        }
        Ok(())
    }

    /// Returns the entries with these ids that are still in the vault, and the ids that were not reached. A page ends
    /// when its bodies reach [`MAX_PAGE_BYTES`].
    pub(crate) fn entries_among<'a>(&self, ids: &'a [EntryId]) -> Result<(PendingEntries, &'a [EntryId]), VaultError> {
        let sql = format!(
            "SELECT id, room, session, opened.entry IS NULL, {BODY}
             FROM entry LEFT JOIN opened ON opened.entry = id WHERE id = ?1"
        );
        self.look_up(|| {
            let mut statement = self.inner.prepare_cached(&sql)?;
            let mut entries = Vec::with_capacity(ids.len());
            let mut bodies = GatheredBodies::with_capacity((ids.len() * USUAL_BODY_BYTES).min(MAX_PAGE_BYTES));
            let mut rest = ids.iter();
            while bodies.len() < MAX_PAGE_BYTES
                && let Some(id) = rest.next()
            {
                let mut rows = statement.query([id])?;
                if let Some(row) = rows.next()? {
                    entries.push(pending_from_row(row, &mut bodies)?);
                }
            }
            let pending = PendingEntries {
                entries,
                bodies: bodies.read(&self.bodies)?,
                is_full: false,
            };
            Ok((pending, rest.as_slice()))
        })
    }

    /// Returns the last entry that has been opened or has failed. All later entries wait to be opened.
    pub(crate) fn last_opened(&self) -> Result<EntryId, VaultError> {
        let sql = "SELECT coalesce(max(entry), 0) FROM opened";
        Ok(self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::entry::Claims;
    use crate::ids::VersionRowId;
    use crate::vault::{EntryBatch, OpenVaultError, Protection, Vault};

    #[test]
    fn a_page_is_limited_by_keys_and_by_bytes() {
        let directory = tempfile::tempdir().expect("a directory");
        let unprotected = || Ok::<_, OpenVaultError>(Protection::None);
        let vault = Vault::open(directory.path(), "@a:x", "D", unprotected).expect("a vault");
        let mut connection = vault.connect().expect("a connection");
        let mut batch = EntryBatch::default();
        for (count, bytes) in [(100, 10), (100, 60 * 1024), (100, 10)] {
            for _ in 0..count {
                let session = SessionId::parse(&format!("session {}", batch.len()));
                batch.push(0, "!r:x", session, |body| {
                    body.resize(body.len() + bytes, 0);
                    Claims::default()
                });
            }
        }
        connection
            .inner
            .execute_batch(
                "INSERT INTO backup_version (version, algorithm, server_count, etag) VALUES ('1', 'a', 0, '')",
            )
            .expect("a version");
        connection
            .insert_beside(VersionRowId(1), &mut batch)
            .expect("the entries are written");
        let mut sizes = Vec::new();
        let mut after = EntryId::NONE;
        loop {
            let page = connection
                .pending_entries(after, EntryId::MAX, Waiting::All, 90)
                .expect("a page");
            let Some(last) = page.entries.last() else { break };
            assert_eq!(last.id.0, after.0 + page.entries.len() as i64, "without a gap");
            assert_eq!(page.is_full, last.id < EntryId(300));
            assert!(page.bodies.len() < MAX_PAGE_BYTES + 64 * 1024);
            sizes.push(page.entries.len());
            after = last.id;
        }
        assert_eq!(sizes, [90, 45, 35, 90, 40]);
        let room = connection.room_entries("!r:x", EntryId(100), 90).expect("a page");
        assert_eq!((room.entries.len(), room.is_full), (35, true));
        assert_eq!(connection.all_entries(EntryId(100), 90).expect("a page").len(), 35);
    }
}
