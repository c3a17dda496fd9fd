//! A key for a message on screen: from the vault or else from the server, even while a run is under way.

use std::{sync::Arc, time::Duration};

use keyferry::{AccessError, KeyBackupClient, RoomFetch, RoomKeyLookup, RunBudget, RunOutcome, ServerNews};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver, VersionAction};

use crate::support::{
    COUNTED, Phone, Setup, WHOLE, assert_all_once, assert_true, assert_vault_complete, budget, homeserver, slow,
    spawn_run, start,
};

async fn fetch(client: &KeyBackupClient, homeserver: &Homeserver, index: u64) -> Result<RoomKeyLookup, AccessError> {
    let truth = homeserver.truth().key(index);
    client.fetch_session(truth.room_id, truth.session_id, None).await
}

fn assert_found(answer: Result<RoomKeyLookup, AccessError>, homeserver: &Homeserver, index: u64) {
    match answer {
        Ok(RoomKeyLookup::Found { key, .. }) => assert_true(&key, &homeserver.truth().key(index)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_is_requested_once_and_counted_once() {
    let homeserver = start(Config {
        keys: 100,
        rooms: 4,
        latency_ms: 50,
        ..Config::default()
    });
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let (first, second) = tokio::join!(fetch(&client, &homeserver, 7), fetch(&client, &homeserver, 7));
    assert_found(first, &homeserver, 7);
    assert_found(second, &homeserver, 7);
    assert_found(fetch(&client, &homeserver, 7).await, &homeserver, 7);
    assert_eq!(homeserver.requests().of(EndpointKind::SessionKey), 1);
    assert!(setup.host.download_wake_up.lock().expect("not poisoned").is_some());
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 100));
    assert_all_once(&setup.delivered(), &homeserver);
}

#[tokio::test]
async fn a_missing_session_is_remembered_until_the_backup_changes() {
    let homeserver = start(Config {
        keys: 100,
        rooms: 4,
        held_back: 10,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    for _ in 0..3 {
        assert_eq!(fetch(&client, &homeserver, 95).await, Ok(RoomKeyLookup::NotFound));
    }
    assert_eq!(homeserver.requests().of(EndpointKind::SessionKey), 1);
    homeserver.release_held_back();
    assert_eq!(client.refresh().await, Ok(ServerNews::NewKeys { count: 100 }));
    assert_found(fetch(&client, &homeserver, 95).await, &homeserver, 95);
}

#[tokio::test]
async fn a_404_is_believed_only_while_its_version_is_there() {
    let homeserver = homeserver(100, 4);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_version_state(VersionAction::Delete);
    homeserver.set_version_state(VersionAction::NewWithKeys);
    // Requested from the old version, found in the new one, which has the same backup key.
    assert_found(fetch(&client, &homeserver, 5).await, &homeserver, 5);
    assert_eq!(homeserver.requests().of(EndpointKind::SessionKey), 2);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 100));
}

#[tokio::test]
async fn a_room_is_fetched_whole_and_only_once() {
    let homeserver = homeserver(3_000, 3);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let room = homeserver.truth().room_id(1);
    let asked = RoomFetch {
        new_keys: 1_000,
        asked_server: true,
    };
    assert_eq!(client.fetch_room(room.clone()).await, Ok(asked));
    let known = RoomFetch {
        new_keys: 0,
        asked_server: false,
    };
    assert_eq!(client.fetch_room(room.clone()).await, Ok(known));
    assert_found(client.find_room_key_of(&homeserver, 1_500).await, &homeserver, 1_500);
    // If the answer is cut, the keys that arrived stay.
    homeserver.set_faults(vec![
        Fault::from(FaultKind::CutBody { after_bytes: 600_000 }).on(EndpointKind::RoomKeys),
    ]);
    let cut = client.fetch_room(homeserver.truth().room_id(2)).await;
    assert_eq!(cut, Err(AccessError::Unreachable { retry_after: None }));
    homeserver.set_faults(Vec::new());
    let rest = client
        .fetch_room(homeserver.truth().room_id(2))
        .await
        .expect("the rest comes");
    assert!((1..1_000).contains(&rest.new_keys));
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 3_000));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn fetching_on_demand_works_beside_a_run_of_another_process() {
    let homeserver = slow(8_000, 8, 2_000_000);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let mut phone = Phone::start_without_sink(&homeserver, &setup).ready();
    phone.send_command("run");
    for index in (0..8_000).rev().step_by(400) {
        assert_found(fetch(&client, &homeserver, index).await, &homeserver, index);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(client.fetch_room(homeserver.truth().room_id(6)).await.is_ok());
    assert!(phone.end(), "the run completes");
    let summary = client.download().status().await.expect("a status").summary;
    assert_eq!((summary.fetched, summary.opened, summary.conflicts), (8_000, 8_000, 0));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_room_wanted_before_the_first_run_stays_wanted() {
    let homeserver = homeserver(2_000, 20);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open().await;
    let wanted = homeserver.truth().room_id(7);
    let prioritised = client.download().prioritise_rooms(vec![wanted.clone()]).await;
    prioritised.expect("it is noted");
    // Only now does the vault learn of a version.
    client.unlock(setup.recovery_key()).await.expect("it fits");
    homeserver.set_faults(vec![
        Fault::from(FaultKind::Stall { after_bytes: 0 }).on(EndpointKind::RoomKeys),
    ]);
    // The budget is so short that the run goes room by room.
    let budget = budget(1_000);
    assert_eq!(client.download().run(budget).await.outcome, RunOutcome::OutOfBudget);
    homeserver.set_faults(Vec::new());
    client.shutdown();
    let client = setup.open().await;
    let report = client.download().run(budget).await;
    assert!(
        matches!(report.outcome, RunOutcome::Completed { .. }),
        "{:?}",
        report.outcome
    );
    let keys = setup.delivered();
    assert!(keys[..100].iter().all(|key| key.room_id == wanted));
}

#[tokio::test]
async fn a_room_wanted_during_a_run_is_fetched_and_delivered_next() {
    let homeserver = slow(20_000, 20, 4_000_000);
    let setup = Setup::with_sink(&homeserver);
    let sink = setup.sink.clone().expect("a sink");
    *sink.delay.lock().expect("not poisoned") = Duration::from_millis(100);
    let client = setup.open_unlocked().await;
    let run = spawn_run(&client);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let wanted = homeserver.truth().room_id(19);
    client
        .download()
        .prioritise_rooms(vec![wanted.clone()])
        .await
        .expect("it is noted");
    assert_eq!(run.await.expect("it ends").outcome, WHOLE);
    let keys = setup.delivered();
    let first = keys.iter().position(|key| key.room_id == wanted).expect("it came");
    assert!(first < 12_000, "its first key came as number {first} of 20,000");
    assert_all_once(&keys, &homeserver);
}

#[tokio::test]
async fn a_room_wanted_earlier_is_first_in_the_next_run() {
    let homeserver = homeserver(2_000, 20);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let wanted: Vec<_> = [17, 3]
        .into_iter()
        .map(|room| homeserver.truth().room_id(room))
        .collect();
    client
        .download()
        .prioritise_rooms(wanted.clone())
        .await
        .expect("it is noted");
    // The budget is so short that the run goes room by room.
    let report = client.download().run(budget(1_000)).await;
    assert_eq!(report.outcome, COUNTED);
    let arrived = client
        .download()
        .arrived_since(Default::default(), 10_000)
        .await
        .expect("a list");
    let rooms: Vec<_> = arrived.arrived.iter().map(|arrived| arrived.room_id.clone()).collect();
    // Which of the two is opened first depends on the timing of the cores.
    assert!(wanted.iter().all(|room| rooms[..2].contains(room)), "they come first");
}

trait FindOf {
    async fn find_room_key_of(&self, homeserver: &Homeserver, index: u64) -> Result<RoomKeyLookup, AccessError>;
}

impl FindOf for Arc<KeyBackupClient> {
    async fn find_room_key_of(&self, homeserver: &Homeserver, index: u64) -> Result<RoomKeyLookup, AccessError> {
        let truth = homeserver.truth().key(index);
        let found = self.find_room_key(truth.room_id, truth.session_id).await;
        Ok(found.expect("a look-up"))
    }
}

#[tokio::test]
async fn the_log_stays_short_after_many_single_look_ups() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let room_id = homeserver.truth().room_id(0);
    // Each look-up leaves its connection open, so SQLite makes no checkpoint when the other connections close.
    for number in 0..400 {
        let unknown = client
            .fetch_session(room_id.clone(), format!("unknown {number}"), None)
            .await;
        assert_eq!(unknown, Ok(RoomKeyLookup::NotFound));
    }
    let bytes = std::fs::metadata(setup.log_file()).expect("a log").len();
    assert!(bytes < 6_000_000, "{bytes}");
}
