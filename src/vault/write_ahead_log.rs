//! The write-ahead log: folding it into the file, and what both take on disk.
//!
//! A run folds it beside its own writing (`shared_writer`), and once more at its end. What is written beside a run is folded by
//! SQLite, by the transaction that makes the log longer than 4 MiB (`schema`).

use std::{ffi::OsString, fs, time::Duration};

use super::{Connection, VaultError, Writer};

/// How long emptying it waits for those who read it now: they need a few milliseconds each.
const PATIENCE_WITH_READERS: Duration = Duration::from_millis(20);

impl Connection {
    /// Whether the vault takes more than so many bytes on disk, its log included. Where it does, the log is folded first.
    pub(crate) fn takes_more_than(&self, most: u64) -> Result<bool, VaultError> {
        if self.bytes()? <= most {
            return Ok(false);
        }
        self.empty_log()?;
        Ok(self.bytes()? > most)
    }

    /// Moves the log into the file, as far as no reader needs it. Others may write meanwhile.
    pub(super) fn fold_log(&self) -> Result<(), VaultError> {
        Ok(self.inner.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }

    /// The same to its end, and gives the room back that it took, unless others read or write all the time.
    fn empty_log(&self) -> Result<(), VaultError> {
        let usual = self.inner.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
        self.inner.busy_timeout(PATIENCE_WITH_READERS)?;
        let emptied = self.inner.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.inner.busy_timeout(Duration::from_millis(usual))?;
        Ok(emptied?)
    }

    /// Bytes in use on disk.
    fn bytes(&self) -> Result<u64, VaultError> {
        let sql = "SELECT (page_count - freelist_count) * page_size
                   FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        let bytes: i64 = self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(bytes.cast_unsigned() + self.log_bytes())
    }

    pub(super) fn log_bytes(&self) -> u64 {
        let mut log = OsString::from(&*self.path);
        log.push("-wal");
        // It need not be there.
        fs::metadata(log).map_or(0, |log| log.len())
    }
}

impl Writer {
    /// Folds what the run has left of the log: a look-up may keep the database open for long, and nobody else folds it then.
    pub(crate) fn empty_log(&self) -> Result<(), VaultError> {
        self.reader().empty_log()
    }
}
