//! The vault as a place, a connection to it, and the fence that every write of a run passes.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{OpenFlags, Transaction, TransactionBehavior};

use super::{
    VaultError,
    file_identity::FileIdentity,
    schema,
    seal::{Fingerprint, VaultKeys},
    session_index::RecentSessions,
};

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

    /// Recognises a copy of a session, in the export format.
    pub(crate) fn fingerprint(&self, session: &[u8]) -> Fingerprint {
        self.keys.fingerprint(session)
    }

    /// Whether decryption keys can be kept over a restart.
    pub(crate) fn keeps_secrets(&self) -> bool {
        self.keys.can_seal()
    }
}

/// A transaction that writes, with the keys that seal what it writes. [`Writer`] and [`Connection`] differ in how they begin
/// one: a writer's is fenced.
pub(crate) struct VaultTx<'a> {
    transaction: &'a Transaction<'a>,
    pub(super) keys: &'a VaultKeys,
}

impl<'a> Deref for VaultTx<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Transaction<'a> {
        self.transaction
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
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&VaultTx<'_>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let transaction = Transaction::new_unchecked(&self.inner, TransactionBehavior::Immediate)?;
        self.is_in_place()?;
        let result = work(&VaultTx {
            transaction: &transaction,
            keys: &self.keys,
        })?;
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

/// The connection of a run: every transaction first looks whether a newer run has begun.
pub(crate) struct Writer {
    connection: Connection,
    generation: i64,
    patience: Patience,
    /// What the index has not yet taken in, as the vault has it. Read when it is needed first.
    recent: Option<RecentSessions>,
}

impl Writer {
    pub(super) fn new(connection: Connection, generation: i64, patience: Patience) -> Self {
        Self {
            connection,
            generation,
            patience,
            recent: None,
        }
    }

    /// To be given back, changed, after the transaction that changes it.
    pub(super) fn take_recent_sessions(&mut self) -> Option<RecentSessions> {
        self.recent.take()
    }

    pub(super) fn keep_recent_sessions(&mut self, recent: RecentSessions) {
        self.recent = Some(recent);
    }

    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&VaultTx<'_>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let transaction = self.connection.begin(&self.patience)?;
        let newest: i64 = transaction
            .prepare_cached("SELECT generation FROM job")?
            .query_row([], |row| row.get(0))?;
        if newest != self.generation {
            return Err(VaultError::Overtaken);
        }
        self.connection.is_in_place()?;
        let result = work(&VaultTx {
            transaction: &transaction,
            keys: &self.connection.keys,
        })?;
        transaction.commit()?;
        Ok(result)
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
