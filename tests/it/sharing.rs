//! Which keys of a room may be shared with people who are invited later.

use keyferry::{RoomHistoryShareability, RunBudget, RunOutcome};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, Homeserver, VersionAction};

use crate::common::{Setup, homeserver};

/// What the truth says of a room.
fn truth(homeserver: &Homeserver, room: u64) -> RoomHistoryShareability {
    let keys: Vec<_> = homeserver
        .truth()
        .room_range(room)
        .map(|index| homeserver.truth().key(index))
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
async fn a_room_is_counted_whatever_the_download_has_of_it() {
    let homeserver = homeserver(300, 3);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let room_id = homeserver.truth().room_id(1);
    let nothing = client.room_history_shareability(room_id.clone()).await;
    assert_eq!(nothing.map(|counts| counts.not_fetched_at_most), Ok(None));

    // One room is here, and nobody has unlocked it.
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
    client
        .download()
        .run(RunBudget {
            max_duration_ms: Some(1_000),
        })
        .await;
    assert_eq!(client.room_history_shareability(room_id.clone()).await, Ok(expected));

    // In two versions, each key counts once.
    homeserver.set_faults(Vec::new());
    homeserver.set_version_state(VersionAction::NewWithKeys);
    assert_eq!(
        client.download().run(RunBudget::default()).await.outcome,
        RunOutcome::Completed
    );
    assert_eq!(client.room_history_shareability(room_id).await, Ok(expected));
}
