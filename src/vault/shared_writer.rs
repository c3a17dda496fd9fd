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

/// Bytes that the log grows by between two foldings, at most.
const BYTES_PER_FOLD: u64 = 16_000_000;
/// Of a vault with a limit the log may take this part before it is folded.
const FOLDS_PER_LIMIT: u64 = 4;

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
    /// How long the log was when it was folded last.
    folded_at: AtomicU64,
    bytes_per_fold: AtomicU64,
}

impl SharedWriter {
    pub(crate) fn new(vault: Vault, writer: Writer) -> (Self, WriterKeeper) {
        let shared = Arc::new(Shared {
            writer: Mutex::new(writer),
            vault,
            folded_at: AtomicU64::new(0),
            bytes_per_fold: AtomicU64::new(BYTES_PER_FOLD),
        });
        let (user, users) = channel();
        let keeper = WriterKeeper {
            shared: shared.clone(),
            users,
        };
        (Self { shared, _user: user }, keeper)
    }

    /// Follows the limit for what the vault may take on disk.
    pub(crate) fn fold_for_limit(&self, most: Option<u64>) {
        let bytes = most.map_or(BYTES_PER_FOLD, |most| (most / FOLDS_PER_LIMIT).min(BYTES_PER_FOLD));
        // Relaxed: the next transaction or the one after it sees it.
        self.shared.bytes_per_fold.store(bytes, Ordering::Relaxed);
    }

    /// Does `work` with the writer. Now and then the calling thread then folds the log, while others write on. Blocks.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let (result, is_due) = {
            let mut writer = self.shared.writer.blocking_lock();
            let result = work(&mut writer);
            (result, self.shared.is_fold_due(writer.reader().log_bytes()))
        };
        if is_due {
            self.fold_log();
        }
        result
    }

    /// Folds what is in the log by now into the file, for tens of milliseconds, nearly all of it waiting for the disk, while
    /// others write on; and then, in turn with them, the little that they have written meanwhile, so that the log starts over.
    /// Blocks.
    pub(crate) fn fold_log(&self) {
        let beside = self.shared.vault.connect().and_then(|connection| connection.fold_log());
        let folded = beside.and_then(|()| self.shared.writer.blocking_lock().empty_log());
        if let Err(error) = folded {
            // The log stays as long as it is, and the next one folds more.
            log::debug!("the log was not folded: {error}");
        }
    }
}

impl Shared {
    /// Whether the log has grown enough since it was folded.
    fn is_fold_due(&self, log: u64) -> bool {
        // Relaxed: the lock of the writer orders it.
        let folded_at = self.folded_at.load(Ordering::Relaxed);
        let is_due = log.saturating_sub(folded_at) >= self.bytes_per_fold.load(Ordering::Relaxed);
        if is_due || log < folded_at {
            self.folded_at.store(log, Ordering::Relaxed);
        }
        is_due
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
