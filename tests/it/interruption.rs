//! Pauses, budgets, dropped futures, slow servers and sinks: a run ends soon, and the next one continues.

use std::{sync::Arc, time::Duration};

use keyferry::{DownloadStage, PauseCause, RunBudget, RunOutcome};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind};
use serde_json::Value;

use crate::support::{Setup, WHOLE, assert_all_once, budget, homeserver, slow, spawn_run, status, without_repeats};

const SOON: Duration = Duration::from_secs(10);

fn expired() -> RunOutcome {
    RunOutcome::Paused {
        causes: vec![PauseCause::TimeExpiring],
    }
}

#[tokio::test]
async fn a_pause_ends_a_run_during_any_wait() {
    let homeserver = homeserver(6_000, 6);
    for fault in [
        FaultKind::Silence,
        FaultKind::Stall { after_bytes: 1_000_000 },
        FaultKind::Drip {
            bytes_per_second: 100_000,
        },
        status(503, Value::Null),
    ] {
        let setup = Setup::with_sink(&homeserver);
        let client = setup.open_unlocked().await;
        homeserver.set_faults(vec![Fault::from(fault.clone()).on(EndpointKind::AllKeys)]);
        let run = spawn_run(&client);
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.download().end_run();
        let report = tokio::time::timeout(SOON, run)
            .await
            .expect("it ends")
            .expect("no panic");
        assert_eq!(report.outcome, expired(), "{fault:?}");
        homeserver.set_faults(Vec::new());
        assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
        assert_all_once(&setup.delivered(), &homeserver);
    }
}

#[tokio::test]
async fn a_late_pause_does_not_end_the_next_run() {
    let homeserver = homeserver(100, 1);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().end_run();
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn a_run_keeps_its_budget_and_the_keys_that_arrived() {
    let homeserver = slow(6_000, 6, 2_000_000);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let mut before = 0;
    let mut slices = 0;
    loop {
        let report = client.download().run(budget(1_000)).await;
        slices += 1;
        if matches!(report.outcome, RunOutcome::Completed { .. }) {
            break;
        }
        assert_eq!(report.outcome, RunOutcome::OutOfBudget);
        assert!(report.summary.fetched > before, "every slice makes progress");
        before = report.summary.fetched;
        assert!(slices < 30);
    }
    assert!(slices > 1);
    assert_all_once(&setup.delivered(), &homeserver);
}

#[tokio::test]
async fn a_client_has_only_one_run_at_a_time() {
    let homeserver = homeserver(100, 1);
    homeserver.set_faults(vec![Fault::from(FaultKind::Silence)]);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let first = spawn_run(&client);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = client.download().run(RunBudget::default()).await.outcome;
    assert!(matches!(second, RunOutcome::AlreadyRunning { by } if by.is_this_process));
    assert_ne!(
        client.download().status().await.expect("a status").stage,
        DownloadStage::Resting
    );
    client.download().end_run();
    assert_eq!(first.await.expect("it ends").outcome, expired());
    assert_eq!(
        client.download().status().await.expect("a status").stage,
        DownloadStage::Resting
    );
}

#[tokio::test]
async fn a_dropped_run_leaves_a_vault_that_the_next_run_continues() {
    let homeserver = homeserver(8_000, 8);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    for wait in [5, 20, 50, 100, 150] {
        let run = client.download();
        let _ = tokio::time::timeout(Duration::from_millis(wait), run.run(RunBudget::default())).await;
    }
    // The threads of the dropped runs end by themselves; a newer run waits for that.
    let outcome = client.download().run(RunBudget::default()).await.outcome;
    assert_eq!(outcome, WHOLE);
    // A batch that was under way when the run was dropped may have been delivered twice.
    let keys = setup.delivered();
    let delivered = keys.len();
    assert!(delivered <= 8_000 + 5 * 2_000, "{delivered}");
    assert_all_once(&without_repeats(keys), &homeserver);
    assert_eq!(
        client.download().status().await.expect("a status").summary.opened,
        8_000
    );
}

#[tokio::test]
async fn a_slow_sink_gets_batches_one_by_one() {
    let homeserver = homeserver(5_000, 5);
    let setup = Setup::with_sink(&homeserver);
    let sink: Arc<_> = setup.sink.clone().expect("a sink");
    *sink.delay.lock().expect("not poisoned") = Duration::from_millis(100);
    let client = setup.open_unlocked().await;
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert!(
        sink.batches
            .lock()
            .expect("not poisoned")
            .iter()
            .all(|batch| *batch <= 2_000)
    );
    assert_all_once(&setup.delivered(), &homeserver);
}
