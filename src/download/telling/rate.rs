//! How fast a run progresses, and how long it will take at that rate.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::status::{DownloadProgress, DownloadStage};
use crate::milliseconds::Milliseconds;

/// The period over which the rate is measured.
pub(super) const RATE_WINDOW: Duration = Duration::from_secs(3);
/// The shortest period from which a rate is reported.
const LEAST_TIME: Duration = Duration::from_millis(100);

/// Keys per second, over a sliding window.
#[derive(Default)]
pub(super) struct Rate {
    samples: VecDeque<(Instant, DownloadStage, u64)>,
}

impl Rate {
    /// Adds the rate and the time left, both for the current stage.
    pub(super) fn complete(&mut self, mut progress: DownloadProgress, now: Instant) -> DownloadProgress {
        let (done, all) = match progress.stage {
            DownloadStage::Fetching | DownloadStage::WaitingToRetry => (progress.fetched, progress.total),
            DownloadStage::Opening => (progress.opened + progress.failed, progress.fetched),
            DownloadStage::Delivering => (
                progress.delivered + progress.refused,
                progress.opened.saturating_sub(progress.conflicts),
            ),
            DownloadStage::Resting | DownloadStage::Preparing => return progress,
        };
        self.samples
            .retain(|(at, stage, _)| *stage == progress.stage && now - *at <= RATE_WINDOW);
        if let Some((at, _, before)) = self.samples.front() {
            let elapsed_ms = (now - *at).as_millis() as u64;
            if elapsed_ms >= LEAST_TIME.as_millis() as u64 {
                progress.keys_per_second = done.saturating_sub(*before) * 1_000 / elapsed_ms;
                let left = all.saturating_sub(done);
                progress.time_left = left
                    .saturating_mul(1_000)
                    .checked_div(progress.keys_per_second)
                    .map(Milliseconds);
            }
        }
        self.samples.push_back((now, progress.stage, done));
        progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_covers_the_last_seconds_of_one_stage() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let fetching = |fetched| DownloadProgress {
            stage: DownloadStage::Fetching,
            total: 10_000,
            fetched,
            ..DownloadProgress::default()
        };
        let mut rate = Rate::default();
        assert_eq!(rate.complete(fetching(0), at(0)).time_left, None);
        let second = rate.complete(fetching(2_000), at(1));
        assert_eq!(
            (second.keys_per_second, second.time_left),
            (2_000, Some(Milliseconds(4_000)))
        );
        let stalled = rate.complete(fetching(2_000), at(5));
        assert_eq!((stalled.keys_per_second, stalled.time_left), (0, None));
    }
}
