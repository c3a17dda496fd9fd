//! The writer of a run, shared by the threads of the run, and the checkpoints of the write-ahead log while the run
//! writes. The code calls a checkpoint *folding* the log.

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

/// Maximum number of bytes that the log grows by between two checkpoints.
const BYTES_PER_FOLD: u64 = 16_000_000;
/// If the size of the vault is limited, the log may grow by the limit divided by this number before it is
/// checkpointed.
const FOLDS_PER_LIMIT: u64 = 4;

/// One writer for all threads of a run. Its lock is held for one transaction, never across a callback or an await.
#[derive(Clone)]
pub(crate) struct SharedWriter {
    shared: Arc<Shared>,
    /// Nothing is sent. The keeper sees from the closed channel that all users have dropped the writer.
    _user: Sender<Infallible>,
}

/// Holds the writer longer than all [`SharedWriter`]s, so that the writer is closed where this is dropped.
pub(crate) struct WriterKeeper {
    shared: Arc<Shared>,
    users: Receiver<Infallible>,
}

struct Shared {
    /// A fair lock, granted in the order of requests: under load, urgent work must not wait behind all other work.
    writer: Mutex<Writer>,
    vault: Vault,
    /// Length of the log when it was last checkpointed, or when it was last found to be shorter than that.
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

    /// Adapts the checkpoints to `most`, the maximum size of the vault on disk. `None` is no limit.
    pub(crate) fn fold_for_limit(&self, most: Option<u64>) {
        let bytes = most.map_or(BYTES_PER_FOLD, |most| (most / FOLDS_PER_LIMIT).min(BYTES_PER_FOLD));
        // Relaxed is enough: it does not matter which transaction is the first to see the new value.
        self.shared.bytes_per_fold.store(bytes, Ordering::Relaxed);
    }

    /// Runs `work` with the writer. If a checkpoint of the log is due after that, the calling thread makes it,
    /// while other threads continue to write. Blocks.
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

    /// Checkpoints the log. First moves its current content into the file while other threads continue to write;
    /// this takes tens of milliseconds, nearly all of it waiting for the disk. Then takes the lock of the writer,
    /// moves the little that was written in the meantime, and empties the log. Blocks.
    pub(crate) fn fold_log(&self) {
        let beside = self.shared.vault.connect().and_then(|connection| connection.fold_log());
        let folded = beside.and_then(|()| self.shared.writer.blocking_lock().empty_log());
        if let Err(error) = folded {
            // The log keeps its length, and the next checkpoint moves more of it.
            log::debug!("the write-ahead log was not checkpointed: {error}");
        }
    }
}

impl Shared {
    /// Whether the log has grown enough since the last checkpoint for the next one. If so, notes its length as
    /// that of the next checkpoint.
    fn is_fold_due(&self, log: u64) -> bool {
        // Relaxed is enough: callers hold the lock of the writer.
        let folded_at = self.folded_at.load(Ordering::Relaxed);
        let is_due = log.saturating_sub(folded_at) >= self.bytes_per_fold.load(Ordering::Relaxed);
        if is_due || log < folded_at {
            self.folded_at.store(log, Ordering::Relaxed);
        }
        is_due
    }
}

impl WriterKeeper {
    /// Whether the writer has other users even after `wait`. Returns false as soon as it has none. Blocks.
    pub(crate) fn is_in_use_after(&self, wait: Duration) -> bool {
        self.users.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
    }

    /// Runs `work` with the writer. Blocks.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, VaultError>) -> Result<T, VaultError> {
        work(&mut self.shared.writer.blocking_lock())
    }
}
