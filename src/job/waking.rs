//! The wake-ups of all jobs of a client. The user's commands and the pause causes hold all jobs, so their end asks for a
//! run of each.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use futures_util::future::join_all;

/// The reason for asking the app for runs; the stronger one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Occasion {
    /// A cause has ended that was not the user's, or there may be something new.
    ConditionsChanged,
    /// The user has started or resumed, or has given a key: what waited for a decision is worth another try.
    UserDecided,
}

/// A job that can ask the app for a run.
#[async_trait]
pub(crate) trait WakesUp: Send + Sync {
    /// Asks the app for a run as soon as possible, if there is work to do and no pause holds all of it when the OS
    /// wakes the app. A run of this job that is under way asks for the next one itself.
    async fn ask_again(&self, occasion: Occasion);

    /// Cancels the wake-up that was asked for.
    async fn cancel_wake_up(&self);
}

/// The jobs of a client. They hold the state that this is a part of, so it must not hold them.
#[derive(Default)]
pub(super) struct Waking(OnceLock<Vec<Weak<dyn WakesUp>>>);

impl Waking {
    /// Names the jobs; only the first call counts.
    pub(super) fn set(&self, jobs: Vec<Weak<dyn WakesUp>>) {
        let _ = self.0.set(jobs);
    }

    pub(super) async fn ask_for_runs(&self, occasion: Occasion) {
        // At the same time, because an app may be slow to answer.
        join_all(self.jobs().map(|job| async move { job.ask_again(occasion).await })).await;
    }

    pub(super) async fn cancel_wake_ups(&self) {
        join_all(self.jobs().map(|job| async move { job.cancel_wake_up().await })).await;
    }

    fn jobs(&self) -> impl Iterator<Item = Arc<dyn WakesUp>> {
        self.0.get().into_iter().flatten().filter_map(Weak::upgrade)
    }
}
