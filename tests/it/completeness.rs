//! "Complete" is proved, not assumed: answers that prove nothing, and rooms that cannot be fetched.

use keyferry::{
    AccessError, BlockedReason, MissingKeys, RoomKeyLookup, RunBudget, RunFailure, RunOutcome, VersionState,
};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, Homeserver, VersionAction};
use serde_json::{Value, json};

use crate::support::{
    COUNTED, Setup, WHOLE, assert_vault_complete,
    backup_entry::{forged, plaintext, public_key, seal, version_info},
    homeserver, needs_unlock, run_to_completion, status,
};

const KEYS: u64 = 60;

fn answer(code: u16, body: Value) -> Fault {
    status(code, body).into()
}

/// Returns answers to a request for all keys as they come from servers that do not serve them in that form.
fn documents_of_another_shape(homeserver: &Homeserver) -> Vec<Value> {
    let room = homeserver.truth().room_id(0);
    vec![
        json!({}),
        json!({"errcode": "M_UNKNOWN", "error": "no"}),
        json!({"rooms": {}}),
        json!({"rooms": []}),
        json!({"rooms": {room: {"first_message_index": 0, "session_data": {}}}}),
    ]
}

#[tokio::test]
async fn an_answer_that_proves_nothing_does_not_complete_a_version() {
    let homeserver = homeserver(KEYS, 6);
    for document in documents_of_another_shape(&homeserver) {
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        homeserver.set_faults(vec![answer(200, document.clone()).on(EndpointKind::AllKeys)]);
        let report = client.download().run(RunBudget::default()).await;
        assert_eq!(report.outcome, COUNTED, "{document}: room by room");
        assert!(report.every_key_is_here, "{document}");
        assert_vault_complete(&client, &homeserver).await;
    }
}

#[tokio::test]
async fn a_backup_that_is_not_served_is_reported_and_single_keys_still_work() {
    let homeserver = homeserver(KEYS, 6);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_faults(vec![
        answer(200, json!({})).on(EndpointKind::AllKeys),
        answer(200, json!({})).on(EndpointKind::RoomKeys),
    ]);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(
        report.outcome,
        RunOutcome::Failed {
            reason: RunFailure::BackupNotServed
        }
    );
    assert!(!report.every_key_is_here);
    assert!(report.wake_up.is_some(), "a retry is scheduled");
    let key = homeserver.truth().key(7);
    let found = client.fetch_session(key.room_id.clone(), key.session_id, None).await;
    assert!(matches!(found, Ok(RoomKeyLookup::Found { .. })), "{found:?}");
    let room = client.fetch_room(key.room_id).await;
    assert_eq!(room, Err(AccessError::ServerFault), "not an empty room");
    // The download waits for the retry, and the next run reports the same failure.
    let report = client.download().run(RunBudget::default()).await;
    let reason = RunFailure::BackupNotServed;
    assert_eq!(report.outcome, RunOutcome::Failed { reason });
    homeserver.set_faults(Vec::new());
    let room = client
        .fetch_room(homeserver.truth().room_id(1))
        .await
        .map(|room| room.new_keys);
    assert_eq!(room, Ok(KEYS / 6), "the server answers again");
}

#[tokio::test]
async fn a_shortfall_is_reported_until_the_app_accepts_it() {
    let homeserver = homeserver(KEYS, 6);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    homeserver.set_faults(vec![FaultKind::WrongCount { count: KEYS + 5 }.into()]);
    let short = RunOutcome::Short {
        versions: vec![MissingKeys {
            version: "1".to_owned(),
            missing: 5,
        }],
    };
    let report = download.run(RunBudget::default()).await;
    assert_eq!(report.outcome, short);
    assert!(!report.every_key_is_here);
    assert_eq!((report.summary.fetched, report.summary.missing), (KEYS, 5));
    assert!(report.wake_up.is_some(), "another check is scheduled");
    // As long as etag and count stay the same, nothing is fetched again.
    homeserver.reset_requests();
    assert_eq!(download.run(RunBudget::default()).await.outcome, short);
    let requests = homeserver.requests();
    assert_eq!(
        (requests.of(EndpointKind::AllKeys), requests.of(EndpointKind::RoomKeys)),
        (0, 0)
    );

    let status = download.status().await.expect("a status");
    assert_eq!(status.versions[0].state, VersionState::Short);
    let public_key = status.versions[0].public_key.clone().expect("the server named it");
    let accept = async |most| {
        download
            .accept_shortfall("1".to_owned(), public_key.clone(), most)
            .await
    };
    assert_eq!(accept(4).await, Ok(true));
    assert_eq!(
        download.run(RunBudget::default()).await.outcome,
        short,
        "more keys are missing"
    );
    assert_eq!(accept(5).await, Ok(true));
    let report = download.run(RunBudget::default()).await;
    assert!(
        matches!(
            report.outcome,
            RunOutcome::Completed {
                accepted_shortfall: 5,
                ..
            }
        ),
        "{:?}",
        report.outcome
    );
    assert!(!report.every_key_is_here, "accepted keys are still missing");
    assert_eq!(
        download.accept_shortfall("7".to_owned(), public_key.clone(), 5).await,
        Ok(false)
    );
}

#[tokio::test]
async fn rooms_missing_from_an_answer_are_fetched_one_by_one() {
    let homeserver = homeserver(KEYS, 6);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_faults(vec![FaultKind::LeaveOutRooms { every: 2 }.into()]);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, COUNTED);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn entries_of_a_wrong_shape_do_not_count_as_keys() {
    let homeserver = homeserver(1, 1);
    let key = homeserver.truth().key(0);
    let entry = seal(&plaintext(&key), 0, public_key(homeserver.account()));
    let rooms = json!({
        key.room_id: {"sessions": {key.session_id: entry}},
        "!bare:localhost": {"first_message_index": 0, "session_data": {}},
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_faults(vec![
        answer(200, json!({"rooms": rooms})).on(EndpointKind::AllKeys),
        answer(200, json!({"sessions": {}})).on(EndpointKind::RoomKeys),
    ]);
    let report = client.download().run(RunBudget::default()).await;
    // The entry is kept, but no answer proves that it is the only one.
    assert_eq!(report.summary.fetched, 1);
    assert!(matches!(report.outcome, RunOutcome::Blocked { .. }), "{report:?}");
}

#[tokio::test]
async fn a_failing_room_does_not_delay_the_others() {
    let homeserver = homeserver(KEYS, 6);
    let sick = homeserver.truth().room_id(2);
    for kind in [status(504, json!({})), FaultKind::NotJson] {
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        homeserver.set_faults(vec![
            Fault::from(kind.clone()).on(EndpointKind::AllKeys),
            Fault::from(kind.clone()).on(EndpointKind::RoomKeys).of_room(&sick),
        ]);
        for _ in 0..2 {
            let report = client.download().run(RunBudget::default()).await;
            let RunOutcome::Blocked { reason, .. } = report.outcome else {
                panic!("{kind:?}: {:?}", report.outcome);
            };
            assert_eq!(reason, BlockedReason::RoomsUnavailable { rooms: 1 }, "{kind:?}");
            assert_eq!(report.summary.fetched, KEYS - KEYS / 6, "{kind:?}");
            assert!(report.wake_up.is_some());
        }
    }
}

/// The forged version has the public key of the true one, and all its keys claim to start at the first message.
#[tokio::test]
async fn a_forged_version_replaces_no_key() {
    let homeserver = homeserver(8, 2);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    let truth = homeserver.truth();
    let mut rooms = serde_json::Map::new();
    for index in 0..8 {
        let key = truth.key(index);
        let entry = seal(&forged(&plaintext(&key)), 0, public_key(homeserver.account()));
        let room = rooms.entry(key.room_id).or_insert_with(|| json!({"sessions": {}}));
        room["sessions"][key.session_id] = entry;
    }
    let public_key = client.download().status().await.expect("a status").versions[0]
        .public_key
        .clone();
    let version = version_info("99", "8", 8, json!({"public_key": public_key}));
    homeserver.set_faults(vec![
        answer(200, version.clone()).on(EndpointKind::CurrentVersion),
        answer(200, version).on(EndpointKind::Version),
        answer(200, json!({"rooms": rooms})).on(EndpointKind::AllKeys),
    ]);
    let report = run_to_completion(&client).await;
    assert_eq!(report.summary.conflicts, 8);
    assert!(!report.every_key_is_here, "the server may be tampering");
    assert_vault_complete(&client, &homeserver).await;
    let delivered = setup.delivered().len();
    assert_eq!(delivered, 8, "each once, and no forgery");
    assert_eq!(
        setup.host.key_conflicts.lock().expect("not poisoned").len(),
        1,
        "reported once"
    );
}

#[tokio::test]
async fn an_older_version_is_reported_until_it_is_unlocked_or_given_up() {
    let homeserver = homeserver(40, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let download = client.download();
    assert_eq!(download.run(RunBudget::default()).await.outcome, needs_unlock(&["1"]));
    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    assert_eq!(
        download.run(RunBudget::default()).await.outcome,
        needs_unlock(&["1", "2"])
    );
    assert_eq!(download.give_up_version("2".to_owned()).await, Ok(true));
    assert_eq!(download.run(RunBudget::default()).await.outcome, needs_unlock(&["1"]));
    // The recovery key opens the older version, although another one is current.
    let unlocked = client
        .unlock(setup.recovery_key())
        .await
        .expect("it opens the older version");
    assert_eq!(unlocked.versions, ["1"]);
    let report = run_to_completion(&client).await;
    assert!(!report.every_key_is_here, "keys that are given up are missing");
    assert_vault_complete(&client, &homeserver).await;
}
