//! Pauses, budgets, wake-ups and quiescence of a move: the same as of a download.

use std::{sync::Arc, time::Duration};

use keyferry::{
    BackupReset, Milliseconds, PauseCause, ResetCause, ResetOutcome, ResetReport, ResetStep, RunBudget, RunOutcome,
};
use keyferry_test_homeserver::Config;
use tokio::task::JoinHandle;

use super::world::World;

async fn begun() -> (World, Arc<keyferry::KeyBackupClient>) {
    let world = World::in_old_storage(Config {
        keys: 3_000,
        rooms: 20,
        bytes_per_second: Some(3_000_000),
        ..Config::default()
    });
    let world = world.await;
    let client = world.open_complete().await;
    let begun = client.reset().move_backup(ResetCause::BackupDamaged, Vec::new()).await;
    begun.expect("it begins");
    (world, client)
}

fn spawn(reset: &Arc<BackupReset>) -> JoinHandle<ResetReport> {
    let reset = reset.clone();
    tokio::spawn(async move { reset.run(RunBudget::default()).await })
}

/// Waits until keys have been sent.
async fn is_sending(world: &World) {
    let progress = || {
        world
            .setup
            .host
            .reset_progress
            .lock()
            .expect("not poisoned")
            .last()
            .copied()
    };
    while progress().is_none_or(|progress| progress.sent == 0) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_move_has_stopped_when_the_pause_returns_and_goes_on_afterwards() {
    let (world, client) = begun().await;
    let reset = client.reset();
    let wake_up = *world.setup.host.reset_wake_up.lock().expect("not poisoned");
    assert_eq!(wake_up.expect("it was asked for").not_before, Milliseconds(0));
    let run = spawn(&reset);
    is_sending(&world).await;
    client.download().pause(PauseCause::User).await.expect("it is stored");
    world.homeserver.reset_requests();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.homeserver.requests().total(), 0);
    let report = run.await.expect("it does not panic");
    let causes = vec![PauseCause::User];
    assert_eq!(report.outcome, ResetOutcome::Paused { causes });
    assert_eq!(report.wake_up, None, "only the user resumes it");
    assert!(!world.setup.log_file().exists(), "the vault is closed");

    client.download().resume(PauseCause::User).await.expect("it is stored");
    let report = reset.run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed);
    // What was sent before the pause was not sent again.
    assert_eq!(report.status.expect("a status").sent, 3_000);
    assert_eq!(*world.setup.host.reset_wake_up.lock().expect("not poisoned"), None);
    world.assert_restores().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_pause_asks_for_the_move_too() {
    let (world, client) = begun().await;
    let download = client.download();
    let asked = || *world.setup.host.reset_wake_up.lock().expect("not poisoned");
    download.pause(PauseCause::User).await.expect("it is stored");
    let report = client.reset().run(RunBudget::default()).await;
    assert!(matches!(report.outcome, ResetOutcome::Paused { .. }), "{report:?}");
    assert_eq!(asked(), None);
    download.resume(PauseCause::User).await.expect("it is stored");
    assert_eq!(asked().expect("it is asked for").not_before, Milliseconds(0));

    download.stop().await.expect("it is stored");
    assert_eq!(asked(), None, "a stop cancels the wake-up");
    download.resume(PauseCause::User).await.expect("it is stored");
    assert_eq!(asked(), None, "only a start ends a stop");
    download.start().await.expect("it is stored");
    assert_eq!(asked().expect("it is asked for").not_before, Milliseconds(0));

    // A new process has not run anything yet.
    let client = world.open().await;
    *world.setup.host.reset_wake_up.lock().expect("not poisoned") = None;
    client.download().start().await.expect("it is stored");
    assert!(asked().is_some());
    assert_eq!(
        client.reset().run(RunBudget::default()).await.outcome,
        ResetOutcome::Completed
    );
    client.download().start().await.expect("it is stored");
    assert_eq!(asked(), None, "nothing is left to run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_under_way_is_asked_for_again_in_case_it_is_killed() {
    let (world, client) = begun().await;
    let run = spawn(&client.reset());
    is_sending(&world).await;
    let asked = *world.setup.host.reset_wake_up.lock().expect("not poisoned");
    assert_eq!(asked.expect("it is asked for").not_before, Milliseconds(600_000));
    // The end of a cause that did not hold the move asks for no run beside it.
    let over = client.download().resume(PauseCause::Offline).await;
    over.expect("nothing is stored");
    let asked = *world.setup.host.reset_wake_up.lock().expect("not poisoned");
    assert_eq!(asked.expect("it is asked for").not_before, Milliseconds(600_000));
    client.download().end_run();
    run.await.expect("it does not panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_ends_with_its_client_asks_for_nothing() {
    let (world, client) = begun().await;
    let run = spawn(&client.reset());
    is_sending(&world).await;
    *world.setup.host.reset_wake_up.lock().expect("not poisoned") = None;
    client.shutdown();
    let report = run.await.expect("it does not panic");
    assert_eq!(report.outcome, ResetOutcome::Paused { causes: Vec::new() });
    assert_eq!(report.wake_up, None);
    assert_eq!(*world.setup.host.reset_wake_up.lock().expect("not poisoned"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_crypto_leaves_the_wake_up_of_a_move_alone() {
    let (world, client) = begun().await;
    client.shutdown();
    let asked = || *world.setup.host.reset_wake_up.lock().expect("not poisoned");
    let before = asked();
    let client = world.setup.open().await;
    let report = client.reset().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.wake_up), (ResetOutcome::NothingToDo, None));
    assert_eq!(asked(), before);
    *world.setup.host.reset_wake_up.lock().expect("not poisoned") = None;
    client.download().start().await.expect("it is stored");
    assert_eq!(asked(), None, "it could not run the move");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_and_a_download_never_work_at_once() {
    let (world, client) = begun().await;
    let run = spawn(&client.reset());
    is_sending(&world).await;
    let download = client.download().run(RunBudget::default()).await;
    assert!(
        matches!(download.outcome, RunOutcome::AlreadyRunning { .. }),
        "{download:?}"
    );
    let second = client.reset().run(RunBudget::default()).await;
    assert!(
        matches!(second.outcome, ResetOutcome::AlreadyRunning { .. }),
        "{second:?}"
    );
    assert_eq!(run.await.expect("it does not panic").outcome, ResetOutcome::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_move_leaves_nothing_behind_and_small_budgets_complete_it() {
    let (world, client) = begun().await;
    let reset = client.reset();
    let run = spawn(&reset);
    is_sending(&world).await;
    run.abort();
    client.download().await_quiescent().await;
    assert!(!world.setup.log_file().exists(), "the vault is closed");
    world.homeserver.reset_requests();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.homeserver.requests().total(), 0);

    let mut runs = 0;
    loop {
        let budget = RunBudget {
            max_duration: Some(Milliseconds(2_000)),
        };
        let report = reset.run(budget).await;
        runs += 1;
        match report.outcome {
            ResetOutcome::Completed => break,
            ResetOutcome::OutOfBudget => {
                assert_eq!(report.wake_up.expect("it goes on at once").not_before, Milliseconds(0));
            }
            outcome => panic!("{outcome:?}"),
        }
        assert!(runs < 100, "it gets on");
    }
    let status = reset.status().await.expect("a status").expect("a reset");
    assert_eq!((status.step, status.unreplaced), (ResetStep::Done, 0));
    world.assert_restores().await;
}
