//! The vault as a place, a connection to it, and the fence that every write of a run passes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{OpenFlags, Transaction, TransactionBehavior};

use super::{
    VaultError,
    file_identity::FileIdentity,
    lease::{self, LeaseRow},
    schema,
    seal::{Fingerprint, VaultKeys},
    session_index::RecentSessions,
    trim::PAGES_OF_A_STEP,
};

/// Room for the pages that a transaction comes back to. SQLite counts KiB below zero.
const WRITER_CACHE_KIB: i64 = -1_500;

/// How long a run waits at a time for the write lock of another process, before it looks whether it is still wanted.
const BUSY_STEP: Duration = Duration::from_millis(50);

/// How long a run waits for the write lock in all.
#[derive(Clone)]
pub(crate) struct Patience {
    pub(crate) limit: Duration,
    /// The run has been stopped: there is nothing to wait for.
    pub(crate) has_ended: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Where the vault is, which one it is, and how to read it. Holds no connection, no lock, no thread.
#[derive(Clone)]
pub(crate) struct Vault {
    path: Arc<Path>,
    keys: Arc<VaultKeys>,
    /// No two vaults have the same.
    salt: Arc<[u8]>,
}

impl Vault {
    pub(super) fn new(path: PathBuf, keys: VaultKeys, salt: Vec<u8>) -> Self {
        Self {
            path: path.into(),
            keys: Arc::new(keys),
            salt: salt.into(),
        }
    }

    /// Opens a connection, in well under a millisecond. Blocks.
    ///
    /// # Errors
    /// [`VaultError::Gone`] if the vault was deleted, or another one lies in its place.
    pub(crate) fn connect(&self) -> Result<Connection, VaultError> {
        let connection = Connection::open(&self.path, self.keys.clone())?;
        let salt: Vec<u8> = connection
            .inner
            .query_row("SELECT salt FROM vault", [], |row| row.get(0))
            .map_err(|error| match error.into() {
                // No such table, or nothing in it.
                VaultError::Sqlite(_) => VaultError::Corrupt,
                error => error,
            })?;
        if *salt != *self.salt {
            return Err(VaultError::Gone);
        }
        Ok(connection)
    }

    /// Takes the vault for a new run of `holder`, from here on the only one whose writer commits; or tells who has it.
    /// Blocks.
    pub(crate) fn begin_run(&self, holder: &str, patience: Patience) -> Result<Result<Writer, LeaseRow>, VaultError> {
        let connection = self.connect()?;
        connection.inner.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
        // It folds the log beside its writing.
        connection.inner.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.inner.busy_timeout(BUSY_STEP)?;
        // Without the write lock first: it may be somebody's who is suspended.
        if let Some(lease) = connection.lease()?.filter(LeaseRow::is_live) {
            return Ok(Err(lease));
        }
        let transaction = connection.begin(&patience)?;
        let rival = lease::read(&transaction)?.filter(LeaseRow::is_live);
        if let Some(rival) = rival {
            return Ok(Err(rival));
        }
        lease::take(&transaction, holder)?;
        transaction.execute("UPDATE job SET generation = generation + 1", [])?;
        let generation = transaction.query_row("SELECT generation FROM job", [], |row| row.get(0))?;
        transaction.commit()?;
        Ok(Ok(Writer {
            connection,
            generation,
            patience,
            recent: None,
        }))
    }

    /// Recognises a copy of a session, in the export format.
    pub(crate) fn fingerprint(&self, session: &[u8]) -> Fingerprint {
        self.keys.fingerprint(session)
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
    pub(super) path: Arc<Path>,
    file: FileIdentity,
}

impl Connection {
    /// Opens whatever vault lies there.
    pub(super) fn open(path: &Arc<Path>, keys: Arc<VaultKeys>) -> Result<Self, VaultError> {
        // Before the opening: one that is replaced later is noticed when it is written to.
        let file = FileIdentity::of(path).map_err(|_| VaultError::Inaccessible)?;
        let file = file.ok_or(VaultError::Gone)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let inner = rusqlite::Connection::open_with_flags(path, flags)?;
        schema::prepare(&inner)?;
        Ok(Self {
            inner,
            keys,
            path: path.clone(),
            file,
        })
    }

    /// One transaction that needs no fence: an unlock, a note for the next run.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &VaultKeys) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let transaction = Transaction::new_unchecked(&self.inner, TransactionBehavior::Immediate)?;
        self.is_in_place()?;
        let result = work(&transaction, &self.keys)?;
        transaction.commit()?;
        Ok(result)
    }

    /// What is written into a file that was deleted or moved is lost, and nobody would know.
    fn is_in_place(&self) -> Result<(), VaultError> {
        match FileIdentity::of(&self.path) {
            Ok(file) if file == Some(self.file) => Ok(()),
            Ok(_) => Err(VaultError::Gone),
            Err(_) => Err(VaultError::Inaccessible),
        }
    }

    /// Begins a transaction that writes, when nobody else has one any more.
    fn begin(&self, patience: &Patience) -> Result<Transaction<'_>, VaultError> {
        let began = Instant::now();
        loop {
            let transaction = Transaction::new_unchecked(&self.inner, TransactionBehavior::Immediate);
            match transaction.map_err(VaultError::from) {
                Err(VaultError::Busy) if began.elapsed() < patience.limit && !(patience.has_ended)() => {}
                result => return result,
            }
        }
    }
}

/// The connection of a run: every transaction first looks whether a newer run has begun.
pub(crate) struct Writer {
    connection: Connection,
    generation: i64,
    patience: Patience,
    /// What the index has not yet taken in, as the vault has it. Read when it is needed first.
    recent: Option<RecentSessions>,
}

impl Writer {
    /// To be given back, changed, after the transaction that changes it.
    pub(super) fn take_recent_sessions(&mut self) -> Option<RecentSessions> {
        self.recent.take()
    }

    pub(super) fn keep_recent_sessions(&mut self, recent: RecentSessions) {
        self.recent = Some(recent);
    }

    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &VaultKeys) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let transaction = self.connection.begin(&self.patience)?;
        let newest: i64 = transaction
            .prepare_cached("SELECT generation FROM job")?
            .query_row([], |row| row.get(0))?;
        if newest != self.generation {
            return Err(VaultError::Overtaken);
        }
        self.connection.is_in_place()?;
        let result = work(&transaction, &self.connection.keys)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Gives pages that are no longer used back to the file system, a few at a time.
    pub(super) fn give_room_back(&mut self) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            let mut vacuum = transaction.prepare(&format!("PRAGMA incremental_vacuum({PAGES_OF_A_STEP})"))?;
            let mut pages = vacuum.query([])?;
            // One at a time, as many as there are.
            while pages.next()?.is_some() {}
            Ok(())
        })
    }

    /// For single transactions of others that need no fence, while this run has the vault: they need not wait for a gap.
    /// Where another process writes, they end as busy after a short step, so that this run can be stopped meanwhile.
    pub(crate) fn beside(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// For reading: what is read needs no fence.
    pub(crate) fn reader(&self) -> &Connection {
        &self.connection
    }
}
