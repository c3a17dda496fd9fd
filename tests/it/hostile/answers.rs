//! Answers that do not end, lists of rooms, counts, and redirects.

use std::time::{Duration, Instant};

use keyferry::{
    AccessError, ClientOptions, DownloadPolicy, Milliseconds, PauseCause, PreferenceWrite, RoomKeyLookup, RunBudget,
    RunFailure, RunOutcome,
};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind};
use serde_json::json;

use super::answer;
use crate::support::{COUNTED, Setup, WHOLE, assert_vault_complete, budget, homeserver, start};

/// Cuts the answer for all keys until the client goes room by room.
fn cut_twice() -> Fault {
    Fault {
        times: Some(2),
        ..Fault::from(FaultKind::CutBody { after_bytes: 10_000 }).on(EndpointKind::AllKeys)
    }
}

#[tokio::test]
async fn endless_answers_and_gzip_bombs_are_refused() {
    let homeserver = homeserver(4, 1);
    for fault in [FaultKind::Endless, FaultKind::GzipBomb { mebibytes: 300 }] {
        let setup = Setup::new(&homeserver);
        let client = setup.open().await;
        let began = Instant::now();
        homeserver.set_faults(vec![Fault::from(fault.clone()).on(EndpointKind::CurrentVersion)]);
        let report = client.download().run(RunBudget::default()).await;
        let refused = RunOutcome::Failed {
            reason: RunFailure::RefusedByServer,
        };
        assert_eq!(report.outcome, refused, "{fault:?}");
        let in_ms = report.wake_up.map(|wake_up| wake_up.not_before);
        assert_eq!(in_ms, Some(Milliseconds(6 * 60 * 60 * 1_000)), "{fault:?}");
        homeserver.set_faults(Vec::new());
        client.unlock(setup.recovery_key()).await.expect("it fits");
        for (endpoint, key) in [(EndpointKind::SessionKey, true), (EndpointKind::RoomKeys, false)] {
            homeserver.set_faults(vec![Fault::from(fault.clone()).on(endpoint)]);
            let truth = homeserver.truth().key(1);
            let answer = match key {
                true => client
                    .fetch_session(truth.room_id, truth.session_id, None)
                    .await
                    .map(drop),
                false => client.fetch_room(truth.room_id).await.map(drop),
            };
            assert_eq!(answer, Err(AccessError::RefusedByServer), "{fault:?} {endpoint:?}");
        }
        // If the request for all keys fails, the keys are fetched room by room.
        homeserver.set_faults(vec![Fault::from(fault.clone()).on(EndpointKind::AllKeys)]);
        let report = client.download().run(RunBudget::default()).await;
        assert_eq!(report.outcome, COUNTED, "{fault:?}");
        assert!(began.elapsed() < Duration::from_secs(120), "{fault:?}");
        homeserver.set_faults(Vec::new());
        assert_eq!(client.download().run(RunBudget::default()).await.outcome, COUNTED);
        assert_vault_complete(&client, &homeserver).await;
    }
}

#[tokio::test]
async fn a_list_of_rooms_that_is_too_long_is_ignored() {
    let homeserver = homeserver(400, 4);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let rooms: Vec<_> = (0..100_000)
        .map(|number| format!("!room-{number:070}:example.org"))
        .collect();
    homeserver.set_faults(vec![
        cut_twice(),
        answer(json!({ "joined_rooms": rooms }).to_string()).on(EndpointKind::JoinedRooms),
    ]);
    let report = client.download().run(RunBudget::default()).await;
    // Without a usable list of rooms, the request for all keys returns them.
    assert_eq!(report.outcome, WHOLE);
    assert_eq!(homeserver.requests().of(EndpointKind::RoomKeys), 0);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn odd_items_in_a_list_of_rooms_are_skipped() {
    let homeserver = homeserver(400, 4);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let rooms: Vec<_> = (0..4)
        .map(|room| format!("\"{}\",5,\"\\ud800\",null", homeserver.truth().room_id(room)))
        .collect();
    let list = format!("{{\"joined_rooms\":[{}]}}", rooms.join(","));
    homeserver.set_faults(vec![cut_twice(), answer(list).on(EndpointKind::JoinedRooms)]);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, COUNTED);
    assert_eq!(homeserver.requests().of(EndpointKind::RoomKeys), 4);
    assert_eq!(homeserver.requests().of(EndpointKind::AllKeys), 2);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_low_count_does_not_end_a_room_by_room_fetch_early() {
    let homeserver = start(Config {
        keys: 400,
        rooms: 8,
        left_rooms: 3,
        ..Config::default()
    });
    for count in [0, 100, 249] {
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        homeserver.set_faults(vec![cut_twice(), Fault::from(FaultKind::WrongCount { count })]);
        let report = client.download().run(RunBudget::default()).await;
        assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 400), "{count}");
        assert_vault_complete(&client, &homeserver).await;
    }
}

#[tokio::test]
async fn a_room_fetched_on_demand_stops_when_the_vault_is_full() {
    let homeserver = homeserver(4_000, 1);
    let setup = Setup::new(&homeserver);
    let options = ClientOptions {
        download: Some(DownloadPolicy {
            max_vault_bytes: Some(1_000_000),
            ..DownloadPolicy::default()
        }),
        ..setup.options()
    };
    let client = setup.open_with(options).await.expect("it opens");
    client.unlock(setup.recovery_key()).await.expect("it fits");
    let key = homeserver.truth().key(1);
    let on_hold = AccessError::OnHold {
        causes: vec![PauseCause::DiskLimit],
    };
    assert_eq!(client.fetch_room(key.room_id.clone()).await, Err(on_hold));
    let fetched = client.download().status().await.expect("a status").summary.fetched;
    assert!((500..4_000).contains(&fetched), "{fetched}");
    // A single key is fetched nevertheless.
    let last = homeserver.truth().key(3_999);
    let found = client.fetch_session(last.room_id, last.session_id, None).await;
    assert!(matches!(found, Ok(RoomKeyLookup::Found { .. })), "{found:?}");
}

#[tokio::test]
async fn a_redirect_sends_the_token_nowhere() {
    let (homeserver, elsewhere) = (homeserver(20, 1), homeserver(20, 1));
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let key = homeserver.truth().key(1);
    for path in [
        "",
        "/_matrix/client/v3/room_keys/version",
        "/_matrix/client/v3/room_keys/keys?version=1",
    ] {
        let redirect = FaultKind::Redirect {
            location: format!("{}{path}", elsewhere.url()),
        };
        homeserver.set_faults(vec![Fault::from(redirect.clone()).on(EndpointKind::AllKeys)]);
        assert_eq!(client.download().run(budget(500)).await.summary.fetched, 0);
        homeserver.set_faults(vec![Fault::from(redirect.clone()).on(EndpointKind::PutAccountData)]);
        let write = client.preference();
        let written = tokio::time::timeout(Duration::from_secs(2), write.set_enabled(true)).await;
        assert!(!matches!(written, Ok(Ok(PreferenceWrite::Written))), "{written:?}");
        assert!(homeserver.requests().of(EndpointKind::PutAccountData) > 0);
        homeserver.set_faults(vec![Fault::from(redirect)]);
        assert!(client.refresh().await.is_err());
        let fetched = client
            .fetch_session(key.room_id.clone(), key.session_id.clone(), None)
            .await;
        assert!(fetched.is_err());
    }
    assert_eq!(elsewhere.requests().total(), 0);
}
