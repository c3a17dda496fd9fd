//! Which keys of a room may be shared with people who are invited later.

use keyferry::{DownloadPolicy, RoomHistoryShareability, RunBudget, RunOutcome};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver, VersionAction};

use crate::support::{Setup, WHOLE, budget, homeserver, needs_unlock, start};

/// Returns the counts of a room according to the truth, without the keys that can never be opened.
fn truth(homeserver: &Homeserver, room: u64) -> RoomHistoryShareability {
    let keys: Vec<_> = homeserver
        .truth()
        .room_range(room)
        .map(|index| homeserver.truth().key(index))
        .filter(|key| key.usable)
        .collect();
    let shareable = keys.iter().filter(|key| key.shared_history).count() as u64;
    RoomHistoryShareability {
        shareable,
        not_shareable: keys.len() as u64 - shareable,
        unopened: 0,
        not_fetched_at_most: Some(0),
    }
}

#[tokio::test]
async fn a_room_is_counted_at_every_stage_of_the_download() {
    let homeserver = homeserver(300, 3);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let room_id = homeserver.truth().room_id(1);
    let nothing = client.room_history_shareability(room_id.clone()).await;
    assert_eq!(nothing.map(|counts| counts.not_fetched_at_most), Ok(None));

    // One room is here, but still locked.
    client.fetch_room(room_id.clone()).await.expect("it comes");
    let expected = truth(&homeserver, 1);
    assert!(expected.shareable > 0 && expected.not_shareable > 0);
    let fetched = RoomHistoryShareability {
        shareable: 0,
        not_shareable: 0,
        unopened: 100,
        not_fetched_at_most: Some(0),
    };
    assert_eq!(client.room_history_shareability(room_id.clone()).await, Ok(fetched));
    let other = client.room_history_shareability(homeserver.truth().room_id(2)).await;
    assert_eq!(other.map(|counts| counts.not_fetched_at_most), Ok(Some(200)));

    client.unlock(setup.recovery_key()).await.expect("it fits");
    homeserver.set_faults(vec![
        Fault::from(FaultKind::CutBody { after_bytes: 10 }).on(EndpointKind::AllKeys),
        Fault::from(FaultKind::CutBody { after_bytes: 10 }).on(EndpointKind::RoomKeys),
    ]);
    client.download().run(budget(1_000)).await;
    assert_eq!(client.room_history_shareability(room_id.clone()).await, Ok(expected));

    // A key that is in two versions counts once.
    homeserver.set_faults(Vec::new());
    homeserver.set_version_state(VersionAction::NewWithKeys);
    let outcome = client.download().run(RunBudget::default()).await.outcome;
    // Chance decides whether the request for all keys is still held back by then, so that the rooms prove it.
    assert!(matches!(outcome, RunOutcome::Completed { .. }), "{outcome:?}");
    assert_eq!(client.room_history_shareability(room_id).await, Ok(expected));
}

#[tokio::test]
async fn an_opened_copy_counts_before_a_locked_one() {
    let homeserver = homeserver(300, 3);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (needs_unlock(&["2"]), 300));
    let counts = client.room_history_shareability(homeserver.truth().room_id(1)).await;
    assert_eq!(counts, Ok(truth(&homeserver, 1)));
}

#[tokio::test]
async fn failed_entries_are_not_counted_but_trimmed_ones_are() {
    let homeserver = start(Config {
        keys: 6_000,
        rooms: 3,
        odd_entries: true,
        odd_every: 20,
        ..Config::default()
    });
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().set_policy(DownloadPolicy {
        trim_delivered: true,
        ..DownloadPolicy::default()
    });
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    assert!(report.summary.failed > 0);
    for room in 0..3 {
        let expected = truth(&homeserver, room);
        assert!(expected.shareable > 0 && expected.shareable + expected.not_shareable < 2_000);
        let counts = client.room_history_shareability(homeserver.truth().room_id(room)).await;
        assert_eq!(counts, Ok(expected));
    }
}

#[tokio::test]
async fn a_session_under_two_rooms_is_not_shareable_in_either() {
    let homeserver = start(Config {
        keys: 300,
        rooms: 3,
        twins: 40,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.conflicts), (WHOLE, 80));
    let mut in_truth = RoomHistoryShareability::default();
    let mut counted = RoomHistoryShareability::default();
    for room in 0..3 {
        let expected = truth(&homeserver, room);
        let counts = client.room_history_shareability(homeserver.truth().room_id(room)).await;
        let counts = counts.expect("counts");
        in_truth.shareable += expected.shareable;
        counted.shareable += counts.shareable;
        counted.not_shareable += counts.not_shareable;
    }
    assert_eq!(counted.shareable + counted.not_shareable, 300);
    assert!(counted.shareable < in_truth.shareable, "{counted:?} of {in_truth:?}");
}
