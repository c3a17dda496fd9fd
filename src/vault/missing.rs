//! Remembers sessions that were requested and are not in the backup: for a limited time, and only for the era of the
//! version in which they were requested.

use rusqlite::{OptionalExtension, params};

use super::{Connection, VaultError, VersionRow, seal::VaultKeys};
use crate::{backup::session_id::SessionId, clock::wall_ms};

/// Milliseconds after which a missing session is requested again: another device may upload the key at any moment.
const GOOD_FOR_MS: i64 = 10 * 60 * 1_000;

impl Connection {
    /// Whether the session was recently found to be missing from the backup, in the current era of the version.
    pub(crate) fn is_missing(&self, version: &VersionRow, room_id: &str, session_id: &str) -> Result<bool, VaultError> {
        let hash = hash(&self.keys, room_id, session_id);
        let seen: Option<i64> = self
            .inner
            .prepare_cached("SELECT seen_ms FROM missing WHERE version = ?1 AND hash = ?2 AND era = ?3")?
            .query_row(params![version.id, hash, version.era], |row| row.get(0))
            .optional()?;
        Ok(seen.is_some_and(is_fresh))
    }

    /// Notes that the session is missing from the backup.
    pub(crate) fn note_missing(
        &mut self,
        version: &VersionRow,
        room_id: &str,
        session_id: &str,
    ) -> Result<(), VaultError> {
        let now = wall_ms();
        self.write(|tx| {
            tx.execute(
                "DELETE FROM missing WHERE seen_ms NOT BETWEEN ?1 AND ?2",
                [now - GOOD_FOR_MS, now],
            )?;
            tx.execute(
                "INSERT OR REPLACE INTO missing (version, hash, era, seen_ms) VALUES (?1, ?2, ?3, ?4)",
                params![version.id, hash(tx.keys, room_id, session_id), version.era, now],
            )?;
            Ok(())
        })
    }
}

fn is_fresh(seen_ms: i64) -> bool {
    // A time in the future means that the clock was put back; the note is then stale, too.
    (0..GOOD_FOR_MS).contains(&(wall_ms() - seen_ms))
}

fn hash(keys: &VaultKeys, room_id: &str, session_id: &str) -> i64 {
    let session = SessionId::parse(session_id);
    keys.hash(&[keys.room_hash(room_id).as_slice(), &session.to_bytes()].concat())
        .cast_signed()
}
