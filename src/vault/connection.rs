//! The vault as a place, a connection to it, and the fence that every write of a run passes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{OpenFlags, Transaction, TransactionBehavior};

use super::{VaultError, schema, seal::VaultKeys, session_index::RecentSessions};

/// Room for the pages of a transaction, so that they are written once. SQLite counts KiB below zero.
const WRITER_CACHE_KIB: i64 = -3_500;

/// Where the vault is and how to read it. Holds no connection, no lock, no thread.
#[derive(Clone)]
pub(crate) struct Vault {
    path: Arc<Path>,
    pub(super) keys: Arc<VaultKeys>,
}

impl Vault {
    pub(super) fn new(path: PathBuf, keys: VaultKeys) -> Self {
        Self {
            path: path.into(),
            keys: Arc::new(keys),
        }
    }

    /// Opens a connection, in well under a millisecond. Blocks.
    pub(crate) fn connect(&self) -> Result<Connection, VaultError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let inner = rusqlite::Connection::open_with_flags(&self.path, flags)?;
        schema::prepare(&inner)?;
        Ok(Connection {
            inner,
            keys: self.keys.clone(),
        })
    }

    /// Takes the vault over for a new run: from here on only its writer commits. Blocks.
    pub(crate) fn begin_run(&self) -> Result<Writer, VaultError> {
        let mut connection = self.connect()?;
        connection.inner.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
        let generation = connection.write(|transaction, _| {
            transaction.execute("UPDATE job SET generation = generation + 1", [])?;
            Ok(transaction.query_row("SELECT generation FROM job", [], |row| row.get(0))?)
        })?;
        Ok(Writer {
            connection,
            generation,
            recent: None,
        })
    }

    /// Whether decryption keys can be kept over a restart.
    pub(crate) fn keeps_secrets(&self) -> bool {
        self.keys.can_seal()
    }
}

/// One open connection. Blocking; closed on drop.
pub(crate) struct Connection {
    pub(super) inner: rusqlite::Connection,
    pub(super) keys: Arc<VaultKeys>,
}

impl Connection {
    /// One transaction that needs no fence: an unlock, a note for the next run.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &VaultKeys) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let transaction = self.inner.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction, &self.keys)?;
        transaction.commit()?;
        Ok(result)
    }
}

impl Connection {
    /// Moves the log into the file, as far as no reader needs it. Others may write meanwhile.
    pub(super) fn fold_log(&self) -> Result<(), VaultError> {
        Ok(self.inner.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }
}

/// The connection of a run: every transaction first looks whether a newer run has begun.
pub(crate) struct Writer {
    connection: Connection,
    generation: i64,
    /// As the vault has it: nobody else writes while this run does. Read when it is needed first.
    recent: Option<RecentSessions>,
}

impl Writer {
    /// What the index has not yet taken in; to be given back, changed, after the transaction that changes it.
    pub(super) fn recent_sessions(&mut self) -> Result<RecentSessions, VaultError> {
        match self.recent.take() {
            Some(recent) => Ok(recent),
            None => RecentSessions::read(&self.connection.inner),
        }
    }

    pub(super) fn keep_recent_sessions(&mut self, recent: RecentSessions) {
        self.recent = Some(recent);
    }

    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &VaultKeys) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let generation = self.generation;
        self.connection.write(|transaction, keys| {
            let newest: i64 = transaction
                .prepare_cached("SELECT generation FROM job")?
                .query_row([], |row| row.get(0))?;
            if newest != generation {
                return Err(VaultError::Overtaken);
            }
            work(transaction, keys)
        })
    }

    /// Rows inserted, changed and deleted since the run began.
    pub(super) fn rows_written(&self) -> u64 {
        self.connection.inner.total_changes()
    }

    /// For reading: what is read needs no fence.
    pub(crate) fn reader(&self) -> &Connection {
        &self.connection
    }
}
