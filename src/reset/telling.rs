//! Tells the app how far a run of a reset is, at most ten times a second. A slow app gets fewer reports, and never delays
//! a step.

use std::{convert::Infallible, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

use super::records::ResetProgress;

const INTERVAL: Duration = Duration::from_millis(100);
/// How long the last report may take before the run ends without it.
const LAST_REPORT: Duration = Duration::from_millis(200);

/// Receives the reports of a reset.
#[async_trait]
pub(crate) trait ResetListener: Send + Sync {
    async fn on_reset_progress(&self, progress: ResetProgress);
}

/// Does `work`, and reports its progress until it ends.
pub(super) async fn telling<T>(
    listener: &dyn ResetListener,
    mut progress: watch::Receiver<Option<ResetProgress>>,
    work: impl Future<Output = T>,
) -> T {
    let mut reports = progress.clone();
    // The first one at once, because the app may show an earlier run.
    reports.mark_changed();
    let tell = async {
        loop {
            if reports.changed().await.is_err() {
                return std::future::pending::<Infallible>().await;
            }
            let now = *reports.borrow_and_update();
            if let Some(now) = now {
                listener.on_reset_progress(now).await;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let result = tokio::select! {
        result = work => result,
        never = tell => match never {},
    };
    let last = *progress.borrow_and_update();
    if let Some(last) = last {
        // An app that does not answer in time has had the reports before.
        let _ = tokio::time::timeout(LAST_REPORT, listener.on_reset_progress(last)).await;
    }
    result
}
