//! Reports to the app: progress at most ten times a second and at every change of stage, and hints of keys that
//! arrived.
//!
//! A slow app gets fewer reports, and never delays a stage.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use super::{
    pages::{ArrivedRoomKeys, ConflictNotice},
    progress::{Progress, ProgressChanges},
    rate::{RATE_WINDOW, Rate},
    status::{DownloadProgress, DownloadStage},
};

/// Receives the reports of a download, and says which rooms come first.
#[async_trait]
pub(crate) trait DownloadListener: Send + Sync {
    /// Returns the rooms that the app knows, the most wanted first; empty if the app cannot say.
    async fn rooms_by_priority(&self) -> Vec<String>;
    async fn on_progress(&self, progress: DownloadProgress);
    async fn on_room_keys_arrived(&self, arrived: Vec<ArrivedRoomKeys>);
    /// Returns false if the notice did not reach the app.
    async fn on_conflicts(&self, notice: ConflictNotice) -> bool;
}

const INTERVAL: Duration = Duration::from_millis(100);
/// How long the last progress call may take before the run ends without it.
const LAST_REPORT: Duration = Duration::from_millis(200);
/// Batches of hints that wait for a slow host. Further hints are dropped; `arrived_since` still lists their keys.
const HINTS_IN_FLIGHT: usize = 8;

/// Passes hints from the stages to the app.
#[derive(Clone)]
pub(crate) struct ArrivalHints(mpsc::Sender<Vec<ArrivedRoomKeys>>);

impl ArrivalHints {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Vec<ArrivedRoomKeys>>) {
        let (sender, receiver) = mpsc::channel(HINTS_IN_FLIGHT);
        (Self(sender), receiver)
    }

    /// Whether there is room for a hint. If not, the stages need not make one.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.capacity() > 0
    }

    /// Passes a hint on, or drops it if the host does not keep up.
    pub(crate) fn send(&self, arrived: Vec<ArrivedRoomKeys>) {
        if !arrived.is_empty() {
            // A hint may be lost.
            let _ = self.0.try_send(arrived);
        }
    }
}

/// Reports progress and hints while `work` runs, and progress once more when it is done.
pub(crate) async fn telling<T>(
    listener: &dyn DownloadListener,
    progress: &Progress,
    hints: mpsc::Receiver<Vec<ArrivedRoomKeys>>,
    work: impl Future<Output = T>,
) -> T {
    let mut rate = Rate::default();
    let work_ended = Notify::new();
    let telling = tell_progress(listener, progress, &mut rate, &work_ended);
    tokio::pin!(telling);
    let result = tokio::select! {
        result = work => result,
        never = async { (&mut telling).await; std::future::pending().await } => match never {},
        never = pass_hints(listener, hints) => match never {},
    };
    let mut last = progress.now();
    last.stage = DownloadStage::Resting;
    work_ended.notify_one();
    let tell_last = async {
        // A call that is under way is not dropped: the app might handle it after the last one.
        telling.await;
        listener.on_progress(last).await;
    };
    // An app that never answers must not delay the end of the run.
    let _ = tokio::time::timeout(LAST_REPORT, tell_last).await;
    result
}

/// Reports progress until the work has ended.
async fn tell_progress(listener: &dyn DownloadListener, progress: &Progress, rate: &mut Rate, work_ended: &Notify) {
    let mut changes = progress.changes();
    let mut told = None;
    loop {
        let stage = progress.stage();
        let now = rate.complete(progress.now(), Instant::now());
        if told.as_ref() != Some(&now) {
            told = Some(now.clone());
            listener.on_progress(now).await;
        }
        tokio::select! {
            () = next_report(&mut changes, progress, stage) => {}
            () = work_ended.notified() => return,
        }
    }
}

/// Waits until the next report is due: after the interval, or at once when the stage changes.
async fn next_report(changes: &mut ProgressChanges, progress: &Progress, stage: DownloadStage) {
    let interval = tokio::time::sleep(INTERVAL);
    tokio::pin!(interval);
    loop {
        tokio::select! {
            () = &mut interval => break,
            has_changed = changes.next() => if !has_changed || progress.stage() != stage { break },
        }
    }
    if !changes.has_one() && progress.stage() == stage {
        // Nothing is new: sleep until something changes or the rate is out of date.
        let _ = tokio::time::timeout(RATE_WINDOW, changes.next()).await;
    }
}

async fn pass_hints(listener: &dyn DownloadListener, mut hints: mpsc::Receiver<Vec<ArrivedRoomKeys>>) -> Infallible {
    while let Some(arrived) = hints.recv().await {
        listener.on_room_keys_arrived(arrived).await;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::decryption_keys::DecryptionKeys;

    /// An app that takes a moment for each report.
    #[derive(Default)]
    struct Slow(Mutex<Vec<&'static str>>);

    #[async_trait]
    impl DownloadListener for Slow {
        async fn rooms_by_priority(&self) -> Vec<String> {
            Vec::new()
        }

        async fn on_progress(&self, progress: DownloadProgress) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let is_last = progress.stage == DownloadStage::Resting;
            let mut told = self.0.lock().expect("not poisoned");
            told.push(if is_last { "last" } else { "first" });
        }

        async fn on_room_keys_arrived(&self, _arrived: Vec<ArrivedRoomKeys>) {}

        async fn on_conflicts(&self, _notice: ConflictNotice) -> bool {
            true
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_that_is_under_way_at_the_end_comes_before_the_last_one() {
        let listener = Slow::default();
        let progress = Progress::new(false, Arc::new(DecryptionKeys::default()));
        let (_hints, received) = ArrivalHints::channel();
        let work = tokio::time::sleep(Duration::from_millis(10));
        telling(&listener, &progress, received, work).await;
        assert_eq!(*listener.0.lock().expect("not poisoned"), ["first", "last"]);
    }
}
