//! One session id in two rooms: the server may be moving keys.

use std::sync::Arc;

use keyferry::{
    ConflictCause, DownloadPolicy, KeyBackupClient, KeyConflict, PauseCause, RoomKeyLookup, RunBudget, RunOutcome,
    SecretString, SinkAnswer,
};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver, TrueKey};

use crate::support::{Setup, WHOLE, assert_true, budget, needs_unlock, start};

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

/// Returns the pairs of twins: the key that comes first, and the one in another room.
fn twins(homeserver: &Homeserver) -> Vec<(TrueKey, TrueKey)> {
    let truth = homeserver.truth();
    let twin = |index| truth.key(truth.twin(index).expect("it has a twin"));
    (0..TWINS).map(|index| (truth.key(index), twin(index))).collect()
}

#[tokio::test]
async fn a_session_under_two_rooms_in_one_answer_is_not_delivered() {
    let homeserver = with_twins();
    let setup = Setup::with_sink(&homeserver);
    // Everything is fetched before anything can be opened.
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, needs_unlock(&["1"]));
    client
        .unlock(setup.recovery_key())
        .await
        .expect("the recovery key fits");

    let report = client.download().run(RunBudget::default()).await;

    assert_eq!((report.outcome, report.every_key_is_here), (WHOLE, false));
    assert_eq!(
        (report.summary.conflicts, report.summary.delivered),
        (2 * TWINS, KEYS - 2 * TWINS)
    );
    assert_found_in_both_rooms(&client, &homeserver).await;
    let conflicts = conflicts(&client).await;
    assert_eq!(conflicts.len() as u64, 2 * TWINS);
    assert!(conflicts.iter().all(|conflict| conflict.counts.is_none()));
    for (first, twin) in twins(&homeserver) {
        assert_eq!(delivered_rooms(&setup, &first.session_id), Vec::<String>::new());
        assert_eq!(first.session_id, twin.session_id);
    }
    let path = setup.directory.path().join("export.txt").display().to_string();
    let exported = client.export_room_keys(SecretString::from("p"), path).await;
    let exported = exported.expect("an export");
    assert_eq!((exported.exported, exported.conflicts), (KEYS - 2 * TWINS, 2 * TWINS));
    // The conflicts are reported once.
    client.download().run(RunBudget::default()).await;
    let notices = setup.host.key_conflicts.lock().expect("not poisoned").clone();
    assert_eq!(notices.len(), 1);
    assert_eq!(
        (notices[0].cause, notices[0].held_back),
        (ConflictCause::TwoRooms, 2 * TWINS)
    );
}

#[tokio::test]
async fn a_later_copy_in_another_room_never_hides_an_earlier_one() {
    let homeserver = with_twins();
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    run_without_the_last(&homeserver, &client).await;

    let report = client.download().run(RunBudget::default()).await;

    assert_eq!((report.outcome, report.every_key_is_here), (WHOLE, false));
    assert_eq!(
        (report.summary.conflicts, report.summary.delivered),
        (TWINS, KEYS - TWINS)
    );
    assert_the_first_ones_count(&client, &homeserver, &setup).await;
    let path = setup.directory.path().join("export.txt").display().to_string();
    let exported = client.export_room_keys(SecretString::from("p"), path).await;
    let exported = exported.expect("an export");
    assert_eq!((exported.exported, exported.conflicts), (KEYS - TWINS, TWINS));
}

#[tokio::test]
async fn the_first_room_of_a_session_stays_the_first_when_fetched_again() {
    let homeserver = with_twins();
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    run_without_the_last(&homeserver, &client).await;
    // The first twins leave the vault before the others arrive.
    download.set_policy(DownloadPolicy {
        trim_delivered: true,
        ..DownloadPolicy::default()
    });
    download.pause(PauseCause::Offline).await.expect("it pauses");
    download.run(RunBudget::default()).await;
    download.resume(PauseCause::Offline).await.expect("it resumes");
    let report = download.run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.conflicts), (WHOLE, TWINS));
    setup
        .sink
        .as_ref()
        .expect("a sink")
        .keys
        .lock()
        .expect("not poisoned")
        .clear();
    download.crypto_store_was_replaced().await.expect("it is noted");
    let report = download.run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.conflicts, report.summary.delivered),
        (WHOLE, TWINS, KEYS - TWINS)
    );
    for (first, _) in twins(&homeserver) {
        assert_eq!(delivered_rooms(&setup, &first.session_id), [first.room_id]);
    }
}

#[tokio::test]
async fn a_key_that_the_sink_cannot_use_makes_way_for_another_copy() {
    for (answer, failed, refused) in [
        (SinkAnswer::Invalid, 1, 0),
        (SinkAnswer::Unconnected { local_is_direct: true }, 0, 1),
    ] {
        let homeserver = with_twins();
        let setup = Setup::with_sink(&homeserver);
        let (first, twin) = twins(&homeserver).remove(0);
        let sink = setup.sink.as_ref().expect("a sink");
        sink.limit_batches(100);
        *sink.answers.lock().expect("not poisoned") =
            Some((first.room_id.clone(), first.session_id.clone(), answer.clone()));
        // The copies come in two answers, and are opened together.
        let client = setup.open().await;
        homeserver.set_faults(vec![
            Fault::from(FaultKind::Stall { after_bytes: 300_000 }).on(EndpointKind::AllKeys),
        ]);
        let report = client.download().run(budget(2_000)).await;
        assert_eq!(report.outcome, RunOutcome::OutOfBudget);
        homeserver.set_faults(Vec::new());
        client.download().run(RunBudget::default()).await;
        let unlocked = client.unlock(setup.recovery_key()).await;
        unlocked.expect("the recovery key fits");

        let report = client.download().run(RunBudget::default()).await;

        let failures: u64 = report.summary.failures.iter().map(|failure| failure.count).sum();
        assert_eq!(
            (failures, report.summary.refused, report.summary.delivered),
            (failed, refused, KEYS - TWINS),
            "{answer:?}"
        );
        assert_eq!(
            delivered_rooms(&setup, &first.session_id),
            [first.room_id, twin.room_id],
            "{answer:?}"
        );
    }
}

/// Does a run that gets the first keys but not the last ones.
async fn run_without_the_last(homeserver: &Homeserver, client: &Arc<KeyBackupClient>) {
    homeserver.set_faults(vec![
        Fault::from(FaultKind::Stall { after_bytes: 300_000 }).on(EndpointKind::AllKeys),
    ]);
    let report = client.download().run(budget(2_000)).await;
    assert_eq!(report.outcome, RunOutcome::OutOfBudget);
    assert!(report.summary.delivered > TWINS);
    homeserver.set_faults(Vec::new());
}

async fn conflicts(client: &KeyBackupClient) -> Vec<KeyConflict> {
    let page = client.download().conflicts(None, 100).await.expect("a list");
    assert_eq!(page.next, None);
    page.conflicts
}

fn delivered_rooms(setup: &Setup, session: &str) -> Vec<String> {
    let keys = setup.delivered();
    let of_session = keys.iter().filter(|key| key.session_id == session);
    of_session.map(|key| key.room_id.clone()).collect()
}

/// Asserts that each twin is found in its room. A look-up names the room, and decrypting shows whether it is the
/// right one.
async fn assert_found_in_both_rooms(client: &KeyBackupClient, homeserver: &Homeserver) {
    for (first, twin) in twins(homeserver) {
        for (key, other) in [(&first, &twin), (&twin, &first)] {
            let found = client.find_room_key(key.room_id.clone(), key.session_id.clone()).await;
            let Ok(RoomKeyLookup::Found {
                key: found,
                other_rooms,
            }) = found
            else {
                panic!("{found:?}");
            };
            assert_true(&found, key);
            assert_eq!(other_rooms, std::slice::from_ref(&other.room_id));
        }
    }
}

async fn assert_the_first_ones_count(client: &KeyBackupClient, homeserver: &Homeserver, setup: &Setup) {
    assert_found_in_both_rooms(client, homeserver).await;
    let conflicts = conflicts(client).await;
    assert_eq!(conflicts.len() as u64, TWINS);
    for (first, twin) in twins(homeserver) {
        let conflict = conflicts
            .iter()
            .find(|conflict| conflict.held_back.session_id == first.session_id)
            .expect("it is listed");
        assert_eq!(conflict.cause, ConflictCause::TwoRooms);
        assert_eq!(conflict.held_back.room_id, twin.room_id);
        assert_eq!(
            conflict.counts.as_ref().map(|entry| &entry.room_id),
            Some(&first.room_id)
        );
        assert_eq!(delivered_rooms(setup, &first.session_id), [first.room_id]);
    }
}
