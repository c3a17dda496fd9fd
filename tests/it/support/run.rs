//! Runs, and how they end.

use keyferry::{CompletionProof, KeyBackupClient, Milliseconds, RunBudget, RunOutcome, RunReport, UnlockSecret};
use keyferry_test_homeserver::Homeserver;
use tokio::task::JoinHandle;

/// The outcome of a run that got all keys in one answer.
pub(crate) const WHOLE: RunOutcome = RunOutcome::Completed {
    proof: CompletionProof::Whole,
    accepted_shortfall: 0,
};

/// The outcome of a run that got all keys room by room, or only those that are new since the last run.
pub(crate) const COUNTED: RunOutcome = RunOutcome::Completed {
    proof: CompletionProof::Counted,
    accepted_shortfall: 0,
};

/// Returns the outcome of a run that has fetched everything while these versions are locked.
pub(crate) fn needs_unlock(versions: &[&str]) -> RunOutcome {
    RunOutcome::NeedsUnlock {
        versions: versions.iter().map(|version| (*version).to_owned()).collect(),
    }
}

/// Returns a budget of this many milliseconds.
pub(crate) const fn budget(max_duration_ms: u64) -> RunBudget {
    RunBudget {
        max_duration: Some(Milliseconds(max_duration_ms)),
    }
}

/// Starts a run without a limit on a task of its own.
pub(crate) fn spawn_run(client: &KeyBackupClient) -> JoinHandle<RunReport> {
    let download = client.download();
    tokio::spawn(async move { download.run(RunBudget::default()).await })
}

/// Does a run without a limit, and asserts that it completes.
pub(crate) async fn run_to_completion(client: &KeyBackupClient) -> RunReport {
    let report = client.download().run(RunBudget::default()).await;
    assert!(matches!(report.outcome, RunOutcome::Completed { .. }), "{report:?}");
    report
}

/// Unlocks a version with its decryption key.
pub(crate) async fn unlock_version(client: &KeyBackupClient, homeserver: &Homeserver, version: &str) {
    let base64 = homeserver.decryption_key_of(version).expect("it is there").into();
    let unlocked = client.unlock(UnlockSecret::DecryptionKey { base64 }).await;
    unlocked.expect("the key fits");
}
