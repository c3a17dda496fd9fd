//! Ends a run with one signal that threads poll and futures await.
//!
//! A signal belongs to one run: a pause that arrives after its run has ended cannot end the next one.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use tokio::sync::watch;

use crate::locked::locked;

/// Why a run, or a phase of it, has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopCause {
    Paused,
    OutOfBudget,
    /// The phase is over: the run goes on with the next one.
    PhaseOver,
    /// The future of the run was dropped, or a stage failed.
    Abandoned,
}

/// Tells every part of a run to end. Keeps the first cause.
#[derive(Clone)]
pub(crate) struct StopSignal {
    cause: watch::Sender<Option<StopCause>>,
    winds_down: watch::Sender<bool>,
    wake: Wake,
}

impl StopSignal {
    pub(crate) fn new(wake: Wake) -> Self {
        Self {
            cause: watch::Sender::new(None),
            winds_down: watch::Sender::new(false),
            wake,
        }
    }

    pub(crate) fn stop(&self, cause: StopCause) {
        self.cause
            .send_if_modified(|current| current.is_none() && current.replace(cause).is_none());
        self.wake.notify();
    }

    pub(crate) fn cause(&self) -> Option<StopCause> {
        *self.cause.borrow()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.cause().is_some()
    }

    /// Announces that the end is near: work under way may finish, and nothing new begins.
    pub(crate) fn wind_down(&self) {
        self.winds_down.send_replace(true);
        self.wake.notify();
    }

    pub(crate) fn winds_down(&self) -> bool {
        *self.winds_down.borrow() || self.is_stopped()
    }

    /// Does `work`, or returns `None` as soon as the run winds down.
    pub(crate) async fn unless_winding_down<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut winds_down = self.winds_down.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`, so the wait cannot fail.
            _ = winds_down.wait_for(|winds_down| *winds_down) => None,
            result = self.unless_stopped(work) => result,
        }
    }

    /// Waits until the signal is stopped.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.cause.subscribe().wait_for(Option::is_some).await;
    }

    /// Does `work`, or returns `None` as soon as the signal is stopped.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stopped() => None,
            result = work => Some(result),
        }
    }
}

/// Stops the rest of a run when its future is dropped.
pub(crate) struct StopOnDrop(pub(crate) StopSignal);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(StopCause::Abandoned);
    }
}

/// Wakes idle threads: for new entries, for a new key, or because the run ends.
#[derive(Clone, Default)]
pub(crate) struct Wake {
    inner: Arc<(Mutex<u64>, Condvar)>,
}

impl Wake {
    /// Returns the number to pass to `wait`, which then misses no notification after this call.
    pub(crate) fn seen(&self) -> u64 {
        *locked(&self.inner.0)
    }

    pub(crate) fn notify(&self) {
        *locked(&self.inner.0) += 1;
        self.inner.1.notify_all();
    }

    /// Waits until there was a notification since `seen`.
    pub(crate) fn wait(&self, seen: u64) {
        // The time limit keeps a thread from waiting for ever if the notifying thread has died.
        self.wait_at_most(seen, Duration::from_secs(5));
    }

    /// Waits until there was a notification since `seen`, but not longer than `limit`.
    pub(crate) fn wait_at_most(&self, seen: u64, limit: Duration) {
        let number = locked(&self.inner.0);
        drop(self.inner.1.wait_timeout_while(number, limit, |number| *number == seen));
    }
}
