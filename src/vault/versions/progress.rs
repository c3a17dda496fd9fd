//! Records how far a run has come with a backup version, and what it has found out.

use std::time::Duration;

use rusqlite::params;

use super::mark::{forget_confirmations, recount_names};
use crate::{
    backup::completeness::Settled,
    clock::wall_ms,
    ids::{Era, VersionRowId},
    vault::{AskedUnder, Fault, VaultError, Writer},
};

impl Writer {
    /// Records that the version was requested after another version became current.
    pub(crate) fn mark_superseded(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.set(id, "superseded = 1")
    }

    /// Records that the server no longer has the version.
    pub(crate) fn mark_gone(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.set(id, "gone = 1")
    }

    /// Records that an answer for everything has reached its well-formed end, and the mark under which it was
    /// requested. Returns false if the mark has changed since. The answer then shows what existed under the earlier
    /// mark; whatever is missing has been added since.
    pub(crate) fn mark_everything_read(&mut self, id: VersionRowId, under: AskedUnder) -> Result<bool, VaultError> {
        self.write(|transaction| {
            let noted = transaction.execute(
                "UPDATE backup_version SET everything_in = era, everything_names = names, failed_asked_in = era, cuts = 0,
                    failures = 0, fault = 0, failed_at_ms = 0, retry_at_ms = 0
                 WHERE id = ?1 AND era = ?2",
                params![id, under.era],
            )?;
            if let (0, Some(count)) = (noted, under.count) {
                transaction.execute(
                    "UPDATE backup_version SET settled_in = ?2, settled_names = ?3, is_carried = 1
                     WHERE id = ?1 AND settled_in < ?2 AND names >= ?3",
                    params![id, under.era, count.cast_signed()],
                )?;
            }
            Ok(noted > 0)
        })
    }

    /// Records that failed entries have been requested again in this era.
    pub(crate) fn mark_failed_asked(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.set(id, "failed_asked_in = era")
    }

    /// Records that the list of rooms was made in this era, at `now_ms` milliseconds since 1970.
    pub(crate) fn mark_rooms_listed(&mut self, id: VersionRowId, now_ms: i64) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE backup_version SET rooms_listed_ms = ?2, rooms_listed_in = era WHERE id = ?1",
                params![id, now_ms],
            )?;
            Ok(())
        })
    }

    /// Makes runs ask again for the rooms that have not been read since the version was last settled.
    pub(crate) fn ask_again_since_it_was_settled(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE room SET complete = 0 WHERE version = ?1
                 AND complete BETWEEN 1 AND (SELECT settled_in FROM backup_version WHERE id = ?1)",
                [id],
            )?;
            Ok(())
        })
    }

    /// Restarts the count of a version's names at zero. An entry in the vault counts again only after an answer
    /// contains it. Every room is requested again, unless one answer brings everything.
    pub(crate) fn recount_names(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.write(|transaction| recount_names(transaction, id))
    }

    /// Records that nothing is left to ask for in an era. Returns false if the mark has changed since, or if the
    /// version is gone.
    pub(crate) fn settle_version(&mut self, id: VersionRowId, era: Era, settled: Settled) -> Result<bool, VaultError> {
        self.write(|transaction| {
            let settled = transaction.execute(
                "UPDATE backup_version SET settled = ?3, settled_in = era, settled_names = names, cuts = 0,
                    shortfall = CASE WHEN ?3 = 3 THEN max(0, server_count - names) END,
                    short_looks = CASE WHEN ?3 = 3 AND shortfall >= max(0, server_count - names) THEN short_looks ELSE 0 END,
                    looked_at_ms = ?4
                 WHERE id = ?1 AND era = ?2 AND gone = 0",
                params![id, era, settled.code(), wall_ms()],
            )?;
            if settled > 0 {
                // Rooms that the app wanted first have arrived, and need no priority any more.
                transaction.execute("UPDATE room SET position = NULL WHERE version = ?1 AND position < 0", [id])?;
                forget_confirmations(transaction, id)?;
            }
            Ok(settled > 0)
        })
    }

    /// Counts a check of the mark of a short version.
    pub(crate) fn count_short_look(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE backup_version SET short_looks = short_looks + 1, looked_at_ms = ?2 WHERE id = ?1 AND settled = 3",
                params![id, wall_ms()],
            )?;
            Ok(())
        })
    }

    /// Makes runs ask once more for everything of a short version, under the same mark.
    pub(crate) fn reopen_short(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE backup_version SET settled = 0, everything_in = 0, rooms_listed_in = 0 WHERE id = ?1 AND settled = 3",
                [id],
            )?;
            recount_names(transaction, id)
        })
    }

    /// Records that a request for everything failed, and when it may be retried.
    pub(crate) fn postpone_everything(
        &mut self,
        id: VersionRowId,
        fault: Fault,
        wait: Duration,
    ) -> Result<(), VaultError> {
        self.write(|transaction| {
            let now = wall_ms();
            transaction.execute(
                "UPDATE backup_version SET failures = failures + 1, fault = ?2, failed_at_ms = ?3, retry_at_ms = ?4
                 WHERE id = ?1",
                params![id, fault.code(), now, now + wait.as_millis() as i64],
            )?;
            Ok(())
        })
    }

    /// Adds the bytes that a request brought. If `cut` is set, also counts a request for everything that was cut
    /// off.
    pub(crate) fn count_request(&mut self, id: VersionRowId, bytes: u64, cut: bool) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE backup_version SET bytes = bytes + ?2, cuts = cuts + ?3 WHERE id = ?1",
                params![id, bytes.cast_signed(), cut],
            )?;
            Ok(())
        })
    }

    fn set(&mut self, id: VersionRowId, assignment: &str) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(&format!("UPDATE backup_version SET {assignment} WHERE id = ?1"), [id])?;
            Ok(())
        })
    }
}
