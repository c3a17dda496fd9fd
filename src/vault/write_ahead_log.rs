//! Checkpoints of the write-ahead log, which move its content into the database file, and the size of both on
//! disk. The code calls a checkpoint *folding* the log.
//!
//! A run checkpoints the log while it writes (`shared_writer`), and once more at its end. Outside a run, SQLite
//! checkpoints the log in the transaction that makes it longer than 4 MiB (`schema`).

use std::{ffi::OsString, fs, time::Duration};

use super::{Connection, VaultError, Writer};

/// How long emptying the log waits for current readers, which need a few milliseconds each.
const PATIENCE_WITH_READERS: Duration = Duration::from_millis(20);

impl Connection {
    /// Whether the vault takes more than `most` bytes on disk, including its log. If it does, the log is emptied,
    /// and the vault is measured again.
    pub(crate) fn takes_more_than(&self, most: u64) -> Result<bool, VaultError> {
        if self.bytes()? <= most {
            return Ok(false);
        }
        self.empty_log()?;
        Ok(self.bytes()? > most)
    }

    /// Moves the log into the file, except for the part that a reader still needs. Other connections can write in
    /// the meantime.
    pub(super) fn fold_log(&self) -> Result<(), VaultError> {
        Ok(self.inner.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }

    /// Moves the whole log into the file, and frees its space on disk. If other connections read or write all the
    /// time, part of the log stays; that is not an error.
    fn empty_log(&self) -> Result<(), VaultError> {
        let usual = self.inner.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
        self.inner.busy_timeout(PATIENCE_WITH_READERS)?;
        let emptied = self.inner.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.inner.busy_timeout(Duration::from_millis(usual))?;
        Ok(emptied?)
    }

    /// Returns the number of bytes in use on disk, including the log and the segments.
    fn bytes(&self) -> Result<u64, VaultError> {
        let sql = "SELECT (page_count - freelist_count) * page_size + (SELECT ifnull(sum(length), 0) FROM segment)
                   FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        let bytes: i64 = self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(bytes.cast_unsigned() + self.log_bytes())
    }

    pub(super) fn log_bytes(&self) -> u64 {
        let mut log = OsString::from(&*self.path);
        log.push("-wal");
        // The log file may be missing.
        fs::metadata(log).map_or(0, |log| log.len())
    }
}

impl Writer {
    /// Moves the whole log into the file, and frees its space on disk. SQLite does this only when the last
    /// connection closes, and a look-up may keep a connection open for long.
    pub(crate) fn empty_log(&self) -> Result<(), VaultError> {
        self.reader().empty_log()
    }
}
