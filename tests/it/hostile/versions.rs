//! Versions that change, or that are not what they seem.

use keyferry::{ConflictCause, RoomKeyLookup, RunBudget, RunFailure, RunOutcome, UnlockSecret, VersionState};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, VersionAction};
use serde_json::{Value, json};

use super::{answer, true_entry};
use crate::support::{
    COUNTED, Setup, WHOLE, assert_vault_complete,
    backup_entry::{room, rooms, version_info},
    budget, homeserver, needs_unlock,
};

/// A public key of which nobody has the private key.
const OTHER_PUBLIC_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE";

#[tokio::test]
async fn an_etag_that_always_changes_causes_few_requests() {
    let homeserver = homeserver(300, 3);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_faults(vec![Fault::from(FaultKind::RestlessEtag)]);
    for _ in 0..3 {
        homeserver.reset_requests();
        let report = client.download().run(RunBudget::default()).await;
        assert_eq!((report.outcome, report.summary.opened), (COUNTED, 300));
        assert!(homeserver.requests().total() < 30, "{}", homeserver.requests().total());
    }
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_version_name_is_escaped_in_paths() {
    let homeserver = homeserver(4, 1);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    for version in ["../../account/deactivate", "..", ".", "1?x=", "1#", "\u{0}", "%2e%2e/"] {
        homeserver.reset_requests();
        let body =
            json!({ "version": version, "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {} });
        homeserver.set_faults(vec![answer(body.to_string()).on(EndpointKind::CurrentVersion)]);
        client.download().run(RunBudget::default()).await;
        let asked = homeserver.requests();
        // Dots alone are no version; with any other one, keys are requested.
        let is_asked_for = asked.of(EndpointKind::AllKeys) > 0;
        assert_eq!(is_asked_for, !matches!(version, "." | ".."), "{version:?}");
        // Every request goes to an endpoint of backups.
        assert_eq!(homeserver.requests().of(EndpointKind::Other), 0, "{version:?}");
    }
    homeserver.set_faults(Vec::new());
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_changed_algorithm_under_the_same_number_does_not_block_unlocking() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    assert_eq!(
        client.download().run(RunBudget::default()).await.outcome,
        needs_unlock(&["1"])
    );
    let mut other = version_info("1", "100", 100, json!({}));
    other["algorithm"] = "org.example.other".into();
    homeserver.set_faults(vec![
        answer(other.to_string()).on(EndpointKind::CurrentVersion),
        answer(other.to_string()).on(EndpointKind::Version),
    ]);
    assert_eq!(
        client.download().run(RunBudget::default()).await.outcome,
        needs_unlock(&["1"])
    );
    let base64 = homeserver.account().backup_decryption_key_base64.as_str().into();
    let unlocked = client.unlock(UnlockSecret::DecryptionKey { base64 }).await;
    assert_eq!(unlocked.map(|unlocked| unlocked.versions), Ok(vec!["1".to_owned()]));
    assert_eq!(client.download().run(RunBudget::default()).await.summary.opened, 100);
}

#[tokio::test]
async fn another_key_under_the_same_number_is_another_backup() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (WHOLE, 100));
    let other_key = version_info("1", "100", 100, json!({ "public_key": OTHER_PUBLIC_KEY }));
    homeserver.set_faults(vec![
        answer(other_key.to_string()).on(EndpointKind::CurrentVersion),
        answer(other_key.to_string()).on(EndpointKind::Version),
    ]);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, needs_unlock(&["1"]));
    assert_eq!(report.summary.opened, 0, "nothing is opened with the wrong key");
    let versions = client.download().status().await.expect("a status").versions;
    let states: Vec<_> = versions.iter().map(|version| version.state).collect();
    assert_eq!(states, [VersionState::Gone, VersionState::Complete]);
    // The opened keys stay, and so does the user's key.
    assert_vault_complete(&client, &homeserver).await;
    let base64 = homeserver.account().backup_decryption_key_base64.as_str().into();
    let unlocked = client.unlock(UnlockSecret::DecryptionKey { base64 }).await;
    assert_eq!(
        unlocked.map(|unlocked| unlocked.versions),
        Ok(vec!["1".to_owned()]),
        "the old version"
    );
    homeserver.set_faults(Vec::new());
    client.shutdown();
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    // The version with the other key stays, locked.
    assert_eq!((report.outcome, report.summary.opened), (needs_unlock(&["1"]), 100));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_version_that_loses_its_key_or_gets_it_late_stays_the_same() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let keyless = version_info("1", "100", 100, json!({}));
    let keyless = vec![
        answer(keyless.to_string()).on(EndpointKind::CurrentVersion),
        answer(keyless.to_string()).on(EndpointKind::Version),
    ];
    // The key comes late.
    homeserver.set_faults(keyless.clone());
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.summary.fetched, report.summary.opened), (100, 0));
    homeserver.set_faults(Vec::new());
    client.unlock(setup.recovery_key()).await.expect("it fits");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (WHOLE, 100));
    // The key is lost.
    homeserver.set_faults(keyless);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (WHOLE, 100));
    let versions = client.download().status().await.expect("a status").versions;
    assert_eq!((versions.len(), versions[0].unlocked), (1, true), "{versions:?}");
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_key_that_changes_while_its_version_is_fetched_is_noticed() {
    let homeserver = homeserver(400, 4);
    let info = |version: &str| version_info(version, "400", 400, json!({ "public_key": OTHER_PUBLIC_KEY }));
    // Room by room, so that the count decides when all keys are here, and the version is requested once more by its
    // number.
    let cut = Fault::from(FaultKind::CutBody { after_bytes: 100 }).on(EndpointKind::AllKeys);
    let run = async |setup: &Setup, version: Value| {
        homeserver.set_faults(vec![cut.clone(), answer(version.to_string()).on(EndpointKind::Version)]);
        homeserver.reset_requests();
        let client = setup.open_unlocked().await;
        let report = client.download().run(budget(20_000)).await;
        assert!(homeserver.requests().of(EndpointKind::Version) > 0);
        let versions = client.download().status().await.expect("a status").versions;
        let names: Vec<_> = versions.iter().map(|version| version.version.clone()).collect();
        homeserver.set_faults(Vec::new());
        let end = client.download().run(RunBudget::default()).await.outcome;
        assert_eq!(end, COUNTED);
        assert_vault_complete(&client, &homeserver).await;
        (report.outcome, names)
    };
    // Requested by its number, the version has another key; as the current version it has the old one.
    let (outcome, names) = run(&Setup::new(&homeserver), info("1")).await;
    assert!(matches!(outcome, RunOutcome::Blocked { .. }), "{outcome:?}");
    assert_eq!(names, ["1", "1"], "another backup under its number");
    // Requested by its number, the server describes another version.
    let (outcome, names) = run(&Setup::new(&homeserver), info("7")).await;
    let refused = RunOutcome::Failed {
        reason: RunFailure::RefusedByServer,
    };
    assert_eq!(outcome, refused);
    assert_eq!(names, ["1"]);
}

#[tokio::test]
async fn a_key_in_another_room_of_a_new_version_hides_nothing() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.delivered), (WHOLE, 100));
    let entry = true_entry(&homeserver, 2).await;
    let key = homeserver.truth().key(2);
    homeserver.set_version_state(VersionAction::NewWithKeys);
    let body = rooms(&[room("!another:localhost", &[(&key.session_id, &entry)])]);
    homeserver.set_faults(vec![answer(body).on(EndpointKind::AllKeys)]);
    client.download().run(RunBudget::default()).await;
    let conflicts = client.download().conflicts(None, 10).await.expect("a list").conflicts;
    let [conflict] = conflicts.as_slice() else {
        panic!("{conflicts:?}");
    };
    assert_eq!(conflict.cause, ConflictCause::TwoRooms);
    assert_eq!(conflict.held_back.room_id, "!another:localhost");
    assert_eq!(conflict.counts.as_ref().map(|entry| &entry.room_id), Some(&key.room_id));
    // Look-ups find the key in both rooms, and name the other one.
    for (room_id, other) in [
        (&key.room_id, "!another:localhost"),
        (&"!another:localhost".to_owned(), &key.room_id),
    ] {
        let found = client.find_room_key(room_id.clone(), key.session_id.clone()).await;
        let Ok(RoomKeyLookup::Found { other_rooms, .. }) = found else {
            panic!("{found:?}");
        };
        assert_eq!(other_rooms, [other]);
    }
    let notices = setup.host.key_conflicts.lock().expect("not poisoned").clone();
    assert_eq!(notices.len(), 1);
    assert_eq!((notices[0].version.as_str(), notices[0].held_back), ("2", 1));
    let delivered = setup.delivered();
    assert!(delivered.iter().all(|key| key.room_id != "!another:localhost"));
}
