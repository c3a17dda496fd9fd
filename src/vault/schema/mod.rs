//! Tables and pragmas of the database. `migrations` upgrades the tables of older vaults.
//!
//! Entries are inserted and never updated. What is learnt about them later goes into narrow tables by row id,
//! which writes ten times fewer bytes to the flash than an update of the entry would. `docs/adr/0002-vault.md` has
//! the figures.

use rusqlite::Connection;

/// Bytes of a page of a new vault. A transaction writes each page that it touches as a whole, and most touch a dozen for
/// a few rows each. Vaults of earlier versions keep their pages of 32 KiB.
pub(super) const PAGE_BYTES: u32 = 8 * 1024;

/// Length of the log, in pages, at which a transaction outside a run makes SQLite checkpoint it: 4 MiB, and 16 MiB in a
/// vault of an earlier version.
const PAGES_BESIDE_A_RUN: u32 = 4 * 1024 * 1024 / PAGE_BYTES;

/// The schema that this crate writes.
pub(crate) const SCHEMA_VERSION: i64 = 4;

/// How long a statement waits for the write transaction of another connection. These take 20 to 50 ms.
pub(crate) const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// The tables of that schema, with comments.
const TABLES: &str = include_str!("current.sql");

/// Creates the tables of a new vault. Leaves the comments out: every connection would read through them.
pub(super) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    let lines = TABLES.lines().filter(|line| !line.trim_start().starts_with("--"));
    connection.execute_batch(&lines.collect::<Vec<_>>().join("\n"))
}

/// Sets the pragmas and the statement cache of a connection. Readers and writers need the same ones.
pub(crate) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // `fullfsync` matters only on Apple systems, where a plain fsync does not reach the disk.
    // `temp_store` is in memory because Android has no directory for temporary files.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -500;
         PRAGMA wal_autocheckpoint = {PAGES_BESIDE_A_RUN};
         PRAGMA journal_size_limit = 0;
         PRAGMA mmap_size = 0;
         PRAGMA trusted_schema = OFF;",
    ))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}
