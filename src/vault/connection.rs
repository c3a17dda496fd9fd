//! The vault and its identity, connections to it, and the generation fence that every write of a run passes.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{OpenFlags, Transaction, TransactionBehavior};

use super::{
    VaultError,
    bodies::{Bodies, SegmentFiles},
    file_identity::FileIdentity,
    schema,
    seal::{Fingerprint, VaultKeys},
    session_index::RecentSessions,
};
use crate::ids::Generation;

/// How long a run waits for the write lock of the database in total, and what ends the wait early.
#[derive(Clone)]
pub(crate) struct Patience {
    pub(crate) limit: Duration,
    /// Whether the run has been stopped, so that it no longer needs the lock.
    pub(crate) has_ended: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The path, the identity and the keys of a vault. Holds no connection, no lock and no thread.
#[derive(Clone)]
pub(crate) struct Vault {
    path: Arc<Path>,
    keys: Arc<VaultKeys>,
    /// Identifies the vault: each vault has a random salt.
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
    /// [`VaultError::Gone`] if the vault was deleted, or another one is in its place.
    pub(crate) fn connect(&self) -> Result<Connection, VaultError> {
        let connection = Connection::open(&self.path, self.keys.clone())?;
        let salt: Vec<u8> = connection
            .inner
            .query_row("SELECT salt FROM vault", [], |row| row.get(0))
            .map_err(|error| match error.into() {
                // The table is missing or empty.
                VaultError::Sqlite(_) => VaultError::Corrupt,
                error => error,
            })?;
        if *salt != *self.salt {
            return Err(VaultError::Gone);
        }
        Ok(connection)
    }

    /// Returns the fingerprint of a session in the export format.
    pub(crate) fn fingerprint(&self, session: &[u8]) -> Fingerprint {
        self.keys.fingerprint(session)
    }

    /// Whether decryption keys can be stored in the vault, so that they survive a restart.
    pub(crate) fn keeps_secrets(&self) -> bool {
        self.keys.can_seal()
    }
}

/// A write transaction, with the keys that seal the values it writes. A transaction of a [`Writer`] is fenced, and
/// one of a [`Connection`] is not.
pub(crate) struct VaultTx<'a> {
    transaction: &'a Transaction<'a>,
    pub(super) keys: &'a VaultKeys,
    pub(super) bodies: &'a Bodies,
}

impl<'a> Deref for VaultTx<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Transaction<'a> {
        self.transaction
    }
}

/// One open connection. Its methods block. It is closed on drop.
pub(crate) struct Connection {
    pub(super) inner: rusqlite::Connection,
    pub(super) keys: Arc<VaultKeys>,
    pub(super) path: Arc<Path>,
    pub(super) bodies: Bodies,
    file: FileIdentity,
}

impl Connection {
    /// Opens the vault at `path`, without checking which one it is.
    pub(super) fn open(path: &Arc<Path>, keys: Arc<VaultKeys>) -> Result<Self, VaultError> {
        // Read the identity before opening the file: if the file is replaced after that, the next write notices it.
        let file = FileIdentity::of(path).map_err(|_| VaultError::Inaccessible)?;
        let file = file.ok_or(VaultError::Gone)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let inner = rusqlite::Connection::open_with_flags(path, flags)?;
        schema::prepare(&inner)?;
        Ok(Self {
            inner,
            keys,
            path: path.clone(),
            bodies: Bodies::new(SegmentFiles::of(path.clone())),
            file,
        })
    }

    /// Runs `work` in one write transaction without a fence, for example an unlock, or a note for the next run.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&VaultTx<'_>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let transaction = Transaction::new_unchecked(&self.inner, TransactionBehavior::Immediate)?;
        self.is_in_place()?;
        self.finish(transaction, work)
    }

    /// Runs a look-up that reads bodies, in one read transaction. Repeats it once if a segment was removed in between:
    /// then its rows are gone or say where the bodies are now.
    pub(super) fn look_up<T>(&self, look: impl Fn() -> Result<T, VaultError>) -> Result<T, VaultError> {
        match self.read(&look) {
            Err(VaultError::SegmentMissing) => self.read(look),
            result => result,
        }
    }

    /// Runs `look` in one read transaction: it takes SQLite's locks once instead of for each statement.
    fn read<T>(&self, look: impl Fn() -> Result<T, VaultError>) -> Result<T, VaultError> {
        let _snapshot = Transaction::new_unchecked(&self.inner, TransactionBehavior::Deferred)?;
        look()
    }

    /// Runs `work` in a transaction that has begun, and commits it.
    fn finish<T>(
        &self,
        transaction: Transaction<'_>,
        work: impl FnOnce(&VaultTx<'_>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let result = work(&VaultTx {
            transaction: &transaction,
            keys: &self.keys,
            bodies: &self.bodies,
        })?;
        transaction.commit()?;
        Ok(result)
    }

    /// Fails if the file was deleted, moved or replaced: anything written to it would be lost without an error.
    fn is_in_place(&self) -> Result<(), VaultError> {
        match FileIdentity::of(&self.path) {
            Ok(file) if file == Some(self.file) => Ok(()),
            Ok(_) => Err(VaultError::Gone),
            Err(_) => Err(VaultError::Inaccessible),
        }
    }

    /// Begins a write transaction. Waits, as long as `patience` allows, until no other connection has one.
    pub(super) fn begin(&self, patience: &Patience) -> Result<Transaction<'_>, VaultError> {
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

/// The connection of a run. Every write transaction first checks that no newer run has begun.
pub(crate) struct Writer {
    connection: Connection,
    generation: Generation,
    patience: Patience,
    /// The index entries that are not yet merged into the tree, as stored in the vault. `None` until first needed.
    recent: Option<RecentSessions>,
}

impl Writer {
    pub(super) fn new(connection: Connection, generation: Generation, patience: Patience) -> Self {
        Self {
            connection,
            generation,
            patience,
            recent: None,
        }
    }

    /// Takes the recent sessions out for a transaction that changes them. The caller returns them after the commit
    /// with `keep_recent_sessions`.
    pub(super) fn take_recent_sessions(&mut self) -> Option<RecentSessions> {
        self.recent.take()
    }

    pub(super) fn keep_recent_sessions(&mut self, recent: RecentSessions) {
        self.recent = Some(recent);
    }

    /// Runs `work` in one write transaction of the run. Fails with [`VaultError::Overtaken`] if a newer run has begun.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&VaultTx<'_>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let transaction = self.begin_fenced()?;
        self.connection.finish(transaction, work)
    }

    fn begin_fenced(&self) -> Result<Transaction<'_>, VaultError> {
        let transaction = self.connection.begin(&self.patience)?;
        let newest = transaction
            .prepare_cached("SELECT generation FROM job")?
            .query_row([], |row| row.get::<_, Generation>(0))?;
        if newest != self.generation {
            return Err(VaultError::Overtaken);
        }
        self.connection.is_in_place()?;
        Ok(transaction)
    }

    /// Returns the connection for a single transaction that does not belong to the run and needs no fence. The run
    /// leaves hardly a gap to other connections, so such a transaction takes turns with it here. While another
    /// process is writing, the transaction fails with [`VaultError::Busy`] after a short wait, so that the run can
    /// be stopped in between.
    pub(crate) fn beside(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Returns the connection for reading. Reads need no fence.
    pub(crate) fn reader(&self) -> &Connection {
        &self.connection
    }
}
