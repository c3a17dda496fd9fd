//! The time that the app grants a run, and the moments at which the run ends because of it.

use std::time::{Duration, Instant};

use super::stop::{StopCause, StopSignal};
use crate::milliseconds::Milliseconds;

/// The part of its budget that a run reserves for winding up, at most half of the budget.
const FOR_THE_END: Duration = Duration::from_millis(250);

/// How much a run may take. The default has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct RunBudget {
    /// Time after which the run returns even if it is not done; less than a second is of little use. `None`: no
    /// limit.
    #[uniffi(default = None)]
    pub max_duration: Option<Milliseconds>,
}

/// The time slice of a run with a budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    began: Instant,
    pub(super) limit: Duration,
}

impl Slice {
    /// Begins the slice of a budget, or returns `None` if the run has no limit.
    pub(super) fn begin(budget: RunBudget) -> Option<Self> {
        Some(Self {
            began: Instant::now(),
            limit: budget.max_duration?.into(),
        })
    }

    /// Returns the moment at which everything stops.
    pub(super) fn end(self) -> Option<Instant> {
        let time = self.limit.saturating_sub(FOR_THE_END).max(self.limit / 2);
        self.began.checked_add(time)
    }

    /// Returns the moment after which nothing new begins, so that work under way can finish and is not wasted.
    fn wind_down(self) -> Option<Instant> {
        let notice = (self.limit / 10).clamp(Duration::from_millis(50), Duration::from_secs(1));
        self.end()?.checked_sub(notice)
    }
}

/// Does `work`, and tells it first to wind down and then to stop when the slice ends.
pub(super) async fn in_time<T>(stop: &StopSignal, slice: Option<Slice>, work: impl Future<Output = T>) -> T {
    let clock = async {
        until(slice.and_then(Slice::wind_down)).await;
        stop.wind_down();
        until(slice.and_then(Slice::end)).await;
        stop.stop(StopCause::OutOfBudget);
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        result = work => result,
        never = clock => match never {},
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
