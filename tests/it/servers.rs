//! Homeservers other than Synapse, as the small homeserver imitates them. `docs/servers.md` has a row for each.

use keyferry::{
    KeyBackupClient, MissingKeys, PreferenceValue, RoomKeyLookup, RunBudget, RunFailure, RunOutcome, RunReport,
};
use keyferry_test_homeserver::{Config, EndpointKind, Homeserver, ServerKind, VersionAction};
use serde_json::json;

use crate::support::{COUNTED, Setup, WHOLE, assert_vault_complete, start, unlock_version};

fn server(kind: ServerKind) -> Homeserver {
    start(Config {
        server: kind,
        keys: 60,
        rooms: 6,
        ..Config::default()
    })
}

async fn run(client: &KeyBackupClient) -> RunReport {
    client.download().run(RunBudget::default()).await
}

#[tokio::test]
async fn every_server_but_palpo_serves_every_key() {
    for kind in ServerKind::ALL {
        if kind == ServerKind::Palpo {
            continue;
        }
        let homeserver = server(kind);
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        let report = run(&client).await;
        assert_eq!((report.outcome, report.every_key_is_here), (WHOLE, true), "{kind:?}");
        assert_vault_complete(&client, &homeserver).await;
    }
}

#[tokio::test]
async fn palpos_answers_are_reported_as_not_served_and_single_keys_work() {
    let homeserver = server(ServerKind::Palpo);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let report = run(&client).await;
    let reason = RunFailure::BackupNotServed;
    assert_eq!(
        (report.outcome, report.summary.opened),
        (RunOutcome::Failed { reason }, 0)
    );
    let key = homeserver.truth().key(0);
    let found = client.fetch_session(key.room_id, key.session_id, None).await;
    assert!(matches!(found, Ok(RoomKeyLookup::Found { .. })), "{found:?}");
    // The etag does not show that keys were added, and no request is repeated because of that.
    homeserver.reset_requests();
    run(&client).await;
    assert!(homeserver.requests().total() < 20, "{}", homeserver.requests().total());
}

#[tokio::test]
async fn an_empty_answer_for_a_deleted_version_proves_nothing() {
    for kind in [
        ServerKind::Tuwunel,
        ServerKind::Continuwuity,
        ServerKind::Conduwuit,
        ServerKind::Conduit,
        ServerKind::Palpo,
    ] {
        let homeserver = server(kind);
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        homeserver.set_version_state(VersionAction::Delete);
        let report = run(&client).await;
        let reason = RunFailure::NoBackup;
        assert_eq!(report.outcome, RunOutcome::Failed { reason }, "{kind:?}");
        assert!(!report.every_key_is_here);
        let key = homeserver.truth().key(0);
        let found = client.fetch_session(key.room_id.clone(), key.session_id, None).await;
        assert!(!matches!(found, Ok(RoomKeyLookup::Found { .. })), "{kind:?}: {found:?}");
        let room = client.fetch_room(key.room_id).await;
        assert!(room.is_err(), "{kind:?}: {room:?}");
    }
}

#[tokio::test]
async fn a_version_hidden_by_text_sorting_is_fetched_by_its_number() {
    for kind in [ServerKind::Continuwuity, ServerKind::Conduwuit, ServerKind::Conduit] {
        let homeserver = start(Config {
            server: kind,
            first_version: 9,
            keys: 60,
            rooms: 6,
            ..Config::default()
        });
        homeserver.set_version_state(VersionAction::NewWithOtherKey);
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        assert_eq!(run(&client).await.outcome, WHOLE, "{kind:?}");
        client.download().include_version("10".to_owned()).await.expect("noted");
        let report = run(&client).await;
        assert!(
            matches!(&report.outcome, RunOutcome::NeedsUnlock { versions } if versions == &["10"]),
            "{kind:?}: {:?}",
            report.outcome
        );
        unlock_version(&client, &homeserver, "10").await;
        let report = run(&client).await;
        assert!(report.every_key_is_here, "{kind:?}: {:?}", report.outcome);
    }
}

#[tokio::test]
async fn a_count_with_the_keys_of_other_versions_is_short_and_can_be_accepted() {
    let homeserver = server(ServerKind::Tuwunel);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    for _ in 2..=10 {
        homeserver.set_version_state(VersionAction::NewWithKeys);
    }
    let download = client.download();
    download.include_version("1".to_owned()).await.expect("noted");
    let report = run(&client).await;
    let versions = vec![MissingKeys {
        version: "1".to_owned(),
        missing: 60,
    }];
    assert_eq!(report.outcome, RunOutcome::Short { versions });
    let status = download.status().await.expect("a status");
    let one = status
        .versions
        .iter()
        .find(|version| version.version == "1")
        .expect("it is known");
    let key = one.public_key.clone().expect("the server named it");
    assert_eq!(download.accept_shortfall("1".to_owned(), key, 60).await, Ok(true));
    let report = run(&client).await;
    assert!(
        matches!(
            report.outcome,
            RunOutcome::Completed {
                accepted_shortfall: 60,
                ..
            }
        ),
        "{:?}",
        report.outcome
    );
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn an_etag_that_moves_without_keys_loses_and_repeats_nothing() {
    for kind in [ServerKind::Tuwunel, ServerKind::Conduit] {
        let homeserver = server(kind);
        let setup = Setup::with_sink(&homeserver);
        let client = setup.open_unlocked().await;
        assert_eq!(run(&client).await.outcome, WHOLE, "{kind:?}");
        homeserver.set_version_state(VersionAction::TouchAuthData);
        let report = run(&client).await;
        assert!(report.every_key_is_here, "{kind:?}: {:?}", report.outcome);
        assert_eq!((report.summary.fetched, report.summary.delivered), (60, 60), "{kind:?}");
    }
}

#[tokio::test]
async fn an_invalid_room_id_fails_the_answer_for_all_keys_but_loses_no_key() {
    let homeserver = start(Config {
        server: ServerKind::Conduit,
        keys: 60,
        rooms: 6,
        bad_room_id: true,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    assert_eq!(run(&client).await.outcome, COUNTED);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn an_older_version_is_fetched_by_number_if_none_is_current() {
    let homeserver = server(ServerKind::Dendrite);
    homeserver.set_version_state(VersionAction::New);
    homeserver.set_version_state(VersionAction::Delete);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let reason = RunFailure::NoBackup;
    assert_eq!(run(&client).await.outcome, RunOutcome::Failed { reason });
    client.download().include_version("1".to_owned()).await.expect("noted");
    let report = run(&client).await;
    assert!(
        matches!(report.outcome, RunOutcome::NeedsUnlock { .. }),
        "{:?}",
        report.outcome
    );
    unlock_version(&client, &homeserver, "1").await;
    let report = run(&client).await;
    assert!(report.every_key_is_here, "{:?}", report.outcome);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_version_that_the_server_cannot_describe_is_still_fetched() {
    let homeserver = server(ServerKind::Dendrite);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_version_state(VersionAction::EmptyUpload);
    let report = run(&client).await;
    assert_eq!(report.summary.opened, 60, "{:?}", report.outcome);
    assert_vault_complete(&client, &homeserver).await;
    homeserver.set_version_state(VersionAction::TouchAuthData);
    let report = run(&client).await;
    assert!(report.every_key_is_here, "{:?}", report.outcome);
}

#[tokio::test]
async fn dendrites_empty_etag_is_compared_like_any_other() {
    let homeserver = start(Config {
        server: ServerKind::Dendrite,
        keys: 60,
        rooms: 6,
        held_back: 60,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    assert_eq!(run(&client).await.outcome, WHOLE);
    homeserver.release_held_back();
    let report = run(&client).await;
    assert!(report.every_key_is_here, "{:?}", report.outcome);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_refused_token_without_soft_logout_is_a_hard_logout() {
    let homeserver = server(ServerKind::Dendrite);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_access_token("another", true);
    let reason = RunFailure::NotSignedIn { soft_logout: false };
    assert_eq!(run(&client).await.outcome, RunOutcome::Failed { reason });
}

#[tokio::test]
async fn account_data_that_is_no_object_is_no_preference() {
    let homeserver = server(ServerKind::Dendrite);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    for content in [json!([]), json!(null), json!(1)] {
        homeserver.set_account_data("m.key_backup", content.clone());
        let news = client.preference().refresh().await;
        assert_eq!(
            news.map(|seen| seen.value),
            Ok(PreferenceValue::Undetermined),
            "{content}"
        );
    }
}

#[tokio::test]
async fn every_request_for_keys_names_its_version() {
    // Without a version, Dendrite would answer for the current one, and all other servers with an error.
    let homeserver = server(ServerKind::Synapse);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let key = homeserver.truth().key(0);
    client.fetch_room(key.room_id.clone()).await.expect("a room");
    let found = client.fetch_session(key.room_id, key.session_id, None).await;
    assert!(matches!(found, Ok(RoomKeyLookup::Found { .. })), "{found:?}");
    assert_eq!(run(&client).await.outcome, WHOLE);
    assert!(homeserver.requests().of(EndpointKind::AllKeys) > 0);
}
