//! A room or a backup that is too long for any slice is downloaded into a file, and read from there across slices and
//! kills.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use keyferry::{
    BlockedReason, ClientOptions, FileDownload, FileDownloads, HttpHead, KeyBackupClient, RunBudget, RunOutcome,
    TransportError,
};
use keyferry_test_homeserver::{Config, EndpointKind, Homeserver, VersionAction};

use crate::support::{COUNTED, OsDownloads, Setup, WHOLE, assert_all_once, budget, start, without_repeats};

const SLICE: RunBudget = budget(1_000);

fn options(setup: &Setup, downloads: &Arc<OsDownloads>) -> ClientOptions {
    ClientOptions {
        file_downloads: Some(downloads.clone()),
        ..setup.options()
    }
}

async fn unlocked(setup: &Setup, downloads: &Arc<OsDownloads>) -> Arc<KeyBackupClient> {
    let client = setup.open_with(options(setup, downloads)).await.expect("it opens");
    client.unlock(setup.recovery_key()).await.expect("it fits");
    client
}

fn waits(outcome: &RunOutcome) -> bool {
    matches!(
        outcome,
        RunOutcome::Blocked {
            reason: BlockedReason::WaitsForFile,
            ..
        }
    )
}

/// Starts a server with a room that takes five slices, and one that fits into one.
fn one_long_room() -> Homeserver {
    start(Config {
        room_sizes: vec![6_000, 100],
        bytes_per_second: Some(1_300_000),
        ..Config::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_always_cut_is_left_to_the_os() {
    let homeserver = one_long_room();
    let setup = Setup::with_sink(&homeserver);
    let downloads = OsDownloads::new();
    let client = unlocked(&setup, &downloads).await;
    let mut outcome = client.download().run(SLICE).await.outcome;
    for _ in 0..6 {
        if waits(&outcome) {
            break;
        }
        assert_eq!(outcome, RunOutcome::OutOfBudget);
        outcome = client.download().run(SLICE).await.outcome;
    }
    assert!(waits(&outcome), "{outcome:?}");
    assert!(setup.host.download_wake_up.lock().expect("not poisoned").is_some());
    downloads.have_ended().await;
    // Reading continues where the last reader ended, whatever ended it.
    for wait in [3, 6, 12, 25] {
        let run = client.download();
        let _ = tokio::time::timeout(Duration::from_millis(wait), run.run(SLICE)).await;
    }
    let mut outcome = client.download().run(SLICE).await.outcome;
    for _ in 0..20 {
        if outcome != RunOutcome::OutOfBudget {
            break;
        }
        outcome = client.download().run(SLICE).await.outcome;
    }
    assert_eq!(outcome, COUNTED);
    assert_eq!(downloads.begun(), 1);
    assert_eq!(downloads.left(), 0, "nothing is left behind");
    assert!(homeserver.requests().of(EndpointKind::RoomKeys) <= 5);
    assert_all_once(&without_repeats(setup.delivered()), &homeserver);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downloaded_file_is_checked_before_it_is_read() {
    let homeserver = one_long_room();
    let setup = Setup::new(&homeserver);
    let downloads = OsDownloads::new();
    let client = unlocked(&setup, &downloads).await;
    while !waits(&client.download().run(SLICE).await.outcome) {}
    downloads.have_ended().await;
    let garbage = downloads.directory.path().join("garbage");
    std::fs::write(&garbage, "<html>log in</html>").expect("a file");
    let ended = |status| {
        let path = garbage.display().to_string();
        move |_: &str| FileDownload::Ended {
            head: HttpHead {
                status,
                headers: Vec::new(),
            },
            path: path.clone(),
        }
    };
    for state in [200, 302, 401] {
        downloads.set(ended(state));
        let outcome = client.download().run(SLICE).await.outcome;
        assert!(
            matches!(outcome, RunOutcome::Blocked { .. } | RunOutcome::OutOfBudget),
            "{state}: {outcome:?}"
        );
        downloads.have_ended().await;
    }
    downloads.set(|_| FileDownload::Failed {
        error: TransportError::Interrupted,
    });
    assert!(waits(&client.download().run(SLICE).await.outcome));
    downloads.have_ended().await;
    let mut outcome = client.download().run(SLICE).await.outcome;
    while outcome == RunOutcome::OutOfBudget {
        outcome = client.download().run(SLICE).await.outcome;
    }
    assert_eq!(outcome, COUNTED);
    assert_eq!(
        client.download().status().await.expect("a status").summary.fetched,
        6_100
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_request_for_all_keys_can_be_a_file_too() {
    // No list names the long room: only the answer for all keys contains it.
    let homeserver = start(Config {
        room_sizes: vec![50, 6_000],
        left_rooms: 1,
        bytes_per_second: Some(1_300_000),
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let downloads = OsDownloads::new();
    let client = unlocked(&setup, &downloads).await;
    until_it_waits(&client).await;
    downloads.have_ended().await;
    assert_eq!(client.download().run(budget(5_000)).await.outcome, WHOLE);
    assert_eq!(
        client.download().status().await.expect("a status").summary.opened,
        6_050
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leftover_file_is_not_read_as_a_new_answer() {
    let homeserver = start(Config {
        room_sizes: vec![50, 3_000],
        left_rooms: 1,
        held_back: 10,
        bytes_per_second: Some(1_300_000),
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let downloads = OsDownloads::new();
    let client = unlocked(&setup, &downloads).await;
    let until_complete = async || {
        for _ in 0..15 {
            let outcome = client.download().run(SLICE).await.outcome;
            downloads.have_ended().await;
            if matches!(outcome, RunOutcome::Completed { .. }) {
                return client.download().status().await.expect("a status").summary.fetched;
            }
        }
        panic!("the download does not complete");
    };
    downloads.keeps.store(true, Ordering::SeqCst);
    assert_eq!(until_complete().await, 3_040);
    assert_eq!(downloads.left(), 1, "the file is left behind");
    downloads.keeps.store(false, Ordering::SeqCst);
    homeserver.release_held_back();
    assert_eq!(until_complete().await, 3_050);
    assert_eq!((downloads.begun(), downloads.left()), (2, 0));
}

/// Starts a server whose answer for all keys must come by file: no list names the long room in the middle. The last
/// ten keys, which are in the last room, are held back.
fn growing() -> Homeserver {
    start(Config {
        room_sizes: vec![50, 3_000, 40],
        left_rooms: 2,
        held_back: 10,
        bytes_per_second: Some(1_300_000),
        ..Config::default()
    })
}

async fn until_it_waits(client: &KeyBackupClient) {
    for _ in 0..15 {
        if waits(&client.download().run(SLICE).await.outcome) {
            return;
        }
    }
    panic!("no run waits for a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_that_changes_during_a_download_needs_no_second_file() {
    for comes_with_the_file in [false, true] {
        let homeserver = growing();
        let setup = Setup::new(&homeserver);
        let downloads = OsDownloads::new();
        let client = unlocked(&setup, &downloads).await;
        if comes_with_the_file {
            // The OS begins late, so the server answers when the keys are there.
            downloads.latency_ms.store(1_500, Ordering::SeqCst);
        }
        until_it_waits(&client).await;
        if !comes_with_the_file {
            downloads.have_ended().await;
        }
        homeserver.release_held_back();
        downloads.have_ended().await;
        *setup.host.rooms.lock().expect("not poisoned") = vec![homeserver.truth().room_id(2)];
        let mut outcome = client.download().run(SLICE).await.outcome;
        for _ in 0..5 {
            if outcome == COUNTED {
                break;
            }
            outcome = client.download().run(SLICE).await.outcome;
        }
        assert_eq!(outcome, COUNTED, "{comes_with_the_file}");
        let fetched = client.download().status().await.expect("a status").summary.fetched;
        assert_eq!((fetched, downloads.begun(), downloads.left()), (3_090, 1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_no_vault_needs_are_discarded() {
    let under_way = |downloads: &OsDownloads, name: &str| {
        let mut states = downloads.states.lock().expect("not poisoned");
        states.insert(name.to_owned(), FileDownload::UnderWay);
    };
    let (homeserver, downloads) = (growing(), OsDownloads::new());
    let setup = Setup::new(&homeserver);
    let client = unlocked(&setup, &downloads).await;
    until_it_waits(&client).await;
    let name = downloads.names().expect("its names").remove(0);
    // The version is gone. The downloads of another account must not be touched.
    under_way(&downloads, "keyferry-another-one");
    homeserver.set_version_state(VersionAction::Delete);
    client.download().run(SLICE).await;
    assert_eq!(downloads.names().expect("its names"), ["keyferry-another-one"]);
    // The account signs out, or makes room for another vault.
    under_way(&downloads, &name);
    client.shutdown();
    assert_eq!(downloads.names().expect("its names"), ["keyferry-another-one"]);
    // The vault was deleted or set aside, so its downloads are recorded nowhere.
    std::fs::remove_dir_all(setup.vault_directory()).expect("the vault");
    under_way(&downloads, &name);
    let client = setup.open_with(options(&setup, &downloads)).await.expect("it opens");
    client.download().run(SLICE).await;
    assert_eq!(downloads.names().expect("its names"), ["keyferry-another-one"]);
}
