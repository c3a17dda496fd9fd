//! Stores encrypted entries. An entry is written when it arrives and never changed; a better copy becomes an entry
//! of its own.
//!
//! - `batch`: entries that are written together
//! - `insert`: writes a batch in one transaction
//! - `namesakes`: entries in the vault that have the session of an incoming entry
//! - `runs`: the entries of each room, as runs of consecutive ids

mod batch;
mod insert;
mod namesakes;
mod runs;

pub(crate) use batch::EntryBatch;

use rusqlite::Row;

use crate::backup::session_id::SessionId;

/// Reads a session id from a column of the entry table.
pub(super) fn session_from_row(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    Ok(SessionId::from_bytes(row.get_ref(column)?.as_blob()?))
}
