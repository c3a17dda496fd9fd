//! Re-queues failed entries that an older version of the crate could not open and this one may be able to open.
//! Works in small steps.

use rusqlite::params;

use super::{Connection, VaultError, Writer};
use crate::backup::FailureReason;

/// Must be increased whenever a new version of the crate can open more entries than the versions before.
const OPENS: i64 = 1;
/// Maximum number of entries in one step.
const STEP: i64 = 1_000;

impl Connection {
    /// Whether failed entries have to be re-queued, because an older version of the crate was the last to do so.
    pub(crate) fn has_to_reopen(&self) -> Result<bool, VaultError> {
        let sql = "SELECT opens < ?1 FROM job";
        Ok(self.inner.prepare_cached(sql)?.query_row([OPENS], |row| row.get(0))?)
    }
}

impl Writer {
    /// Re-queues the next entries that failed because of an unknown form or algorithm. Returns false if there are no
    /// more of them.
    pub(crate) fn reopen_step(&mut self) -> Result<bool, VaultError> {
        self.write(|transaction| {
            let reasons = [FailureReason::Malformed, FailureReason::UnknownAlgorithm].map(FailureReason::code);
            // With `failure <> 0`, SQLite can use the index of failures, which has only such rows.
            let failed = "SELECT opened.entry FROM opened WHERE failure <> 0 AND failure IN (?1, ?2)
                          ORDER BY failure, entry LIMIT ?3";
            let step = params![reasons[0], reasons[1], STEP];
            transaction.execute(
                &format!(
                    "UPDATE backup_version SET failed = failed -
                        (SELECT count(*) FROM entry JOIN room ON room.id = entry.room
                         WHERE room.version = backup_version.id AND entry.id IN ({failed}))"
                ),
                step,
            )?;
            let forgotten = transaction.execute(&format!("DELETE FROM opened WHERE entry IN ({failed})"), step)?;
            let goes_on = forgotten as i64 == STEP;
            transaction.execute(
                "UPDATE job SET opened_through = 0, delivered_through = 0, trimmed_through = 0, opens = CASE WHEN ?1 THEN opens ELSE ?2 END",
                params![goes_on, OPENS],
            )?;
            Ok(goes_on)
        })
    }
}
