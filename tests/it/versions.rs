//! Backups that change: they are replaced, deleted, created again, or grow.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use keyferry::{
    HttpExchange, HttpRequest, Milliseconds, RunBudget, RunFailure, RunOutcome, ServerNews, TransportError,
    VersionState,
};
use keyferry_test_homeserver::{Config, EndpointKind, Homeserver, VersionAction};

use crate::support::{
    COUNTED, Setup, WHOLE, assert_all_once, assert_vault_complete, budget, homeserver, needs_unlock, slow, spawn_run,
    start,
    transport::{HookedTransport, Hooks},
    unlock_version,
};

const SLICE: RunBudget = budget(1_000);

/// Starts a server whose keys take some slices to arrive.
fn of_some_slices() -> Homeserver {
    slow(4_000, 8, 1_500_000)
}

#[tokio::test]
async fn an_older_version_is_drained_first_then_the_new_one_is_begun() {
    let homeserver = of_some_slices();
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    assert_eq!(download.run(SLICE).await.outcome, RunOutcome::OutOfBudget);
    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    let states = async || {
        let versions = download.status().await.expect("a status").versions;
        versions
            .into_iter()
            .map(|version| (version.version, version.state))
            .collect::<Vec<_>>()
    };
    assert_eq!(download.run(SLICE).await.outcome, RunOutcome::OutOfBudget);
    let (old, new) = ("1".to_owned(), "2".to_owned());
    assert_eq!(
        states().await,
        [
            (old.clone(), VersionState::Draining),
            (new.clone(), VersionState::Fetching)
        ]
    );
    // The new version is still locked; the old version is delivered nevertheless.
    let report = download.run(RunBudget::default()).await;
    assert_eq!(report.outcome, needs_unlock(&["2"]));
    assert_eq!(
        states().await,
        [(old, VersionState::Complete), (new, VersionState::Complete)]
    );
    assert_all_once(&setup.delivered(), &homeserver);

    unlock_version(&client, &homeserver, "2").await;
    let report = download.run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (COUNTED, 4_000));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn keys_added_to_a_version_before_it_was_superseded_are_fetched() {
    let homeserver = start(Config {
        keys: 300,
        rooms: 3,
        held_back: 10,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 290));
    homeserver.release_held_back();
    homeserver.set_version_state(VersionAction::New);
    // Nothing was requested from the old version since then, and the new version is now the current one.
    unlock_version(&client, &homeserver, "2").await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    let versions = client.download().status().await.expect("a status").versions;
    assert_eq!((versions[0].fetched, versions[0].opened), (300, 300));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_version_deleted_during_a_download_keeps_its_fetched_keys() {
    let homeserver = of_some_slices();
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    let fetched = download.run(SLICE).await.summary.fetched;
    assert!(fetched > 0);
    homeserver.set_version_state(VersionAction::Delete);
    let report = download.run(RunBudget::default()).await;
    assert_eq!(
        report.outcome,
        RunOutcome::Failed {
            reason: RunFailure::NoBackup
        }
    );
    assert_eq!(client.refresh().await, Ok(ServerNews::NoBackup));
    assert!(report.summary.opened >= fetched);

    // A new version with the same key need not be unlocked.
    homeserver.set_version_state(VersionAction::NewWithKeys);
    assert!(matches!(client.refresh().await, Ok(ServerNews::OtherVersion { .. })));
    let report = download.run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (WHOLE, 4_000));
    let states: Vec<_> = download.status().await.expect("a status").versions;
    assert_eq!(states[0].state, VersionState::Gone);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_version_deleted_during_a_run_yields_to_the_current_one() {
    let homeserver = of_some_slices();
    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let run = {
        let download = client.download();
        tokio::spawn(async move { download.run(budget(20_000)).await })
    };
    tokio::time::sleep(Duration::from_millis(600)).await;
    // The older one becomes current again.
    homeserver.set_version_state(VersionAction::Delete);
    let report = run.await.expect("it ends");
    assert!(
        matches!(report.outcome, RunOutcome::NeedsUnlock { .. }),
        "{:?}",
        report.outcome
    );
    client.unlock(setup.recovery_key()).await.expect("it fits");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (needs_unlock(&["2"]), 4_000));
    assert_eq!(report.summary.version.as_deref(), Some("1"));
}

#[tokio::test]
async fn new_keys_of_a_complete_backup_are_fetched() {
    let homeserver = start(Config {
        keys: 1_000,
        rooms: 5,
        held_back: 100,
        ..Config::default()
    });
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    let report = download.run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 900));
    homeserver.reset_requests();
    assert_eq!(client.refresh().await, Ok(ServerNews::NothingNew));
    assert_eq!(homeserver.requests().total(), 1);

    homeserver.release_held_back();
    assert_eq!(client.refresh().await, Ok(ServerNews::NewKeys { count: 100 }));
    assert!(setup.host.download_wake_up.lock().expect("not poisoned").is_some());
    let report = download.run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 1_000));
    assert_eq!(*setup.host.download_wake_up.lock().expect("not poisoned"), None);
    assert_all_once(&setup.delivered(), &homeserver);
}

#[tokio::test]
async fn new_keys_in_a_room_in_use_need_only_that_room_and_others_all_keys() {
    for (in_use, asked_for_everything) in [(4, 0), (0, 1)] {
        // The last keys are held back. They belong to the last room.
        let homeserver = start(Config {
            keys: 1_000,
            rooms: 5,
            held_back: 100,
            ..Config::default()
        });
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        let report = client.download().run(RunBudget::default()).await;
        assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 900));
        *setup.host.rooms.lock().expect("not poisoned") = vec![homeserver.truth().room_id(in_use)];
        homeserver.release_held_back();
        homeserver.reset_requests();
        let report = client.download().run(RunBudget::default()).await;
        // New keys in the room in use make the count complete; others come with the request for all keys.
        let expected = if asked_for_everything > 0 { WHOLE } else { COUNTED };
        assert_eq!((report.outcome, report.summary.fetched), (expected, 1_000));
        let requests = homeserver.requests();
        assert_eq!(requests.of(EndpointKind::AllKeys), asked_for_everything);
        assert_eq!(requests.of(EndpointKind::RoomKeys), 1);
        assert_vault_complete(&client, &homeserver).await;
        // The backup is complete again, so the next run only looks for changes.
        homeserver.reset_requests();
        client.download().run(RunBudget::default()).await;
        assert_eq!(homeserver.requests().total(), 1);
    }
}

#[tokio::test]
async fn a_run_without_a_backup_asks_for_no_wake_up() {
    let homeserver = homeserver(10, 1);
    homeserver.set_version_state(VersionAction::Delete);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    assert_eq!(client.refresh().await, Ok(ServerNews::NoBackup));
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.wake_up, None);
}

#[tokio::test]
async fn keys_added_while_all_keys_are_read_do_not_count_as_fetched() {
    let homeserver = start(Config {
        keys: 4_000,
        rooms: 8,
        held_back: 100,
        bytes_per_second: Some(1_500_000),
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let run = spawn_run(&client);
    tokio::time::sleep(Duration::from_millis(800)).await;
    homeserver.release_held_back();
    assert!(matches!(client.refresh().await, Ok(ServerNews::NewKeys { .. })));
    let report = run.await.expect("it ends");
    assert_eq!((report.outcome, report.summary.fetched), (WHOLE, 4_000));
    assert_eq!(client.refresh().await, Ok(ServerNews::NothingNew));
}

#[tokio::test]
async fn a_locked_older_version_does_not_delay_the_current_one() {
    let homeserver = homeserver(3_000, 3);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.fetched), (needs_unlock(&["1"]), 3_000));
    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    unlock_version(&client, &homeserver, "2").await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.delivered),
        (needs_unlock(&["1"]), 3_000)
    );
    assert_all_once(&setup.delivered(), &homeserver);
    // After a restart, too, nothing comes twice and nothing waits.
    client.shutdown();
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.decrypted), (needs_unlock(&["1"]), 0));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_version_with_the_key_of_an_older_one_needs_no_unlock() {
    let homeserver = homeserver(600, 3);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    client.shutdown();
    homeserver.set_version_state(VersionAction::NewWithKeys);
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    let summary = report.summary;
    assert_eq!(
        (
            summary.version.as_deref(),
            summary.opened,
            summary.delivered,
            summary.conflicts
        ),
        (Some("2"), 600, 600, 0)
    );
    assert_vault_complete(&client, &homeserver).await;
}

/// Never lets the answer with all keys of version 1 come to its end.
struct Stubborn {
    /// Whether the answer falls silent after its first chunk, instead of failing.
    silent: bool,
    /// Whether not even a first chunk comes.
    mute: bool,
}

#[async_trait]
impl Hooks for Stubborn {
    async fn chunk(
        &self,
        request: &HttpRequest,
        number: usize,
        answer: &dyn HttpExchange,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let is_hit = request.url.ends_with("/keys?version=1");
        if !is_hit || (number == 0 && !self.mute) {
            return answer.next_chunk().await;
        }
        if self.silent {
            return std::future::pending().await;
        }
        Err(TransportError::Interrupted)
    }
}

#[tokio::test]
async fn an_unreachable_older_version_does_not_delay_the_current_one() {
    for (silent, mute) in [(false, false), (true, false), (true, true)] {
        let homeserver = start(Config {
            keys: 2_000,
            rooms: 8,
            left_rooms: 2,
            ..Config::default()
        });
        let setup = Setup::new(&homeserver);
        let stubborn = HookedTransport::new(Stubborn { silent, mute });
        let client = setup.open_over(setup.options(), Arc::new(stubborn)).await;
        let client = client.expect("it opens");
        client.unlock(setup.recovery_key()).await.expect("it fits");
        let download = client.download();
        let budget = RunBudget {
            max_duration: silent.then_some(Milliseconds(700)),
        };
        let first = download.run(budget).await.outcome;
        assert_ne!(first, WHOLE);
        homeserver.set_version_state(VersionAction::NewWithKeys);
        let mut states = Vec::new();
        for _ in 0..10 {
            // The version that does not come is reported.
            assert_ne!(download.run(budget).await.outcome, WHOLE);
            let versions = download.status().await.expect("a status").versions;
            states = versions.iter().map(|version| version.state).collect();
            if states.last() == Some(&VersionState::Complete) {
                break;
            }
        }
        assert_eq!(
            states,
            [VersionState::Draining, VersionState::Complete],
            "silent: {silent}, mute: {mute}"
        );
        assert_vault_complete(&client, &homeserver).await;
    }
}
