//! A complete restore through the Rust API.

use keyferry::{ArrivalCursor, DownloadStage, FailureReason, RoomKeyLookup, RunBudget, RunOutcome, UnlockSecret};
use keyferry_test_homeserver::{Config, EndpointKind, Oddity, VersionAction};

use crate::support::{
    Setup, WHOLE, assert_all_once, assert_vault_complete, budget, homeserver, needs_unlock, slow, spawn_run, start,
};

#[tokio::test]
async fn every_key_is_fetched_opened_delivered_and_found() {
    let homeserver = homeserver(3_000, 30);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;

    assert_eq!(report.outcome, WHOLE);
    let summary = &report.summary;
    assert_eq!(
        (summary.total, summary.fetched, summary.opened, summary.delivered),
        (3_000, 3_000, 3_000, 3_000)
    );
    assert_eq!(
        (summary.failed, summary.refused, summary.conflicts, summary.rooms),
        (0, 0, 0, 30)
    );
    assert_all_once(&setup.delivered(), &homeserver);
    assert_vault_complete(&client, &homeserver).await;

    let progress = setup.host.progress.lock().expect("not poisoned").clone();
    let last = progress.last().expect("progress was reported");
    assert_eq!(
        (last.stage, last.fetched, last.delivered),
        (DownloadStage::Resting, 3_000, 3_000)
    );
    for pair in progress.windows(2) {
        assert!(
            pair[0].fetched <= pair[1].fetched && pair[0].opened <= pair[1].opened,
            "counts never decrease"
        );
        assert!(
            pair[1].opened <= pair[1].fetched && pair[1].delivered <= pair[1].opened,
            "no stage is ahead of the one before it"
        );
    }
}

#[tokio::test]
async fn a_second_run_makes_only_one_request_for_changes() {
    let homeserver = homeserver(500, 5);
    let setup = Setup::with_sink(&homeserver);
    assert_eq!(
        setup
            .open_unlocked()
            .await
            .download()
            .run(RunBudget::default())
            .await
            .outcome,
        WHOLE
    );

    homeserver.reset_requests();
    // Another client, as after a restart: it needs nothing from the user.
    let client = setup.open().await;
    assert!(client.download().status().await.expect("a status").unlocked);
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_eq!(homeserver.requests().of(EndpointKind::CurrentVersion), 1);
    assert_eq!(homeserver.requests().total(), 1);
    assert_eq!(setup.delivered().len(), 500);
}

#[tokio::test]
async fn fetching_needs_no_key_and_an_unlock_opens_the_rest() {
    let homeserver = homeserver(1_500, 4);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, needs_unlock(&["1"]));
    assert_eq!((report.summary.fetched, report.summary.opened), (1_500, 0));

    homeserver.reset_requests();
    client
        .unlock(setup.recovery_key())
        .await
        .expect("the recovery key fits");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    assert_eq!((report.summary.opened, report.summary.delivered), (1_500, 1_500));
    assert_eq!(
        homeserver.requests().of(EndpointKind::AllKeys),
        0,
        "nothing is fetched twice"
    );
}

#[tokio::test]
async fn a_run_uses_a_key_that_is_unlocked_during_it() {
    let homeserver = slow(4_000, 4, 1_500_000);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open().await;
    let run = spawn_run(&client);
    while client.download().status().await.expect("a status").summary.fetched == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    client
        .unlock(setup.recovery_key())
        .await
        .expect("the recovery key fits");
    let report = run.await.expect("the run ends");
    assert_eq!(report.outcome, WHOLE);
    assert_eq!(report.summary.delivered, 4_000);
}

#[tokio::test]
async fn rooms_are_fetched_in_the_hosts_order_and_left_rooms_too() {
    let homeserver = start(Config {
        keys: 4_000,
        rooms: 20,
        left_rooms: 3,
        ..Config::default()
    });
    let setup = Setup::with_sink(&homeserver);
    let wanted = [homeserver.truth().room_id(11), homeserver.truth().room_id(4)];
    *setup.host.rooms.lock().expect("not poisoned") = wanted.to_vec();
    let client = setup.open_unlocked().await;
    // The budget is too short for one request for all keys: the run goes room by room, and ends with a request for the
    // rooms that no list names.
    let report = client.download().run(budget(3_000)).await;
    assert_eq!(report.outcome, WHOLE);
    let requests = homeserver.requests();
    assert_eq!(
        (requests.of(EndpointKind::RoomKeys), requests.of(EndpointKind::AllKeys)),
        (17, 1)
    );
    let delivered = setup.delivered();
    assert!(delivered[..100].iter().all(|key| wanted.contains(&key.room_id)));
    assert_all_once(&delivered, &homeserver);
}

#[tokio::test]
async fn an_odd_entry_fails_only_itself() {
    let homeserver = start(Config {
        keys: 12_000,
        rooms: 7,
        odd_entries: true,
        ..Config::default()
    });
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    assert_all_once(&setup.delivered(), &homeserver);

    let mut expected = 0;
    for index in 0..homeserver.truth().len() {
        let truth = homeserver.truth().key(index);
        if truth.usable {
            continue;
        }
        expected += 1;
        let reason = match homeserver.truth().oddity(index) {
            Some(Oddity::Undecryptable) => FailureReason::Undecryptable,
            Some(Oddity::ForeignSessionId) => FailureReason::SessionIdMismatch,
            _ => FailureReason::Malformed,
        };
        let page = client.download().failures(reason, None, 10_000).await.expect("a page");
        assert!(
            page.entries
                .iter()
                .any(|entry| entry.session_id == truth.session_id && entry.room_id == truth.room_id)
        );
    }
    assert_eq!(report.summary.failed, expected);
    assert_eq!(
        report.summary.failures.iter().map(|failure| failure.count).sum::<u64>(),
        expected
    );
}

#[tokio::test]
async fn each_arrived_session_is_listed_once_page_by_page() {
    let homeserver = homeserver(2_500, 6);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let mut cursor = ArrivalCursor::default();
    let mut sessions = std::collections::HashSet::new();
    loop {
        let page = client.download().arrived_since(cursor, 700).await.expect("a page");
        for room in page.arrived {
            for session in room.session_ids {
                assert!(sessions.insert((room.room_id.clone(), session)), "none comes twice");
            }
        }
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(sessions.len(), 2_500);
    assert!(
        client
            .download()
            .arrived_since(cursor, 10)
            .await
            .expect("a page")
            .arrived
            .is_empty()
    );
    assert!(*setup.host.arrived.lock().expect("not poisoned") > 0);
}

#[tokio::test]
async fn the_keys_of_a_room_are_read_page_by_page() {
    let homeserver = start(Config {
        room_sizes: vec![10, 250, 3],
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let (mut after, mut keys) = (None, Vec::new());
    loop {
        let page = client
            .room_keys(homeserver.truth().room_id(1), after, 100)
            .await
            .expect("a page");
        keys.extend(page.keys);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut sessions: Vec<_> = keys.into_iter().map(|key| key.session_id).collect();
    sessions.sort();
    let mut truth: Vec<_> = homeserver
        .truth()
        .room_range(1)
        .map(|index| homeserver.truth().key(index).session_id)
        .collect();
    truth.sort();
    assert_eq!(sessions, truth);
    let nothing = client
        .find_room_key("!other:room".to_owned(), sessions[0].clone())
        .await;
    assert_eq!(nothing, Ok(RoomKeyLookup::NotFound));
}

#[tokio::test]
async fn a_new_crypto_store_gets_everything_again() {
    let homeserver = homeserver(300, 3);
    let mut setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    client
        .download()
        .crypto_store_was_replaced()
        .await
        .expect("the vault can be written");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.delivered, report.summary.opened),
        (WHOLE, 300, 300)
    );
    assert_eq!(setup.delivered().len(), 600);
    // Another device has another crypto store.
    setup.account.device_id = "ANOTHER".to_owned();
    let report = setup.open().await.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.delivered), (WHOLE, 300));
    assert_eq!(setup.delivered().len(), 900);
}

#[tokio::test]
async fn a_run_survives_a_sink_that_refuses_a_key_or_fails() {
    let homeserver = homeserver(2_500, 3);
    let setup = Setup::with_sink(&homeserver);
    let sink = setup.sink.clone().expect("a sink");
    let refused = homeserver.truth().key(77);
    *sink.refuses.lock().expect("not poisoned") = Some(refused.session_id.clone());
    *sink.fails_after.lock().expect("not poisoned") = Some(1);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;
    assert!(
        matches!(report.outcome, RunOutcome::Blocked { .. }),
        "{:?}",
        report.outcome
    );
    assert_eq!(report.summary.opened, 2_500, "opening goes on without the sink");

    *sink.fails_after.lock().expect("not poisoned") = None;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    assert_eq!((report.summary.delivered, report.summary.refused), (2_499, 1));
    assert_all_once(&setup.delivered(), &homeserver);
    let refusals = client.download().refusals(None, 10).await.expect("a page");
    assert_eq!(refusals.entries.len(), 1);
    assert_eq!(refusals.entries[0].entry.session_id, refused.session_id);
    assert_eq!(refusals.entries[0].reason, "not this one");
}

#[tokio::test]
async fn a_new_version_with_the_same_key_is_fetched() {
    let homeserver = homeserver(400, 4);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    homeserver.set_version_state(VersionAction::NewWithKeys);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    assert_ne!(report.summary.version, Some(setup.account.backup_version.clone()));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn without_a_vault_key_a_restart_needs_the_recovery_key() {
    let homeserver = homeserver(200, 2);
    let setup = Setup::new(&homeserver);
    let options = || keyferry::ClientOptions {
        protection: keyferry::VaultProtection::NoProtection,
        ..setup.options()
    };
    let client = setup.open_with(options()).await.expect("the client opens");
    let unlocked = client
        .unlock(UnlockSecret::DecryptionKey {
            base64: setup.account.backup_decryption_key_base64.as_str().into(),
        })
        .await
        .expect("the key fits");
    assert!(unlocked.restart_needs_recovery_key);
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_vault_complete(&client, &homeserver).await;
    let again = setup.open_with(options()).await.expect("the client opens");
    let status = again.download().status().await.expect("a status");
    assert!(status.restart_needs_recovery_key && !status.unlocked);
    let truth = homeserver.truth().key(0);
    let found = again.find_room_key(truth.room_id, truth.session_id).await;
    assert_eq!(found, Err(keyferry::AccessError::Locked));
}

#[tokio::test]
async fn keys_that_were_opened_and_not_delivered_need_the_recovery_key_after_a_restart_without_a_vault_key() {
    let homeserver = homeserver(200, 2);
    let (without_sink, with_sink) = (Setup::new(&homeserver), Setup::with_sink(&homeserver));
    let options = || keyferry::ClientOptions {
        protection: keyferry::VaultProtection::NoProtection,
        ..without_sink.options()
    };
    let client = without_sink.open_with(options()).await.expect("the client opens");
    client.unlock(without_sink.recovery_key()).await.expect("it fits");
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    client.shutdown();

    let again = with_sink.open_with(options()).await.expect("the client opens");
    let report = again.download().run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.every_key_is_here),
        (needs_unlock(&["1"]), false)
    );
    assert_eq!(report.summary.locked, 200);
    again.unlock(with_sink.recovery_key()).await.expect("it fits");
    assert_eq!(again.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_all_once(&with_sink.delivered(), &homeserver);
}
