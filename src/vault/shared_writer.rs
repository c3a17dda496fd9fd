//! The writer of a run, shared by its threads, and the folding of the log into the file beside their work.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use super::{Vault, VaultError, Writer};

/// Commits between two foldings: some 16 MB of log.
const COMMITS_PER_FOLD: u32 = 8;

/// One writer for all threads of a run. Its lock is held for a transaction, never across a callback or an await.
#[derive(Clone)]
pub(crate) struct SharedWriter {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Mutex<Writer>,
    vault: Vault,
    commits: AtomicU32,
}

impl SharedWriter {
    pub(crate) fn new(vault: Vault, writer: Writer) -> Self {
        Self {
            shared: Arc::new(Shared {
                writer: Mutex::new(writer),
                vault,
                commits: AtomicU32::new(0),
            }),
        }
    }

    /// Does `work` with the writer. Now and then the calling thread then folds the log, while others write on. Blocks.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let result = work(&mut *self.shared.writer.lock().map_err(|_| VaultError::Corrupt)?);
        // Relaxed: it only counts.
        if self.shared.commits.fetch_add(1, Ordering::Relaxed) % COMMITS_PER_FOLD == COMMITS_PER_FOLD - 1 {
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
