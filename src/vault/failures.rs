//! What an older version of the crate could not open, this one may: such entries are opened anew, in small steps.

use rusqlite::params;

use super::{Connection, VaultError, Writer};
use crate::backup::FailureReason;

/// Rises with every version of the crate that opens more than the ones before.
const OPENS: i64 = 1;
/// Entries of a step.
const STEP: i64 = 1_000;

impl Connection {
    /// Whether an older version of the crate has been at work, and this one knows more.
    pub(crate) fn has_to_reopen(&self) -> Result<bool, VaultError> {
        let sql = "SELECT opens < ?1 FROM job";
        Ok(self.inner.prepare_cached(sql)?.query_row([OPENS], |row| row.get(0))?)
    }
}

impl Writer {
    /// Forgets that the next entries of unknown form or algorithm have failed. False if there are none left.
    pub(crate) fn reopen_step(&mut self) -> Result<bool, VaultError> {
        self.write(|transaction| {
            let reasons = [FailureReason::Malformed, FailureReason::UnknownAlgorithm].map(FailureReason::code);
            // By the index of failures, which has no others.
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
