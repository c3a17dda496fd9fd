//! The writer of a run, shared by its threads, and the folding of the log into the file beside their work.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use tokio::sync::Mutex;

use super::{Vault, VaultError, Writer};

/// Rows between two foldings: some 20 MB of log.
const ROWS_PER_FOLD: u64 = 48_000;

/// One writer for all threads of a run. Its lock is held for a transaction, never across a callback or an await.
#[derive(Clone)]
pub(crate) struct SharedWriter {
    shared: Arc<Shared>,
    /// Nothing is sent: what counts is whether there is one.
    _user: Sender<Infallible>,
}

/// Holds the writer longer than all others, and closes it.
pub(crate) struct WriterKeeper {
    shared: Arc<Shared>,
    users: Receiver<Infallible>,
}

struct Shared {
    /// One that is handed on in the order of asking: under load, what is wanted now must not wait behind all that is not.
    writer: Mutex<Writer>,
    vault: Vault,
    /// Rows that the writer had written when the log was folded last.
    folded_at: AtomicU64,
}

impl SharedWriter {
    pub(crate) fn new(vault: Vault, writer: Writer) -> (Self, WriterKeeper) {
        let shared = Arc::new(Shared {
            writer: Mutex::new(writer),
            vault,
            folded_at: AtomicU64::new(0),
        });
        let (user, users) = channel();
        let keeper = WriterKeeper {
            shared: shared.clone(),
            users,
        };
        (Self { shared, _user: user }, keeper)
    }

    /// Does `work` with the writer. Now and then the calling thread then folds the log, while others write on. Blocks.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let folded_at = &self.shared.folded_at;
        let (result, is_due) = {
            let mut writer = self.shared.writer.blocking_lock();
            let result = work(&mut writer);
            let rows = writer.rows_written();
            // Relaxed: the lock orders it.
            let is_due = rows - folded_at.load(Ordering::Relaxed) >= ROWS_PER_FOLD;
            if is_due {
                folded_at.store(rows, Ordering::Relaxed);
            }
            (result, is_due)
        };
        if is_due {
            self.fold_log();
        }
        result
    }

    /// Folds what is in the log by now into the file. Blocks for tens of milliseconds, nearly all of it waiting for the
    /// disk; others write on.
    pub(crate) fn fold_log(&self) {
        let folded = self.shared.vault.connect().and_then(|connection| connection.fold_log());
        if let Err(error) = folded {
            // The log stays as long as it is, and the next one folds more.
            log::debug!("the log was not folded: {error}");
        }
    }
}

impl WriterKeeper {
    /// Waits for so long, or until nobody else has the writer any more: false then. Blocks.
    pub(crate) fn is_in_use_after(&self, wait: Duration) -> bool {
        self.users.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
    }

    /// Does `work` with the writer. Blocks.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, VaultError>) -> Result<T, VaultError> {
        work(&mut self.shared.writer.blocking_lock())
    }
}
