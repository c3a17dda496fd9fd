//! Reports to the app: progress at most ten times a second and at every change of stage, and hints of keys that
//! arrived.
//!
//! A slow app gets fewer reports, and never delays a stage.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{
    pages::{ArrivedRoomKeys, ConflictNotice},
    progress::Progress,
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
    let result = tokio::select! {
        result = work => result,
        never = tell_progress(listener, progress, &mut rate) => match never {},
        never = pass_hints(listener, hints) => match never {},
    };
    let mut last = progress.now();
    last.stage = DownloadStage::Resting;
    // An app that never answers must not delay the end of the run.
    let _ = tokio::time::timeout(LAST_REPORT, listener.on_progress(last)).await;
    result
}

async fn tell_progress(listener: &dyn DownloadListener, progress: &Progress, rate: &mut Rate) -> Infallible {
    let mut changes = progress.changes();
    let mut told = None;
    loop {
        let stage = progress.stage();
        let now = rate.complete(progress.now(), Instant::now());
        if told.as_ref() != Some(&now) {
            told = Some(now.clone());
            listener.on_progress(now).await;
        }
        // The next call comes after the interval, or at once when the stage changes.
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
}

async fn pass_hints(listener: &dyn DownloadListener, mut hints: mpsc::Receiver<Vec<ArrivedRoomKeys>>) -> Infallible {
    while let Some(arrived) = hints.recv().await {
        listener.on_room_keys_arrived(arrived).await;
    }
    std::future::pending().await
}
