//! Causes that pause the download: each stops what its row in the docs says, and that continues when the cause ends.

use std::{sync::atomic::Ordering, time::Duration};

use keyferry::{AccessError, BlockedReason, DownloadPolicy, Milliseconds, PauseCause, RunBudget, RunOutcome};
use keyferry_test_homeserver::{EndpointKind, Fault};
use serde_json::json;

use crate::support::{
    COUNTED, Phone, Setup, WHOLE, assert_all_once, homeserver, slow, spawn_run, status, without_repeats,
};

fn paused(causes: &[PauseCause]) -> RunOutcome {
    RunOutcome::Paused {
        causes: causes.to_vec(),
    }
}

#[tokio::test]
async fn each_cause_ends_a_run_until_the_last_cause_is_gone() {
    let homeserver = slow(4_000, 10, 1_500_000);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    for cause in [
        PauseCause::User,
        PauseCause::InBackground,
        PauseCause::LowPower,
        PauseCause::StorageLocked,
        PauseCause::TimeExpiring,
    ] {
        let running = spawn_run(&client);
        tokio::time::sleep(Duration::from_millis(150)).await;
        download.pause(cause).await.expect("it is kept");
        assert!(running.is_finished() || download.status().await.is_ok_and(|status| status.running.is_none()));
        assert_eq!(running.await.expect("it ends").outcome, paused(&[cause]));
        if cause != PauseCause::TimeExpiring {
            assert_eq!(download.run(RunBudget::default()).await.outcome, paused(&[cause]));
            assert_eq!(download.status().await.expect("a status").causes, [cause]);
            download.pause(PauseCause::NotCharging).await.expect("it is kept");
            download.resume(cause).await.expect("it resumes");
        }
    }
    // Whether the phone is charging does not matter without a policy that asks for it.
    assert_eq!(download.run(RunBudget::default()).await.outcome, COUNTED);
    assert_all_once(&without_repeats(setup.delivered()), &homeserver);
}

#[tokio::test]
async fn a_pause_by_the_user_outlives_restarts_and_a_stop_asks_for_no_run() {
    let homeserver = homeserver(500, 5);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().pause(PauseCause::User).await.expect("it is kept");
    client.shutdown();

    let client = setup.open().await;
    assert_eq!(
        client.download().run(RunBudget::default()).await.outcome,
        paused(&[PauseCause::User])
    );
    assert_eq!(
        client.download().status().await.expect("a status").causes,
        [PauseCause::User]
    );
    client.download().stop().await.expect("it is kept");
    client
        .download()
        .resume(PauseCause::User)
        .await
        .expect("nothing to resume");
    client.shutdown();

    let client = setup.open().await;
    client
        .download()
        .resume(PauseCause::User)
        .await
        .expect("nothing to resume");
    assert_eq!(
        client.download().run(RunBudget::default()).await.outcome,
        RunOutcome::Stopped
    );
    assert!(client.download().status().await.expect("a status").stopped);
    assert_eq!(*setup.host.download_wake_up.lock().expect("not poisoned"), None);
    client.unlock(setup.recovery_key()).await.expect("it fits");
    assert_eq!(*setup.host.download_wake_up.lock().expect("not poisoned"), None);
    client.download().start().await.expect("it is kept");
    assert!(setup.host.download_wake_up.lock().expect("not poisoned").is_some());
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn the_offline_cause_stops_fetching_but_not_opening() {
    let homeserver = slow(4_000, 10, 1_500_000);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let download = client.download();
    // Some keys are here, but cannot be opened yet.
    let running = spawn_run(&client);
    tokio::time::sleep(Duration::from_millis(800)).await;
    download.pause(PauseCause::Offline).await.expect("it pauses");
    assert_eq!(running.await.expect("it ends").outcome, paused(&[PauseCause::Offline]));
    let fetched = download.status().await.expect("a status").summary.fetched;
    assert!((1..4_000).contains(&fetched));

    client.unlock(setup.recovery_key()).await.expect("it fits");
    homeserver.reset_requests();
    let report = download.run(RunBudget::default()).await;
    assert_eq!(report.outcome, paused(&[PauseCause::Offline]));
    assert_eq!((report.summary.opened, homeserver.requests().total()), (fetched, 0));
    assert_eq!(
        client.fetch_room(homeserver.truth().room_id(9)).await,
        Err(AccessError::OnHold {
            causes: vec![PauseCause::Offline]
        })
    );
    // Without `Offline`, a run fetches the rest, although `Thermal` keeps it from opening anything.
    download.pause(PauseCause::Thermal).await.expect("it pauses");
    download.resume(PauseCause::Offline).await.expect("it resumes");
    let report = download.run(RunBudget::default()).await;
    assert_eq!(report.outcome, paused(&[PauseCause::Thermal]));
    assert_eq!((report.summary.fetched, report.summary.opened), (4_000, fetched));
    download.resume(PauseCause::Thermal).await.expect("it resumes");
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn a_run_follows_causes_that_appear_and_disappear() {
    let homeserver = slow(4_000, 10, 1_500_000);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    let running = spawn_run(&client);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        download.pause(PauseCause::Thermal).await.expect("it pauses");
        let before = download.status().await.expect("a status").summary;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let after = download.status().await.expect("a status").summary;
        assert_eq!(before.opened, after.opened, "nothing is opened");
        download.resume(PauseCause::Thermal).await.expect("it resumes");
    }
    let report = running.await.expect("it ends");
    assert_eq!((report.outcome, report.summary.opened), (COUNTED, 4_000));
}

#[tokio::test]
async fn a_metered_network_is_used_only_for_small_backups() {
    let homeserver = homeserver(1_000, 5);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    download.pause(PauseCause::MeteredNetwork).await.expect("it pauses");
    download.set_policy(DownloadPolicy {
        metered_bytes: 100_000,
        ..DownloadPolicy::default()
    });
    let report = download.run(RunBudget::default()).await;
    assert_eq!(report.outcome, paused(&[PauseCause::MeteredNetwork]));
    assert!(report.wake_up.is_some_and(|wake_up| wake_up.needs_unmetered));
    assert_eq!(report.summary.fetched, 0);
    // A single key that is needed now is small enough.
    let truth = homeserver.truth().key(3);
    assert!(
        client
            .fetch_session(truth.room_id, truth.session_id, None)
            .await
            .is_ok()
    );
    download.set_policy(DownloadPolicy::default());
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn a_full_vault_pauses_fetching_until_the_limit_is_raised() {
    let homeserver = homeserver(10_000, 20);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    download.set_policy(DownloadPolicy {
        max_vault_bytes: Some(2_000_000),
        ..DownloadPolicy::default()
    });
    let report = download.run(RunBudget::default()).await;
    assert_eq!(report.outcome, paused(&[PauseCause::DiskLimit]));
    let fetched = report.summary.fetched;
    assert!((1_000..9_000).contains(&fetched), "{fetched}");
    assert_eq!(report.summary.opened, fetched, "the fetched keys are opened");
    let again = download.run(RunBudget::default()).await;
    assert_eq!(
        (again.outcome, again.summary.fetched),
        (paused(&[PauseCause::DiskLimit]), fetched)
    );
    download.set_policy(DownloadPolicy::default());
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn locked_storage_makes_lookups_inaccessible_until_it_is_unlocked() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let download = client.download();
    download.pause(PauseCause::StorageLocked).await.expect("it pauses");
    let truth = homeserver.truth().key(3);
    let find = async || {
        client
            .find_room_key(truth.room_id.clone(), truth.session_id.clone())
            .await
    };
    assert_eq!(find().await, Err(AccessError::VaultInaccessible));
    assert!(matches!(
        client
            .fetch_session(truth.room_id.clone(), truth.session_id.clone(), None)
            .await,
        Err(AccessError::VaultInaccessible)
    ));
    download.resume(PauseCause::StorageLocked).await.expect("it resumes");
    assert!(find().await.is_ok());
}

#[tokio::test]
async fn a_rate_limit_holds_for_all_requests_and_after_a_restart() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let limited = json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 600_000 });
    homeserver.set_faults(vec![Fault::from(status(429, limited)).on(EndpointKind::AllKeys)]);
    client.download().run(RunBudget::default()).await;
    homeserver.set_faults(Vec::new());
    client.shutdown();
    let client = setup.open().await;
    homeserver.reset_requests();
    let report = client.download().run(RunBudget::default()).await;
    assert!(matches!(
        report.outcome,
        RunOutcome::Blocked { reason: BlockedReason::RateLimited, retry_after: Some(wait) } if wait.0 > 500_000
    ));
    let truth = homeserver.truth().key(3);
    let answer = client.fetch_session(truth.room_id, truth.session_id, None).await;
    assert!(matches!(
        answer,
        Err(AccessError::Unreachable {
            retry_after: Some(Milliseconds(_))
        })
    ));
    assert_eq!(homeserver.requests().total(), 0);
}

#[tokio::test]
async fn a_pause_returns_when_the_run_it_waits_for_is_dropped() {
    let homeserver = homeserver(2_000, 5);
    let setup = Setup::with_sink(&homeserver);
    let sink = setup.sink.as_ref().expect("a sink");
    *sink.delay.lock().expect("not poisoned") = Duration::from_secs(60);
    let client = setup.open_unlocked().await;
    let download = client.download();
    let running = spawn_run(&client);
    while download.status().await.expect("a status").summary.opened == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The sink gets some time to answer. The run is dropped in the middle of that time.
    let pausing = tokio::spawn(async move { download.pause(PauseCause::Thermal).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    running.abort();
    let paused = tokio::time::timeout(Duration::from_secs(10), pausing).await;
    assert_eq!(paused.expect("it comes back").expect("it ends"), Ok(()));
    client.download().await_quiescent().await;
}

#[tokio::test]
async fn the_charger_matters_only_if_the_policy_asks_for_it() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    download.set_policy(DownloadPolicy {
        needs_charging: true,
        ..DownloadPolicy::default()
    });
    download.pause(PauseCause::NotCharging).await.expect("it pauses");
    let report = download.run(RunBudget::default()).await;
    assert_eq!(report.outcome, paused(&[PauseCause::NotCharging]));
    assert!(report.wake_up.is_some_and(|wake_up| wake_up.needs_charging));
    download.resume(PauseCause::NotCharging).await.expect("it resumes");
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn a_policy_limits_the_cores_and_the_sink_limits_the_batches() {
    let homeserver = homeserver(3_000, 3);
    let setup = Setup::with_sink(&homeserver);
    let sink = setup.sink.as_ref().expect("a sink");
    sink.limit_batches(100);
    let client = setup.open_unlocked().await;
    client.download().set_policy(DownloadPolicy {
        cores: Some(1),
        rooms_at_once: 1,
        ..DownloadPolicy::default()
    });
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    let largest = sink.batches.lock().expect("not poisoned").iter().max().copied();
    assert!(largest.is_some_and(|keys| keys <= 100), "{largest:?}");
    assert_all_once(&setup.delivered(), &homeserver);
}

#[tokio::test]
async fn a_pause_by_the_user_stops_a_run_of_another_process() {
    let homeserver = slow(20_000, 10, 1_500_000);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let mut phone = Phone::start_without_sink(&homeserver, &setup).ready();
    phone.send_command("run");
    while client.download().status().await.expect("a status").summary.fetched == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.download().pause(PauseCause::User).await.expect("it is kept");
    assert_eq!(phone.outcome(), "Paused { causes: [User] }");
    assert!(!phone.end(), "it did not complete");
}

#[tokio::test]
async fn a_pause_call_that_is_dropped_leaves_no_pause_behind() {
    let homeserver = homeserver(2_000, 5);
    let setup = Setup::with_sink(&homeserver);
    let sink = setup.sink.as_ref().expect("a sink");
    *sink.delay.lock().expect("not poisoned") = Duration::from_secs(60);
    let client = setup.open_unlocked().await;
    let download = client.download();
    let running = spawn_run(&client);
    // From then on, a pause waits for the sink as long as its grace says.
    while sink.begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pausing = download.pause(PauseCause::TimeExpiring);
    assert!(
        tokio::time::timeout(Duration::from_millis(5), pausing).await.is_err(),
        "the call is given up"
    );
    assert_eq!(
        running.await.expect("it ends").outcome,
        paused(&[PauseCause::TimeExpiring])
    );
    *sink.delay.lock().expect("not poisoned") = Duration::ZERO;
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn a_pause_call_that_is_dropped_still_takes_effect_in_order() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let (here, there) = (setup.open_unlocked().await, setup.open().await);
    for wait in 0..5 {
        let pausing = here.download();
        let pausing = tokio::spawn(async move { pausing.pause(PauseCause::User).await });
        tokio::time::sleep(Duration::from_millis(wait)).await;
        pausing.abort();
        here.download().await_quiescent().await;
        // Another client decides last.
        there.download().pause(PauseCause::User).await.expect("it is kept");
        there.download().resume(PauseCause::User).await.expect("it is kept");
        if wait > 0 {
            let report = here.download().run(RunBudget::default()).await;
            assert_eq!(report.outcome, WHOLE, "after {wait} ms");
        }
    }
}
