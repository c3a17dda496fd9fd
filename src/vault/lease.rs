//! Advisory lease between processes: who runs, and since when. Correctness comes from the generation fence, not from this.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Connection, Patience, Vault, VaultError, Writer};
use crate::clock::{ProcessIdentity, boot_ms, is_alive, this_process, wall_ms};

/// Room for the pages that a transaction comes back to. SQLite counts KiB below zero.
const WRITER_CACHE_KIB: i64 = -1_500;

/// How long a run waits at a time for the write lock of another process, before it looks whether it is still wanted.
const BUSY_STEP: Duration = Duration::from_millis(50);

/// Milliseconds between two signs of life.
pub(crate) const HEARTBEAT_MS: u64 = 2_000;
/// Without a sign of life for so long, a holder counts as gone: it is suspended, or was killed where one cannot see that.
const STALE_MS: i64 = 8_000;

/// The holder of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    /// What the app calls that process.
    pub(crate) holder: String,
    pub(crate) process: ProcessIdentity,
    /// Milliseconds since 1970.
    pub(crate) since_ms: i64,
    /// By the clock that counts from the start of the system.
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

    /// Whether the holder is at work, as far as can be told.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live_at(is_alive(&self.process), boot_ms())
    }

    fn is_live_at(&self, alive: Option<bool>, now_ms: i64) -> bool {
        // A sign from the future is one of an earlier boot.
        alive != Some(false) && (0..STALE_MS).contains(&(now_ms - self.heartbeat_ms))
    }
}

/// What became of the wish to run.
pub(crate) enum BegunRun {
    /// The run has the vault, and writes with this.
    Writer(Box<Writer>),
    /// A run that is alive has it.
    HeldBy(LeaseRow),
}

impl Vault {
    /// Takes the vault for a new run of `holder`, from here on the only one whose writer commits; or returns who has it.
    /// Blocks.
    pub(crate) fn begin_run(&self, holder: &str, patience: Patience) -> Result<BegunRun, VaultError> {
        let connection = self.connect()?;
        connection.inner.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
        // It folds the log beside its writing.
        connection.inner.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.inner.busy_timeout(BUSY_STEP)?;
        // Without the write lock first: it may be somebody's who is suspended.
        if let Some(lease) = connection.lease()?.filter(LeaseRow::is_live) {
            return Ok(BegunRun::HeldBy(lease));
        }
        let transaction = connection.begin(&patience)?;
        let rival = read(&transaction)?.filter(LeaseRow::is_live);
        if let Some(rival) = rival {
            return Ok(BegunRun::HeldBy(rival));
        }
        take(&transaction, holder)?;
        transaction.execute("UPDATE job SET generation = generation + 1", [])?;
        let generation = transaction.query_row("SELECT generation FROM job", [], |row| row.get(0))?;
        transaction.commit()?;
        Ok(BegunRun::Writer(Box::new(Writer::new(
            connection, generation, patience,
        ))))
    }
}

impl Connection {
    /// Who took the vault last and has not given it back.
    pub(crate) fn lease(&self) -> Result<Option<LeaseRow>, VaultError> {
        read(&self.inner)
    }
}

impl Writer {
    /// A sign of life.
    pub(crate) fn beat(&mut self) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute("UPDATE lease SET heartbeat_ms = ?1", [boot_ms()])?;
            Ok(())
        })
    }

    /// Gives the vault back.
    pub(crate) fn release(&mut self) -> Result<(), VaultError> {
        self.write(|transaction| {
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

/// Makes this process the holder.
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
    fn a_holder_is_alive_while_it_shows_that() {
        let lease = LeaseRow {
            heartbeat_ms: 100_000,
            ..LeaseRow::new("app")
        };
        let table = [
            (Some(true), 100_000, true),
            (None, 107_999, true),
            // Suspended: the process is there, and shows nothing.
            (Some(true), 108_000, false),
            (None, 108_000, false),
            // Killed.
            (Some(false), 100_001, false),
            // The system was started anew since.
            (None, 99_999, false),
            (None, 5, false),
        ];
        for (alive, now_ms, is_live) in table {
            assert_eq!(lease.is_live_at(alive, now_ms), is_live, "{alive:?} at {now_ms}");
        }
    }
}
