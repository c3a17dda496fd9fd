//! The host is asked for a wake-up when, and only when, there is something to do.

use keyferry::{Milliseconds, PauseCause, RunBudget, RunOutcome};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind};

use crate::support::{COUNTED, Setup, WHOLE, budget, homeserver, needs_unlock, slow, spawn_run};

#[tokio::test]
async fn a_run_asks_for_a_wake_up_only_if_work_is_left() {
    let homeserver = slow(4_000, 8, 2_000_000);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let kept = || *setup.host.download_wake_up.lock().expect("not poisoned");
    assert!(kept().is_some(), "an unlock asks for a run");
    let report = client.download().run(budget(1_000)).await;
    assert_eq!(report.outcome, RunOutcome::OutOfBudget);
    let wake_up = kept().expect("there is more");
    assert_eq!(report.wake_up, Some(wake_up));
    assert!(wake_up.needs_network && !wake_up.needs_charging);
    assert!((1..4_000 * 1_000).contains(&wake_up.expected_bytes));
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, COUNTED);
    assert_eq!(kept(), None);
}

#[tokio::test]
async fn a_run_that_never_returns_has_asked_for_a_wake_up() {
    let homeserver = homeserver(100, 1);
    homeserver.set_faults(vec![Fault::from(FaultKind::Silence).on(EndpointKind::AllKeys)]);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    setup.host.download_wake_up.lock().expect("not poisoned").take();
    let run = client.download();
    let dropped = tokio::time::timeout(std::time::Duration::from_millis(300), run.run(RunBudget::default())).await;
    assert!(dropped.is_err());
    let kept = *setup.host.download_wake_up.lock().expect("not poisoned");
    assert!(kept.is_some_and(|wake_up| wake_up.not_before > Milliseconds(0)));
}

#[tokio::test]
async fn a_blocked_run_asks_for_no_wake_up_before_its_wait_ends() {
    let homeserver = homeserver(100, 1);
    let busy = FaultKind::Status {
        code: 503,
        body: Default::default(),
        headers: [("Retry-After".to_owned(), "120".to_owned())].into(),
    };
    homeserver.set_faults(vec![Fault::from(busy).on(EndpointKind::AllKeys)]);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;
    let wake_up = report.wake_up.expect("a wake-up");
    assert!((120_000..140_000).contains(&wake_up.not_before.0), "{wake_up:?}");
    assert_eq!(homeserver.requests().of(EndpointKind::AllKeys), 1);
}

#[tokio::test]
async fn an_unlock_asks_for_a_run_in_the_background_and_not_in_other_pauses() {
    let homeserver = homeserver(100, 1);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    for (cause, asks) in [(PauseCause::InBackground, true), (PauseCause::LowPower, false)] {
        client.download().pause(cause).await.expect("a pause");
        setup.host.download_wake_up.lock().expect("not poisoned").take();
        client.unlock(setup.recovery_key()).await.expect("it fits");
        let asked = setup.host.download_wake_up.lock().expect("not poisoned").take();
        assert_eq!(asked.is_some(), asks, "{cause:?}");
        client.download().resume(cause).await.expect("a resume");
    }
}

#[tokio::test]
async fn a_later_unlock_asks_for_a_run() {
    let homeserver = homeserver(100, 1);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let kept = || *setup.host.download_wake_up.lock().expect("not poisoned");
    assert_eq!(
        client.download().run(RunBudget::default()).await.outcome,
        needs_unlock(&["1"])
    );
    assert_eq!(kept(), None, "nothing to do before it is unlocked");
    client.unlock(setup.recovery_key()).await.expect("it fits");
    let wake_up = kept().expect("there are keys to open");
    assert!(!wake_up.needs_network, "all keys are here");
}

#[tokio::test]
async fn a_request_made_while_a_run_ends_is_not_forgotten() {
    let homeserver = slow(3_000, 3, 3_000_000);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let run = spawn_run(&client);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    // This overtakes the run, which cannot know that keys must be delivered again.
    client
        .download()
        .crypto_store_was_replaced()
        .await
        .expect("it is noted");
    let report = run.await.expect("it ends");
    assert!(
        report
            .wake_up
            .is_some_and(|wake_up| wake_up.not_before == Milliseconds(0))
    );
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
}
