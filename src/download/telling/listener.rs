//! Telling the host: progress at most ten times a second and at every change of stage, and hints of keys that arrived.
//!
//! A host that is slow is told less often; it never holds a stage up.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::progress::Tally;
use crate::{
    client::JobHost,
    download::{ArrivedRoomKeys, ConflictCause, ConflictNotice, DownloadProgress, DownloadStage},
    job::run::in_writer,
    vault::{SharedWriter, VaultError, Writer},
};

const INTERVAL: Duration = Duration::from_millis(100);
/// How far back the rate looks.
const RATE_WINDOW: Duration = Duration::from_secs(3);
/// How long the last call may take before the run ends without it.
const LAST_WORD: Duration = Duration::from_millis(200);
/// How long the host may take to note a conflict.
const NOTICE: Duration = Duration::from_secs(1);
/// Batches of hints that wait for a slow host; more are dropped, `arrived_since` knows them.
const HINTS_IN_FLIGHT: usize = 8;

/// Takes hints from the stages.
#[derive(Clone)]
pub(crate) struct ArrivalHints(mpsc::Sender<Vec<ArrivedRoomKeys>>);

impl ArrivalHints {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Vec<ArrivedRoomKeys>>) {
        let (sender, receiver) = mpsc::channel(HINTS_IN_FLIGHT);
        (Self(sender), receiver)
    }

    /// Whether there is room for a hint: otherwise none need be made.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.capacity() > 0
    }

    /// Passes a hint on, or drops it where the host does not keep up.
    pub(crate) fn send(&self, arrived: Vec<ArrivedRoomKeys>) {
        if !arrived.is_empty() {
            // A hint, no more.
            let _ = self.0.try_send(arrived);
        }
    }
}

/// Tells the host while `work` goes on, and once more when it is done.
pub(crate) async fn telling<T>(
    host: &Arc<dyn JobHost>,
    tally: &Arc<Tally>,
    hints: mpsc::Receiver<Vec<ArrivedRoomKeys>>,
    work: impl Future<Output = T>,
) -> T {
    let mut rate = Rate::default();
    let result = tokio::select! {
        result = work => result,
        () = tell_progress(host, tally, &mut rate) => unreachable!("it tells for ever"),
        () = pass_hints(host, hints) => unreachable!("it passes on for ever"),
    };
    let mut last = tally.progress();
    last.stage = DownloadStage::Resting;
    // A host that does not come back must not hold the run.
    let _ = tokio::time::timeout(LAST_WORD, host.on_progress(last)).await;
    result
}

/// Tells the host of conflicts that it does not know of, once for each version and cause.
pub(crate) async fn tell_conflicts(host: &Arc<dyn JobHost>, writer: &SharedWriter) -> Result<(), VaultError> {
    let look = |writer: &mut Writer| {
        let reader = writer.reader();
        let mut notices = Vec::new();
        for (id, bits, told) in reader.conflicts_to_tell()? {
            let Some(version) = reader.version_by_id(id)? else {
                continue;
            };
            for (bit, cause) in [(1, ConflictCause::TwoRooms), (2, ConflictCause::Unconnected)] {
                if bits & bit & !told != 0 {
                    notices.push((
                        id,
                        bit,
                        ConflictNotice {
                            version: version.version.clone(),
                            cause,
                            held_back: version.counts.conflicts,
                        },
                    ));
                }
            }
        }
        Ok(notices)
    };
    for (version, bit, notice) in in_writer(writer, look).await? {
        // A host that does not take it in time is told again.
        if matches!(
            tokio::time::timeout(NOTICE, host.on_conflicts(notice)).await,
            Ok(Ok(()))
        ) {
            in_writer(writer, move |writer| writer.mark_conflicts_told(version, bit)).await?;
        }
    }
    Ok(())
}

async fn tell_progress(host: &Arc<dyn JobHost>, tally: &Arc<Tally>, rate: &mut Rate) {
    let mut changes = tally.changes();
    let mut told = None;
    loop {
        let stage = tally.stage();
        let progress = rate.complete(tally.progress(), Instant::now());
        if told.as_ref() != Some(&progress) {
            told = Some(progress.clone());
            // What it throws is its own business.
            let _ = host.on_progress(progress).await;
        }
        // The next word comes after the interval, or at once when the stage changes.
        let interval = tokio::time::sleep(INTERVAL);
        tokio::pin!(interval);
        loop {
            tokio::select! {
                () = &mut interval => break,
                changed = changes.changed() => if changed.is_err() || tally.stage() != stage { break },
            }
        }
        if !changes.has_changed().unwrap_or(false) && tally.stage() == stage {
            // Nothing new: sleep until there is.
            let _ = tokio::time::timeout(RATE_WINDOW, changes.changed()).await;
        }
    }
}

async fn pass_hints(host: &Arc<dyn JobHost>, mut hints: mpsc::Receiver<Vec<ArrivedRoomKeys>>) {
    while let Some(arrived) = hints.recv().await {
        // What it throws is its own business.
        let _ = host.on_room_keys_arrived(arrived).await;
    }
    std::future::pending().await
}

/// Keys a second, over a window.
#[derive(Default)]
struct Rate {
    samples: VecDeque<(Instant, DownloadStage, u64)>,
}

impl Rate {
    /// Adds rate and time left, both of the stage that ends last.
    fn complete(&mut self, mut progress: DownloadProgress, now: Instant) -> DownloadProgress {
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
            if elapsed_ms >= INTERVAL.as_millis() as u64 {
                progress.keys_per_second = done.saturating_sub(*before) * 1_000 / elapsed_ms;
                let left = all.saturating_sub(done);
                progress.time_left_ms = left.saturating_mul(1_000).checked_div(progress.keys_per_second);
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
    fn the_rate_is_of_the_last_seconds_of_one_stage() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let fetching = |fetched| DownloadProgress {
            stage: DownloadStage::Fetching,
            total: 10_000,
            fetched,
            ..DownloadProgress::default()
        };
        let mut rate = Rate::default();
        assert_eq!(rate.complete(fetching(0), at(0)).time_left_ms, None);
        let second = rate.complete(fetching(2_000), at(1));
        assert_eq!((second.keys_per_second, second.time_left_ms), (2_000, Some(4_000)));
        let stalled = rate.complete(fetching(2_000), at(5));
        assert_eq!((stalled.keys_per_second, stalled.time_left_ms), (0, None));
    }
}
