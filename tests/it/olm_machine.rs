//! The ready-made sink, and our decryption compared with that of matrix-sdk-crypto.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, StreamExt};
use keyferry::{OlmMachineSink, RoomKeyLookup, RoomKeySink, RunBudget, SinkAnswer};
use keyferry_test_homeserver::Config;
use matrix_sdk_crypto::{
    OlmMachine,
    backups::DecryptionError,
    olm::{BackedUpRoomKey, ExportedRoomKey, SenderData},
    store::{DynCryptoStore, IntoCryptoStore, types::BackupDecryptionKey},
};
use matrix_sdk_sqlite::SqliteCryptoStore;
use ruma::{api::client::backup::EncryptedSessionData, device_id, room_id, user_id};

use crate::support::{
    Setup, WHOLE, homeserver,
    sessions::{Claims, Origin, Original, machines, save, stored},
    sinks::{Kind, with_each_sink},
    start,
};

with_each_sink! {
    a_machine_gets_every_key_with_its_flag
    a_stored_session_takes_only_improvements_from_the_backup
    a_stored_session_is_not_replaced_by_an_unconnected_one
    a_wrong_key_under_a_session_id_is_replaced_by_the_true_one
    a_stored_session_keeps_its_room_if_the_backup_names_another
    the_sink_follows_its_source_to_another_machine
    two_copies_in_one_batch_are_merged_into_the_better
    the_sink_sees_sessions_imported_meanwhile_and_another_machine
}

async fn a_machine_gets_every_key_with_its_flag(kind: Kind) {
    let homeserver = homeserver(1_200, 6);
    let setup = Setup::new(&homeserver);
    let machine = OlmMachine::new(user_id!("@alice:localhost"), device_id!("DEVICE")).await;
    let client = setup
        .open_with_sink(kind.of(OlmMachineSink::new(machine.clone())).by_session_id())
        .await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.delivered, report.summary.refused),
        (WHOLE, 1_200, 0)
    );

    let exported = machine.store().export_room_keys(|_| true).await.expect("an export");
    let exported: HashMap<_, _> = exported
        .into_iter()
        .map(|key| ((key.room_id.to_string(), key.session_id.clone()), key))
        .collect();
    assert_eq!(exported.len(), 1_200);
    for index in 0..homeserver.truth().len() {
        let truth = homeserver.truth().key(index);
        let key = &exported[&(truth.room_id, truth.session_id)];
        assert_eq!(key.session_key.to_base64(), truth.session_key);
        assert_eq!(key.sender_key.to_base64(), truth.sender_key);
        assert_eq!(key.shared_history, truth.shared_history);
    }
}

#[tokio::test]
async fn our_decryption_and_theirs_give_the_same_keys() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = u64::from(seed.expect("a clock").subsec_nanos());
    #[allow(clippy::print_stdout, reason = "the seed repeats a failure")]
    {
        println!("sessions of seed {seed}");
    }
    let homeserver = start(Config {
        seed,
        keys: 10_000,
        rooms: 3,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let key = BackupDecryptionKey::from_base64(&setup.account.backup_decryption_key_base64).expect("a key");

    let url = format!(
        "{}/_matrix/client/v3/room_keys/keys?version={}",
        homeserver.url(),
        setup.account.backup_version
    );
    let body = reqwest::Client::new()
        .get(url)
        .bearer_auth(&setup.account.access_token)
        .send()
        .await;
    let body: serde_json::Value =
        serde_json::from_slice(&body.expect("an answer").bytes().await.expect("a body")).expect("JSON");
    let (mut compared, mut flags) = (0, 0);
    for (room_id, room) in body["rooms"].as_object().expect("rooms") {
        for (session_id, entry) in room["sessions"].as_object().expect("sessions") {
            let session_data: EncryptedSessionData =
                serde_json::from_value(entry["session_data"].clone()).expect("session data");
            let theirs: Result<BackedUpRoomKey, DecryptionError> = key.decrypt_session_data(session_data);
            let theirs = theirs.expect("a key");
            let ours = client
                .find_room_key(room_id.clone(), session_id.clone())
                .await
                .expect("a look-up");
            let RoomKeyLookup::Found { key: ours, .. } = ours else {
                panic!("{ours:?}")
            };
            assert_eq!(ours.session_key.expose(), theirs.session_key.to_base64());
            assert_eq!(ours.sender_key, theirs.sender_key.to_base64());
            assert_eq!(ours.algorithm, theirs.algorithm.as_str());
            let claimed: HashMap<_, _> = theirs
                .sender_claimed_keys
                .iter()
                .map(|(algorithm, key)| (algorithm.to_string(), key.to_base64()))
                .collect();
            assert_eq!(ours.sender_claimed_keys, claimed);
            let chain: Vec<_> = theirs
                .forwarding_curve25519_key_chain
                .iter()
                .map(|key| key.to_base64())
                .collect();
            assert_eq!(ours.forwarding_curve25519_key_chain, chain);
            // matrix-sdk-crypto does not know the specification's name of the flag.
            assert!(ours.shared_history || !theirs.shared_history);
            flags += u64::from(theirs.shared_history);
            compared += 1;
        }
    }
    assert_eq!(compared, 10_000);
    assert!(flags > 1_000);
}

async fn a_stored_session_takes_only_improvements_from_the_backup(kind: Kind) {
    use Claims::{AnotherSender as Other, AsTheStore as Same, Nothing};
    use Origin::{Bundle, DirectOfDevice, DirectOfUnknown, DirectOfVerified, Imported};
    const NEW: SinkAnswer = SinkAnswer::Imported;
    const KNOWN: SinkAnswer = SinkAnswer::Known;
    // The store's copy (origin, index, flag), the backup's (index, flag, claims), the result (answer, index, flag).
    let table = [
        (Imported, 5, true, 0, false, Same, NEW, 0, true),
        (Imported, 5, true, 0, false, Nothing, NEW, 0, true),
        (Imported, 5, false, 0, false, Other, NEW, 0, false),
        (Imported, 5, false, 0, true, Same, NEW, 0, true),
        (Imported, 0, false, 0, true, Same, NEW, 0, true),
        (Imported, 0, false, 5, true, Nothing, NEW, 0, true),
        (Imported, 0, true, 0, false, Nothing, KNOWN, 0, true),
        (Imported, 0, false, 5, false, Same, KNOWN, 0, false),
        (Bundle, 5, true, 0, false, Nothing, NEW, 0, true),
        (Bundle, 5, true, 0, true, Same, NEW, 0, true),
        (DirectOfUnknown, 5, false, 0, true, Same, NEW, 0, false),
        (DirectOfUnknown, 5, true, 0, false, Nothing, NEW, 0, true),
        (DirectOfUnknown, 5, true, 0, false, Other, NEW, 0, true),
        (DirectOfUnknown, 0, false, 0, true, Same, KNOWN, 0, false),
        (DirectOfDevice, 5, true, 0, false, Nothing, NEW, 0, true),
        (DirectOfDevice, 5, false, 0, true, Same, NEW, 0, false),
        (DirectOfDevice, 0, true, 5, false, Same, KNOWN, 0, true),
        (DirectOfVerified, 5, false, 0, true, Other, NEW, 0, false),
        (DirectOfVerified, 5, true, 0, true, Same, NEW, 0, true),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    for machine in machines(directory.path()).await {
        for (origin, index, flag, theirs, their_flag, claims, answer, then_index, then_flag) in table.clone() {
            let original = Original::new();
            let local = original.local(origin, index, flag).await;
            local.mark_as_backed_up();
            save(&machine, local.clone()).await;
            let key = original.backed_up(theirs, their_flag, claims).await;
            let row = format!("{origin:?} {index} {flag}, {theirs} {their_flag} {claims:?}");
            // Delivered twice, as after a crash: the second time by another process, which knows of no delivery.
            let was_better = answer.clone();
            for answer in [answer, KNOWN] {
                let sink = kind.of(OlmMachineSink::new(machine.clone()));
                assert_eq!(sink.deliver(vec![key.clone()]).await, Ok(vec![answer]), "{row}");
                let then = stored(&machine, local.session_id()).await;
                let found = (then.first_known_index(), then.shared_history());
                assert_eq!(found, (then_index, then_flag), "{row}");
                assert_eq!(then.has_been_imported(), local.has_been_imported(), "{row}");
                assert_eq!(
                    serde_json::to_value(&then.sender_data).ok(),
                    serde_json::to_value(&local.sender_data).ok(),
                    "{row}"
                );
                assert_eq!(then.forwarder_data.is_some(), origin == Bundle, "{row}");
                assert_eq!(then.sender_key(), local.sender_key(), "{row}");
                assert_eq!(then.signing_keys(), local.signing_keys(), "{row}");
                // A merged session is better than the backup's copy, so it must be uploaded.
                assert_eq!(then.backed_up(), was_better == KNOWN, "{row}");
            }
        }
    }
}

async fn a_stored_session_is_not_replaced_by_an_unconnected_one(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    for machine in machines(directory.path()).await {
        for (origin, local_is_direct) in [
            (Origin::DirectOfUnknown, true),
            (Origin::DirectOfVerified, true),
            (Origin::Imported, false),
            (Origin::Bundle, false),
        ] {
            let original = Original::new();
            let local = original.local(origin, 5, true).await;
            save(&machine, local.clone()).await;
            let key = original.with_another_ratchet().await;
            let answers = kind.of(OlmMachineSink::new(machine.clone())).deliver(vec![key]).await;
            let answer = SinkAnswer::Unconnected { local_is_direct };
            assert_eq!(answers, Ok(vec![answer]), "{origin:?}");
            let then = stored(&machine, local.session_id()).await;
            assert_eq!(
                (then.first_known_index(), then.has_been_imported()),
                (5, !local_is_direct),
                "{origin:?}"
            );
        }
    }
}

async fn a_wrong_key_under_a_session_id_is_replaced_by_the_true_one(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let [machine, _] = machines(directory.path()).await;
    let (original, other) = (Original::new(), Original::new());
    let key = original.backed_up(0, true, Claims::AsTheStore).await;
    // As matrix-sdk-crypto imports it from a backup: it believes the session id.
    let mut wrong = other.local(Origin::Imported, 5, false).await.export().await;
    wrong.session_id = key.session_id.clone();
    let imported = machine.store().import_room_keys(vec![wrong], None, |_, _| {}).await;
    assert_eq!(imported.expect("it is imported").imported_count, 1);
    for answer in [SinkAnswer::Imported, SinkAnswer::Known] {
        let sink = kind.of(OlmMachineSink::new(machine.clone()));
        assert_eq!(sink.deliver(vec![key.clone()]).await, Ok(vec![answer]));
        let then = stored(&machine, &key.session_id).await;
        assert_eq!(
            (then.session_id(), then.first_known_index()),
            (key.session_id.as_str(), 0)
        );
    }
}

async fn a_stored_session_keeps_its_room_if_the_backup_names_another(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let [machine, _] = machines(directory.path()).await;
    let original = Original::new();
    let local = original.local(Origin::DirectOfDevice, 0, false).await;
    save(&machine, local.clone()).await;
    let mut moved = original.backed_up(0, true, Claims::AsTheStore).await;
    moved.room_id = "!another:localhost".to_owned();
    let sink = kind.of(OlmMachineSink::new(machine.clone()));
    let answers = sink.deliver(vec![moved.clone()]).await.expect("it is taken");
    assert!(matches!(answers[..], [SinkAnswer::Refused { .. }]), "{answers:?}");
    assert!(!stored(&machine, local.session_id()).await.has_been_imported());
    // If an import without the sink has moved the session, the sink puts the true one back.
    let exported = ExportedRoomKey {
        room_id: room_id!("!another:localhost").to_owned(),
        ..original.whole(SenderData::unknown(), true).export().await
    };
    let imported = machine.store().import_room_keys(vec![exported], None, |_, _| {}).await;
    assert_eq!(imported.expect("it is imported").imported_count, 1);
    let key = original.backed_up(0, false, Claims::AsTheStore).await;
    let sink = kind.of(OlmMachineSink::new(machine.clone()));
    assert_eq!(sink.deliver(vec![key]).await, Ok(vec![SinkAnswer::Imported]));
    let then = stored(&machine, local.session_id()).await;
    assert_eq!(
        (then.room_id(), then.shared_history()),
        (room_id!("!r:localhost"), false)
    );
}

async fn the_sink_follows_its_source_to_another_machine(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let (user_id, device_id) = (user_id!("@alice:localhost"), device_id!("DEVICE"));
    let store: Arc<DynCryptoStore> = SqliteCryptoStore::open(directory.path(), None)
        .await
        .expect("a store")
        .into_crypto_store();
    let machine = async || {
        let machine = OlmMachine::with_store(user_id, device_id, store.clone(), None).await;
        machine.expect("a machine")
    };
    let (first, second) = (machine().await, machine().await);
    let current = Arc::new(Mutex::new(first.clone()));
    let sink = {
        let current = current.clone();
        kind.of(OlmMachineSink::with_source(move || {
            current.lock().ok().map(|machine| machine.clone())
        }))
    };
    let begun = Original::new().backed_up(0, false, Claims::AsTheStore).await;
    assert_eq!(sink.deliver(vec![begun]).await, Ok(vec![SinkAnswer::Imported]));
    // The first machine still exists, but is told nothing.
    *current.lock().expect("not poisoned") = second.clone();
    let original = Original::new();
    let exported = original.local(Origin::Imported, 5, true).await.export().await;
    let imported = second.store().import_room_keys(vec![exported], None, |_, _| {}).await;
    imported.expect("it is imported");
    let better = original.backed_up(0, false, Claims::Nothing).await;
    assert_eq!(sink.deliver(vec![better.clone()]).await, Ok(vec![SinkAnswer::Imported]));
    let then = stored(&first, &better.session_id).await;
    assert_eq!((then.first_known_index(), then.shared_history()), (0, true));
}

#[tokio::test]
async fn a_session_written_by_another_process_is_found_before_merging() {
    let directory = tempfile::tempdir().expect("a directory");
    let [machine, _] = machines(directory.path()).await;
    let sink = OlmMachineSink::new(machine.clone());
    let begun = Original::new().backed_up(0, false, Claims::AsTheStore).await;
    assert_eq!(sink.deliver(vec![begun]).await, Ok(vec![SinkAnswer::Imported]));
    let original = Original::new();
    // As if another process wrote it.
    save(&machine, original.local(Origin::DirectOfDevice, 5, true).await).await;
    let better = original.backed_up(0, false, Claims::Nothing).await;
    assert_eq!(sink.deliver(vec![better.clone()]).await, Ok(vec![SinkAnswer::Imported]));
    let then = stored(&machine, &better.session_id).await;
    assert_eq!((then.first_known_index(), then.has_been_imported()), (0, false));
}

async fn two_copies_in_one_batch_are_merged_into_the_better(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    for machine in machines(directory.path()).await {
        let sink = kind.of(OlmMachineSink::new(machine.clone()));
        for order in [[0, 5], [5, 0]] {
            let original = Original::new();
            let [one, other] = order.map(|index| {
                original.backed_up(
                    index,
                    index == 5,
                    if index == 5 {
                        Claims::AsTheStore
                    } else {
                        Claims::Nothing
                    },
                )
            });
            let (one, other) = (one.await, other.await);
            let answers = sink
                .deliver(vec![one.clone(), other.clone()])
                .await
                .expect("it is taken");
            assert_eq!(answers, [SinkAnswer::Imported, SinkAnswer::Imported], "{order:?}");
            let then = stored(&machine, &one.session_id).await;
            assert_eq!(
                (then.first_known_index(), then.shared_history()),
                (0, true),
                "{order:?}"
            );
        }
    }
}

async fn the_sink_sees_sessions_imported_meanwhile_and_another_machine(kind: Kind) {
    let (one, other) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    );
    let [first, _] = machines(one.path()).await;
    let [second, _] = machines(other.path()).await;
    let current = Arc::new(Mutex::new(first.clone()));
    let sink = {
        let current = current.clone();
        kind.of(OlmMachineSink::with_source(move || {
            current.lock().ok().map(|machine| machine.clone())
        }))
    };
    for machine in [&first, &second] {
        *current.lock().expect("not poisoned") = machine.clone();
        let begun = Original::new().backed_up(0, false, Claims::AsTheStore).await;
        assert_eq!(sink.deliver(vec![begun]).await, Ok(vec![SinkAnswer::Imported]));
        // The sink has noted the sessions of the store; now another one is imported.
        let original = Original::new();
        let local = original.local(Origin::Imported, 5, true).await;
        let exported = local.export().await;
        let import = machine.store().import_room_keys(vec![exported], None, |_, _| {}).await;
        import.expect("it is imported");
        let better = original.backed_up(0, false, Claims::Nothing).await;
        assert_eq!(sink.deliver(vec![better]).await, Ok(vec![SinkAnswer::Imported]));
        let then = stored(machine, local.session_id()).await;
        assert_eq!((then.first_known_index(), then.shared_history()), (0, true));
    }
}

#[tokio::test]
async fn a_silent_sink_announces_only_what_it_merges() {
    let directory = tempfile::tempdir().expect("a directory");
    for machine in machines(directory.path()).await {
        let original = Original::new();
        let local = original.local(Origin::Imported, 5, true).await;
        save(&machine, local.clone()).await;
        let sink = OlmMachineSink::new(machine.clone()).silent();
        let mut announced = Box::pin(machine.store().room_keys_received_stream());
        let (new, better) = (Original::new(), original.backed_up(0, true, Claims::AsTheStore).await);
        let new = new.backed_up(3, false, Claims::AsTheStore).await;
        let mut odd = Original::new().backed_up(0, false, Claims::AsTheStore).await;
        odd.room_id = "no room".to_owned();
        let answers = sink
            .deliver(vec![new.clone(), better, odd])
            .await
            .expect("they are taken");
        assert_eq!(answers[..2], [SinkAnswer::Imported, SinkAnswer::Imported]);
        assert!(matches!(answers[2], SinkAnswer::Refused { .. }), "{answers:?}");
        let told = announced.next().now_or_never().flatten();
        let told = told.expect("the stream goes on").expect("nothing was missed");
        let told: Vec<_> = told.into_iter().map(|key| key.session_id).collect();
        assert_eq!(told, [local.session_id()]);
        assert!(announced.next().now_or_never().is_none());
        let then = stored(&machine, &new.session_id).await;
        assert_eq!((then.first_known_index(), then.shared_history()), (3, false));
        assert!(then.has_been_imported());
        assert!(!then.backed_up(), "the machine uploads to no backup");
    }
}

#[tokio::test]
async fn a_silent_sink_does_not_replace_a_session_that_arrives_during_a_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let [machine, _] = machines(directory.path()).await;
    let sink = OlmMachineSink::new(machine.clone()).silent();
    let first = Original::new().backed_up(0, false, Claims::AsTheStore).await;
    assert_eq!(sink.deliver(vec![first]).await, Ok(vec![SinkAnswer::Imported]));
    for number in 0..20 {
        let original = Original::new();
        let local = original.local(Origin::Imported, 5, true).await;
        // Announced, as all sessions that the machine itself receives.
        let exported = local.export().await;
        let import = machine.store().import_room_keys(vec![exported], None, |_, _| {}).await;
        import.expect("it is imported");
        let worse = original.backed_up(9, false, Claims::Nothing).await;
        assert_eq!(sink.deliver(vec![worse]).await, Ok(vec![SinkAnswer::Known]), "{number}");
        let then = stored(&machine, local.session_id()).await;
        assert_eq!((then.first_known_index(), then.shared_history()), (5, true));
    }
}
