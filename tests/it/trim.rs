//! Delivered entries leave the vault where the app wants that, and come again when its crypto store is a new one.

use std::time::Duration;

use keyferry::{DownloadPolicy, RoomKeyLookup, RunBudget, RunOutcome};
use keyferry_test_homeserver::EndpointKind;

use crate::common::{Setup, assert_all_once, assert_true, homeserver};

fn bytes(setup: &Setup) -> u64 {
    let vault = setup.directory.path().join("vault/keyferry.sqlite3");
    std::fs::metadata(vault).expect("the vault").len()
}

fn trimming() -> DownloadPolicy {
    DownloadPolicy {
        trim_delivered: true,
        ..DownloadPolicy::default()
    }
}

#[tokio::test]
async fn what_the_sink_has_taken_leaves_the_vault_and_can_be_had_again() {
    let homeserver = homeserver(10_000, 10);
    let setup = Setup::with_sink(&homeserver);
    let sink = setup.sink.clone().expect("a sink");
    let client = setup.open_unlocked().await;
    let download = client.download();
    assert_eq!(download.run(RunBudget::default()).await.outcome, RunOutcome::Completed);
    let before = bytes(&setup);
    download.set_policy(trimming());
    // In steps, whenever it is broken off.
    for wait in [5, 10, 20, 40] {
        let _ = tokio::time::timeout(Duration::from_millis(wait), download.run(RunBudget::default())).await;
    }
    assert_eq!(download.run(RunBudget::default()).await.outcome, RunOutcome::Completed);
    assert!(
        bytes(&setup) < before / 3,
        "{} of {before} bytes are left",
        bytes(&setup)
    );
    assert_eq!(
        sink.keys.lock().expect("not poisoned").len(),
        10_000,
        "nothing came twice"
    );

    let truth = homeserver.truth().key(5);
    let find = client
        .find_room_key(truth.room_id.clone(), truth.session_id.clone())
        .await;
    assert_eq!(find, Ok(RoomKeyLookup::Trimmed));
    match client
        .fetch_session(truth.room_id.clone(), truth.session_id.clone())
        .await
    {
        Ok(RoomKeyLookup::Found { key }) => assert_true(&key, &truth),
        other => panic!("{other:?}"),
    }
    homeserver.reset_requests();
    assert_eq!(download.run(RunBudget::default()).await.outcome, RunOutcome::Completed);
    assert_eq!(
        homeserver.requests().of(EndpointKind::AllKeys),
        0,
        "nothing is fetched again"
    );

    sink.keys.lock().expect("not poisoned").clear();
    download.crypto_store_was_replaced().await.expect("it is noted");
    // Said twice, it is no less true.
    download.crypto_store_was_replaced().await.expect("it is noted");
    assert!(setup.host.download_wake_up.lock().expect("not poisoned").is_some());
    let report = download.run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.fetched),
        (RunOutcome::Completed, 10_000)
    );
    assert_all_once(&sink.keys.lock().expect("not poisoned"), &homeserver);
}

#[tokio::test]
async fn a_small_disk_takes_a_large_backup_bit_by_bit() {
    let homeserver = homeserver(20_000, 40);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let most = 4_000_000;
    client.download().set_policy(DownloadPolicy {
        max_vault_bytes: Some(most),
        ..trimming()
    });
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.delivered),
        (RunOutcome::Completed, 20_000)
    );
    // Batches under way come on top.
    assert!(bytes(&setup) < 2 * most, "{}", bytes(&setup));
    let sink = setup.sink.as_ref().expect("a sink");
    assert_all_once(&sink.keys.lock().expect("not poisoned"), &homeserver);
}
