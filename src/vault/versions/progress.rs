//! How far a run is with a backup version, and what it has found out.

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
    /// Notes that it has been asked for since another one is current.
    pub(crate) fn mark_superseded(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.set(id, "superseded = 1")
    }

    /// Notes that the server does not have the version any more.
    pub(crate) fn mark_gone(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.set(id, "gone = 1")
    }

    /// Notes that an answer for everything has come to its well-formed end, and the mark under which it was asked for. False if the
    /// mark has moved since: then it shows what there was before, and what lacks has come since.
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

    /// Notes that failed entries have been asked for again in this era.
    pub(crate) fn mark_failed_asked(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.set(id, "failed_asked_in = era")
    }

    /// Notes that the list of rooms has been made in this era.
    pub(crate) fn mark_rooms_listed(&mut self, id: VersionRowId, now_ms: i64) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE backup_version SET rooms_listed_ms = ?2, rooms_listed_in = era WHERE id = ?1",
                params![id, now_ms],
            )?;
            Ok(())
        })
    }

    /// Asks again for rooms that have not been read since the version was settled last.
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

    /// Counts the names of a version from the beginning: what is here counts once an answer has it again. Every room is
    /// asked for again, unless everything comes at once.
    pub(crate) fn recount_names(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.write(|transaction| recount_names(transaction, id))
    }

    /// Notes that nothing is left to be asked for in that era. False if the mark has moved since.
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
                // What was wanted is here.
                transaction.execute("UPDATE room SET position = NULL WHERE version = ?1 AND position < 0", [id])?;
                forget_confirmations(transaction, id)?;
            }
            Ok(settled > 0)
        })
    }

    /// Counts a look at the mark of a version that is short.
    pub(crate) fn count_short_look(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE backup_version SET short_looks = short_looks + 1, looked_at_ms = ?2 WHERE id = ?1 AND settled = 3",
                params![id, wall_ms()],
            )?;
            Ok(())
        })
    }

    /// Asks once more for everything of a version that is short, under the same mark.
    pub(crate) fn reopen_short(&mut self, id: VersionRowId) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE backup_version SET settled = 0, everything_in = 0, rooms_listed_in = 0 WHERE id = ?1 AND settled = 3",
                [id],
            )?;
            recount_names(transaction, id)
        })
    }

    /// Notes that a request for everything does not come through, and when it may be tried again.
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

    /// Counts a request for everything that was cut, and the bytes that came in any.
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
