//! The usual way to lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, also after a panic of a thread that held it: what it guards is replaced in one step, and the panic is
/// reported where it happened. Only the page queue and its commits do without: a page that got lost between two steps
/// must not count as done, so they end the run (`VaultError::Panicked`).
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
