//! Advisory lease between processes: which process holds the vault, and since when. Correctness comes from the
//! generation fence, not from this.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Connection, Patience, Vault, VaultError, Writer, reserve};
use crate::clock::{ProcessIdentity, boot_ms, is_alive, this_process, wall_ms};

/// Cache size of the connection of a run, enough for the pages that a transaction uses repeatedly. SQLite takes a
/// negative number as KiB.
const WRITER_CACHE_KIB: i64 = -1_000;

/// How long a run waits for the write lock of another process before it checks whether it has been stopped.
const BUSY_STEP: Duration = Duration::from_millis(50);

/// Milliseconds between two heartbeats of a run.
pub(crate) const HEARTBEAT_MS: u64 = 2_000;
/// Milliseconds without a heartbeat after which a holder counts as gone. It is suspended, or it was killed on a
/// system that hides other processes.
const STALE_MS: i64 = 8_000;

/// The lease as stored in the vault: which process holds the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    /// The app's name for the process.
    pub(crate) holder: String,
    pub(crate) process: ProcessIdentity,
    /// When the process took the vault, in milliseconds since 1970.
    pub(crate) since_ms: i64,
    /// The time of the last heartbeat, in milliseconds since the system was started.
    heartbeat_ms: i64,
}

impl LeaseRow {
    fn new(holder: &str) -> Self {
        Self {
            holder: holder.to_owned(),
            process: this_process().clone(),
            since_ms: wall_ms(),
            heartbeat_ms: boot_ms(),
        }
    }

    /// Whether the holder is running, as far as this process can tell.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live_at(is_alive(&self.process), boot_ms())
    }

    fn is_live_at(&self, alive: Option<bool>, now_ms: i64) -> bool {
        // A heartbeat in the future was written before the system was restarted.
        alive != Some(false) && (0..STALE_MS).contains(&(now_ms - self.heartbeat_ms))
    }
}

/// The result of an attempt to begin a run.
pub(crate) enum BegunRun {
    /// The run holds the vault, and writes with this writer.
    Writer(Box<Writer>),
    /// Another run, which is alive, holds the vault.
    HeldBy(LeaseRow),
}

impl Vault {
    /// Takes the vault for a new run of `holder`. From then on, no writer of an earlier run can commit. If another
    /// run that is alive holds the vault, returns its lease instead. Blocks.
    pub(crate) fn begin_run(&self, holder: &str, patience: Patience) -> Result<BegunRun, VaultError> {
        let connection = self.connect()?;
        connection.inner.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
        // A run checkpoints the log itself, while it continues to write.
        connection.inner.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.inner.busy_timeout(BUSY_STEP)?;
        // Check once without the write lock: a suspended process may hold it.
        if let Some(lease) = connection.lease()?.filter(LeaseRow::is_live) {
            return Ok(BegunRun::HeldBy(lease));
        }
        let transaction = connection.begin(&patience)?;
        let rival = read(&transaction)?.filter(LeaseRow::is_live);
        if let Some(rival) = rival {
            return Ok(BegunRun::HeldBy(rival));
        }
        take(&transaction, holder)?;
        reserve::take(&connection.path)?;
        transaction.execute("UPDATE job SET generation = generation + 1", [])?;
        let generation = transaction.query_row("SELECT generation FROM job", [], |row| row.get(0))?;
        transaction.commit()?;
        Ok(BegunRun::Writer(Box::new(Writer::new(
            connection, generation, patience,
        ))))
    }
}

impl Connection {
    /// Returns the lease that was taken last, unless it was released.
    pub(crate) fn lease(&self) -> Result<Option<LeaseRow>, VaultError> {
        read(&self.inner)
    }
}

impl Writer {
    /// Writes a heartbeat.
    pub(crate) fn beat(&mut self) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute("UPDATE lease SET heartbeat_ms = ?1", [boot_ms()])?;
            Ok(())
        })
    }

    /// Releases the lease.
    pub(crate) fn release(&mut self) -> Result<(), VaultError> {
        let path = self.reader().path.clone();
        self.write(|transaction| {
            reserve::give_back(&path);
            transaction.execute("DELETE FROM lease", [])?;
            Ok(())
        })
    }
}

pub(super) fn read(connection: &rusqlite::Connection) -> Result<Option<LeaseRow>, VaultError> {
    let sql = "SELECT holder, process_id, process_began, process_space, since_ms, heartbeat_ms FROM lease";
    let lease = connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(LeaseRow {
            holder: row.get(0)?,
            process: ProcessIdentity {
                id: row.get(1)?,
                began: row.get(2)?,
                space: row.get(3)?,
            },
            since_ms: row.get(4)?,
            heartbeat_ms: row.get(5)?,
        })
    });
    Ok(lease.optional()?)
}

/// Writes the lease with this process as the holder.
pub(super) fn take(transaction: &Transaction<'_>, holder: &str) -> Result<(), VaultError> {
    let lease = LeaseRow::new(holder);
    transaction.execute(
        "INSERT OR REPLACE INTO lease (id, holder, process_id, process_began, process_space, since_ms, heartbeat_ms)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            lease.holder,
            lease.process.id,
            lease.process.began,
            lease.process.space,
            lease.since_ms,
            lease.heartbeat_ms
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_live_while_its_holder_shows_signs_of_life() {
        let lease = LeaseRow {
            heartbeat_ms: 100_000,
            ..LeaseRow::new("app")
        };
        let table = [
            (Some(true), 100_000, true),
            (None, 107_999, true),
            // Suspended: the process exists, but writes no heartbeat.
            (Some(true), 108_000, false),
            (None, 108_000, false),
            // Killed.
            (Some(false), 100_001, false),
            // The system was restarted after the last heartbeat.
            (None, 99_999, false),
            (None, 5, false),
        ];
        for (alive, now_ms, is_live) in table {
            assert_eq!(lease.is_live_at(alive, now_ms), is_live, "{alive:?} at {now_ms}");
        }
    }
}
