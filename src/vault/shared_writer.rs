//! The writer of a run, shared by its threads, and the folding of the log into the file beside their work.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use super::{Vault, VaultError, Writer};

/// Rows between two foldings: some 20 MB of log.
const ROWS_PER_FOLD: u64 = 48_000;

/// One writer for all threads of a run. Its lock is held for a transaction, never across a callback or an await.
#[derive(Clone)]
pub(crate) struct SharedWriter {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Mutex<Writer>,
    vault: Vault,
    /// Rows that the writer had written when the log was folded last.
    folded_at: AtomicU64,
}

impl SharedWriter {
    pub(crate) fn new(vault: Vault, writer: Writer) -> Self {
        Self {
            shared: Arc::new(Shared {
                writer: Mutex::new(writer),
                vault,
                folded_at: AtomicU64::new(0),
            }),
        }
    }

    /// Does `work` with the writer. Now and then the calling thread then folds the log, while others write on. Blocks.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let folded_at = &self.shared.folded_at;
        let (result, is_due) = {
            let mut writer = self.shared.writer.lock().map_err(|_| VaultError::Panicked)?;
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
