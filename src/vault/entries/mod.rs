//! Entries: written as they come, never changed.
//!
//! - `batch`: entries on their way in
//! - `insert`: one transaction of them; `namesakes`: entries of the same session that are here already
//! - `runs`: which entries a room has, in runs

mod batch;
mod insert;
mod namesakes;
mod runs;

pub(crate) use batch::EntryBatch;

use rusqlite::Row;

use crate::backup::session_id::SessionId;

/// Reads a session id as the entry table has it.
pub(super) fn session_from_row(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    Ok(SessionId::from_bytes(row.get_ref(column)?.as_blob()?))
}
