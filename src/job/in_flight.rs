//! Tracks whether any job of a client is still active: an open database, a lock, a socket or a busy thread.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts active pieces of work.
#[derive(Clone, Debug)]
pub(crate) struct InFlight(Arc<watch::Sender<usize>>);

/// Marks one piece of work as active until it is dropped; held by the part of it that ends last.
#[derive(Debug)]
pub(crate) struct AtWork(InFlight);

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl InFlight {
    pub(crate) fn begin(&self) -> AtWork {
        self.0.send_modify(|count| *count += 1);
        AtWork(self.clone())
    }

    /// Waits until nothing is active.
    pub(crate) async fn quiescent(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
