//! A session id under two rooms: the server may be moving keys.

use std::sync::Arc;

use keyferry::{DownloadPolicy, KeyBackupClient, PauseCause, RoomKeyLookup, RunBudget, RunOutcome, SecretString};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver};

use crate::common::{Setup, start};

const KEYS: u64 = 1_000;
const TWINS: u64 = 3;

fn with_twins() -> Homeserver {
    start(Config {
        keys: KEYS,
        rooms: 10,
        twins: TWINS,
        ..Config::default()
    })
}

#[tokio::test]
async fn seen_before_delivery_neither_is_delivered() {
    let homeserver = with_twins();
    let setup = Setup::with_sink(&homeserver);
    // Everything is here before anything can be opened.
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, RunOutcome::NeedsUnlock);
    client
        .unlock(setup.recovery_key())
        .await
        .expect("the recovery key fits");

    let report = client.download().run(RunBudget::default()).await;

    assert_eq!(report.outcome, RunOutcome::Completed);
    assert_eq!(
        (report.summary.conflicts, report.summary.delivered),
        (2 * TWINS, KEYS - 2 * TWINS)
    );
    assert_withheld(&client, &homeserver, &setup, 0).await;
    let path = setup.directory.path().join("export.txt").display().to_string();
    let exported = client.export_room_keys(SecretString::from("p"), path).await;
    let exported = exported.expect("an export");
    assert_eq!((exported.exported, exported.conflicts), (KEYS - 2 * TWINS, 2 * TWINS));
}

#[tokio::test]
async fn seen_after_delivery_the_later_one_is_withheld() {
    let homeserver = with_twins();
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_faults(vec![
        Fault::from(FaultKind::Stall { after_bytes: 300_000 }).on(EndpointKind::AllKeys),
    ]);
    let budget = RunBudget {
        max_duration_ms: Some(2_000),
    };
    let report = client.download().run(budget).await;
    assert_eq!(report.outcome, RunOutcome::OutOfBudget);
    assert!(report.summary.delivered > TWINS);
    homeserver.set_faults(Vec::new());

    let report = client.download().run(RunBudget::default()).await;

    assert_eq!(report.outcome, RunOutcome::Completed);
    assert_eq!(
        (report.summary.conflicts, report.summary.delivered),
        (2 * TWINS, KEYS - TWINS)
    );
    assert_withheld(&client, &homeserver, &setup, TWINS).await;
}

#[tokio::test]
async fn fetched_anew_they_are_counted_once() {
    let homeserver = with_twins();
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    homeserver.set_faults(vec![
        Fault::from(FaultKind::Stall { after_bytes: 300_000 }).on(EndpointKind::AllKeys),
    ]);
    let budget = RunBudget {
        max_duration_ms: Some(2_000),
    };
    assert_eq!(download.run(budget).await.outcome, RunOutcome::OutOfBudget);
    homeserver.set_faults(Vec::new());
    // The first ones leave the vault before the others come.
    download.set_policy(DownloadPolicy {
        trim_delivered: true,
        ..DownloadPolicy::default()
    });
    download.pause(PauseCause::Offline).await.expect("it holds");
    download.run(RunBudget::default()).await;
    download.resume(PauseCause::Offline).await.expect("it is over");
    let report = download.run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.conflicts),
        (RunOutcome::Completed, 2 * TWINS)
    );
    download.crypto_store_was_replaced().await.expect("it is noted");
    let report = download.run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.conflicts, report.summary.delivered),
        (RunOutcome::Completed, 2 * TWINS, KEYS - 2 * TWINS)
    );
}

/// Twins are listed and say so when they are looked up; of the first ones so many were delivered, of the others none.
async fn assert_withheld(client: &Arc<KeyBackupClient>, homeserver: &Homeserver, setup: &Setup, delivered: u64) {
    let sink = setup.sink.as_ref().expect("a sink");
    let delivered_rooms = |session: &str| -> Vec<String> {
        let keys = sink.keys.lock().expect("not poisoned");
        let of_session = keys.iter().filter(|key| key.session_id == session);
        of_session.map(|key| key.room_id.clone()).collect()
    };
    let listed = client.download().conflicts(None, 100).await.expect("a list").entries;
    assert_eq!(listed.len() as u64, 2 * TWINS);
    for index in 0..TWINS {
        let first = homeserver.truth().key(index);
        let twin = homeserver
            .truth()
            .key(homeserver.truth().twin(index).expect("it has one"));
        assert_eq!(first.session_id, twin.session_id);
        for key in [&first, &twin] {
            let found = client.find_room_key(key.room_id.clone(), key.session_id.clone()).await;
            assert_eq!(found.expect("a look-up"), RoomKeyLookup::Conflict);
        }
        let expected = if index < delivered {
            vec![first.room_id]
        } else {
            Vec::new()
        };
        assert_eq!(delivered_rooms(&first.session_id), expected);
    }
}
