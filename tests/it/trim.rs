//! Delivered entries leave the vault if the app wants that, and are fetched again when its crypto store is a new one.

use std::time::Duration;

use keyferry::{DownloadPolicy, RoomKeyLookup, RunBudget};
use keyferry_test_homeserver::EndpointKind;

use crate::support::{COUNTED, Setup, WHOLE, assert_all_once, assert_true, homeserver, spawn_run};

/// Returns the size of the vault without its log.
fn bytes(setup: &Setup) -> u64 {
    let files = setup.segment_files().into_iter().chain([setup.vault_file()]);
    // A segment may be removed meanwhile.
    files
        .map(|file| std::fs::metadata(file).map_or(0, |file| file.len()))
        .sum()
}

fn bytes_with_the_log(setup: &Setup) -> u64 {
    // The log may not exist.
    bytes(setup) + std::fs::metadata(setup.log_file()).map_or(0, |log| log.len())
}

fn trimming() -> DownloadPolicy {
    DownloadPolicy {
        trim_delivered: true,
        ..DownloadPolicy::default()
    }
}

#[tokio::test]
async fn delivered_entries_leave_the_vault_and_can_be_fetched_again() {
    let homeserver = homeserver(10_000, 10);
    let setup = Setup::with_sink(&homeserver);
    let sink = setup.sink.clone().expect("a sink");
    let client = setup.open_unlocked().await;
    let download = client.download();
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
    let before = bytes(&setup);
    download.set_policy(trimming());
    // Trimming continues in steps, wherever a run is cut off.
    for wait in [5, 10, 20, 40] {
        let _ = tokio::time::timeout(Duration::from_millis(wait), download.run(RunBudget::default())).await;
    }
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
    assert!(
        bytes(&setup) < before / 3,
        "{} of {before} bytes are left",
        bytes(&setup)
    );
    assert_eq!(
        sink.keys.lock().expect("not poisoned").len(),
        10_000,
        "nothing was delivered twice"
    );

    let truth = homeserver.truth().key(5);
    let find = client
        .find_room_key(truth.room_id.clone(), truth.session_id.clone())
        .await;
    assert_eq!(find, Ok(RoomKeyLookup::Trimmed));
    match client
        .fetch_session(truth.room_id.clone(), truth.session_id.clone(), None)
        .await
    {
        Ok(RoomKeyLookup::Found { key, .. }) => assert_true(&key, &truth),
        other => panic!("{other:?}"),
    }
    homeserver.reset_requests();
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
    assert_eq!(
        homeserver.requests().of(EndpointKind::AllKeys),
        0,
        "nothing is fetched again"
    );

    sink.keys.lock().expect("not poisoned").clear();
    download.crypto_store_was_replaced().await.expect("it is noted");
    // A second call changes nothing.
    download.crypto_store_was_replaced().await.expect("it is noted");
    assert!(setup.host.download_wake_up.lock().expect("not poisoned").is_some());
    let report = download.run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 10_000));
    assert_all_once(&setup.delivered(), &homeserver);
}

#[tokio::test]
async fn a_large_backup_is_restored_in_steps_on_a_small_disk() {
    let homeserver = homeserver(20_000, 40);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    // What 20,000 trimmed keys leave takes about 3.5 MB, and fetching goes on below nine tenths of the limit.
    let most = 5_000_000;
    client.download().set_policy(DownloadPolicy {
        max_vault_bytes: Some(most),
        ..trimming()
    });
    // This look-up keeps a connection open, so that only the run itself shortens the log.
    let unknown = client.find_room_key("!r:x".to_owned(), "unknown".to_owned()).await;
    assert_eq!(unknown, Ok(RoomKeyLookup::NotFound));
    let mut peak = 0;
    let download = client.download();
    let running = download.run(RunBudget::default());
    tokio::pin!(running);
    let report = loop {
        tokio::select! {
            report = &mut running => break report,
            () = tokio::time::sleep(Duration::from_millis(2)) => peak = peak.max(bytes_with_the_log(&setup)),
        }
    };
    assert_eq!((report.outcome, report.summary.delivered), (COUNTED, 20_000));
    // Batches that are under way come on top of the limit.
    assert!(bytes(&setup) < 2 * most, "{}", bytes(&setup));
    assert!(peak < 3 * most, "{peak} at its peak");
    assert_eq!(bytes_with_the_log(&setup), bytes(&setup), "the log is empty at the end");
    assert_all_once(&setup.delivered(), &homeserver);
}

#[tokio::test]
async fn entries_delivered_out_of_order_are_trimmed_too() {
    let homeserver = homeserver(10_000, 10);
    let setup = Setup::with_sink(&homeserver);
    let sink = setup.sink.clone().expect("a sink");
    *sink.delay.lock().expect("not poisoned") = Duration::from_millis(30);
    sink.limit_batches(100);
    let client = setup.open_unlocked().await;
    let download = client.download();
    download.set_policy(trimming());
    let running = spawn_run(&client);
    while download.status().await.expect("a status").summary.fetched < 10_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let last = homeserver.truth().room_id(9);
    download
        .prioritise_rooms(vec![last.clone()])
        .await
        .expect("it is noted");
    let is_here = || {
        sink.keys
            .lock()
            .expect("not poisoned")
            .iter()
            .any(|key| key.room_id == last)
    };
    while !is_here() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    *sink.fails_after.lock().expect("not poisoned") = Some(0);
    let report = running.await.expect("it ends");
    assert!(report.summary.delivered < 8_000, "it came early: {report:?}");
    *sink.fails_after.lock().expect("not poisoned") = None;
    *sink.delay.lock().expect("not poisoned") = Duration::ZERO;
    assert_eq!(download.run(RunBudget::default()).await.outcome, WHOLE);
    for index in (0..10_000).step_by(500) {
        let truth = homeserver.truth().key(index);
        let found = client.find_room_key(truth.room_id, truth.session_id).await;
        assert_eq!(found, Ok(RoomKeyLookup::Trimmed), "key {index}");
    }
}
