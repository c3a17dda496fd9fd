//! Lists the entries that have been opened, batch by batch, for an app that asks what has arrived since it last asked.

use rusqlite::params;

use super::{Connection, VaultError, entries::session_from_row};
use crate::backup::session_id::SessionId;
use crate::ids::{BatchId, EntryId};

const BATCHES: &str = "SELECT id, first_entry, last_entry FROM opened_batch WHERE id >= ?1 ORDER BY id";

/// Entries of a batch in a range. Not joined with the batches: SQLite would read all opened entries, and sort them.
const ENTRIES_OF_A_BATCH: &str =
    "SELECT opened.entry, coalesce(entry.room, trimmed.room), coalesce(entry.session, trimmed.session)
     FROM opened LEFT JOIN entry ON entry.id = opened.entry LEFT JOIN trimmed ON trimmed.entry = opened.entry
     WHERE opened.entry > ?1 AND opened.entry <= ?2 AND batch = ?3 AND failure = 0 AND ifnull(is_forgotten, 0) = 0
     ORDER BY opened.entry LIMIT ?4";

/// An entry that has been opened, and the batch that it was opened in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArrivedRow {
    pub(crate) batch: BatchId,
    pub(crate) entry: EntryId,
    pub(crate) room_id: String,
    pub(crate) session: SessionId,
}

impl Connection {
    /// Returns the entries that were opened after the cursor (batch, entry), by batch and then by entry id.
    pub(crate) fn arrived_since(
        &self,
        batch: BatchId,
        entry: EntryId,
        limit: usize,
    ) -> Result<Vec<ArrivedRow>, VaultError> {
        let mut arrived = Vec::new();
        let mut room = None;
        // As long as this statement is open, the other one sees the same state of the vault.
        let mut batches = self.inner.prepare_cached(BATCHES)?;
        let mut entries = self.inner.prepare_cached(ENTRIES_OF_A_BATCH)?;
        let mut batches = batches.query([batch])?;
        while arrived.len() < limit
            && let Some(row) = batches.next()?
        {
            let (id, first, last): (BatchId, EntryId, EntryId) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let after = if id == batch {
                entry.max(first.previous())
            } else {
                first.previous()
            };
            let mut rows = entries.query(params![after, last, id, (limit - arrived.len()) as i64])?;
            while let Some(row) = rows.next()? {
                arrived.push(ArrivedRow {
                    batch: id,
                    entry: row.get(0)?,
                    room_id: self.cached_room(&mut room, row.get(1)?)?.room_id.clone(),
                    session: session_from_row(row, 2)?,
                });
            }
        }
        Ok(arrived)
    }
}
