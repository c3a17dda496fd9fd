//! A key that is replaced in the backup by a better copy, or by one that only claims to be better.

use std::{fs::File, sync::Arc};

use keyferry::{
    DownloadPolicy, FailureCount, FailureReason, KeyBackupClient, OlmMachineSink, RoomKeyLookup, RunReport, ServerNews,
};
use keyferry_test_homeserver::{EndpointKind, Fault, Homeserver, TrueKey};
use matrix_sdk_crypto::{
    decrypt_room_key_export,
    vodozemac::{Ed25519PublicKey, base64_decode, base64_encode},
};
use serde_json::{Value, json};

use crate::support::{
    Setup, assert_true,
    backup_entry::{from_index, plaintext, public_key, room, rooms, seal, version_info},
    homeserver, run_to_completion,
    sessions::machines,
    status,
};

/// A server with two keys of one room, and a client that names that room first.
struct Scene {
    homeserver: Homeserver,
    setup: Setup,
    /// The key that is replaced, from its first message onwards.
    key: TrueKey,
    other: TrueKey,
}

impl Scene {
    fn new(with_sink: bool) -> Self {
        let homeserver = homeserver(40, 1);
        let mut keys = (0..40).map(|index| homeserver.truth().key(index));
        let mut key = || {
            keys.find(|key| key.usable && key.first_known_index < 100)
                .expect("a key")
        };
        let (key, other) = (key(), key());
        let setup = match with_sink {
            true => Setup::with_sink(&homeserver),
            false => Setup::new(&homeserver),
        };
        setup.host.rooms.lock().expect("not poisoned").push(key.room_id.clone());
        Self {
            homeserver,
            setup,
            key,
            other,
        }
    }

    fn entry(&self, key: &TrueKey) -> Value {
        seal(&plaintext(key), key.first_known_index, public_key(&self.setup.account))
    }

    /// Returns the backup's version with this etag and count.
    fn version(&self, etag: &str, count: u64) -> Value {
        let account = &self.setup.account;
        let auth_data = json!({ "public_key": public_key(account).to_base64() });
        version_info(&account.backup_version, etag, count, auth_data)
    }

    /// Makes the server serve this entry of the key from now on.
    fn serve(&self, etag: &str, entry: &Value) {
        self.serve_after(etag, entry, Vec::new());
    }

    /// Makes the server serve this entry of the key, except where one of these faults hits first.
    fn serve_after(&self, etag: &str, entry: &Value, mut faults: Vec<Fault>) {
        let sessions = json!({
            self.key.session_id.as_str(): entry,
            self.other.session_id.as_str(): self.entry(&self.other),
        });
        let room = json!({ "sessions": sessions });
        let version = self.version(etag, 2);
        let answers = [
            (EndpointKind::CurrentVersion, version.clone()),
            (EndpointKind::Version, version),
            (
                EndpointKind::AllKeys,
                json!({ "rooms": { self.key.room_id.as_str(): room } }),
            ),
            (EndpointKind::RoomKeys, room),
            (EndpointKind::SessionKey, entry.clone()),
        ];
        faults.extend(answers.map(|(endpoint, body)| Fault::from(status(200, body)).on(endpoint)));
        self.homeserver.set_faults(faults);
        self.homeserver.reset_requests();
    }

    async fn client(&self) -> Arc<KeyBackupClient> {
        self.setup.open_unlocked().await
    }

    async fn find(&self, client: &KeyBackupClient) -> RoomKeyLookup {
        let found = client.find_room_key(self.key.room_id.clone(), self.key.session_id.clone());
        found.await.expect("a look-up")
    }

    async fn fetch(&self, client: &KeyBackupClient, better_than: Option<u32>) -> RoomKeyLookup {
        let (room_id, session_id) = (self.key.room_id.clone(), self.key.session_id.clone());
        let found = client.fetch_session(room_id, session_id, better_than).await;
        found.expect("an answer")
    }

    /// Returns the first indexes with which the key was delivered, in order.
    fn delivered(&self) -> Vec<u32> {
        let keys = self.setup.delivered();
        let copies = keys.iter().filter(|key| key.session_id == self.key.session_id);
        copies.map(|key| key.first_known_index).collect()
    }

    async fn assert_found(&self, client: &KeyBackupClient, key: &TrueKey) {
        assert_is(self.find(client).await, key);
    }
}

fn assert_is(found: RoomKeyLookup, truth: &TrueKey) {
    let truth = TrueKey {
        shared_history: false,
        ..truth.clone()
    };
    match found {
        RoomKeyLookup::Found { key, .. } => assert_true(&key, &truth),
        other => panic!("{other:?}"),
    }
}

async fn run(client: &KeyBackupClient) -> RunReport {
    let report = run_to_completion(client).await;
    assert!(report.summary.fetched <= report.summary.total, "{report:?}");
    report
}

/// Returns how many keys were fetched, opened and failed.
fn counts(report: &RunReport) -> (u64, u64, u64) {
    let failed = report
        .summary
        .failures
        .iter()
        .map(|FailureCount { count, .. }| count)
        .sum();
    (report.summary.fetched, report.summary.opened, failed)
}

#[tokio::test]
async fn a_copy_from_an_earlier_message_is_taken() {
    let scene = Scene::new(true);
    let client = scene.client().await;
    let late = from_index(&scene.key, 100);
    scene.serve("1", &scene.entry(&late));
    assert_eq!(counts(&run(&client).await), (2, 2, 0));
    scene.assert_found(&client, &late).await;

    scene.serve("2", &scene.entry(&scene.key));
    assert_eq!(client.refresh().await, Ok(ServerNews::NewKeys { count: 0 }));
    // The same key as before, from an earlier message.
    assert_eq!(counts(&run(&client).await), (2, 2, 0));
    assert_eq!(scene.homeserver.requests().of(EndpointKind::AllKeys), 0);
    scene.assert_found(&client, &scene.key).await;
    let counted = client.room_history_shareability(scene.key.room_id.clone()).await;
    let counted = counted.expect("they are counted");
    assert_eq!((counted.not_shareable, counted.not_fetched_at_most), (2, Some(0)));

    // The export contains the better of the two copies.
    let path = scene.setup.directory.path().join("keys.txt");
    let summary = client.export_room_keys("p".into(), path.display().to_string()).await;
    assert_eq!(summary.expect("an export").exported, 2);
    let exported = decrypt_room_key_export(File::open(&path).expect("a file"), "p").expect("a sound export");
    let exported = exported.iter().find(|key| key.session_id == scene.key.session_id);
    assert_eq!(
        exported.expect("it is there").session_key.to_base64(),
        scene.key.session_key
    );

    // The same copy again changes nothing.
    scene.serve("3", &scene.entry(&scene.key));
    assert_eq!(counts(&run(&client).await), (2, 2, 0));
    assert_eq!(scene.delivered(), [100, scene.key.first_known_index]);
}

#[tokio::test]
async fn a_sound_copy_replaces_one_that_failed() {
    for odd in [json!("nothing"), json!({ "session_data": {} })] {
        let scene = Scene::new(false);
        let client = scene.client().await;
        scene.serve("1", &odd);
        assert_eq!(counts(&run(&client).await), (2, 1, 1));
        // The same entry again changes nothing.
        scene.serve("2", &odd);
        assert_eq!(counts(&run(&client).await), (2, 1, 1));
        scene.serve("3", &scene.entry(&scene.key));
        assert_eq!(counts(&run(&client).await), (2, 2, 0));
        scene.assert_found(&client, &scene.key).await;
    }
}

#[tokio::test]
async fn a_better_copy_arrives_after_a_temporary_failure() {
    let scene = Scene::new(false);
    let client = scene.client().await;
    scene.serve("1", &scene.entry(&from_index(&scene.key, 100)));
    run(&client).await;
    let once = Fault {
        times: Some(1),
        ..Fault::from(status(502, Value::Null)).on(EndpointKind::RoomKeys)
    };
    scene.serve_after("2", &scene.entry(&scene.key), vec![once]);
    run(&client).await;
    scene.assert_found(&client, &scene.key).await;
}

#[tokio::test]
async fn repeats_within_one_answer_replace_nothing() {
    let scene = Scene::new(false);
    let client = scene.client().await;
    scene.serve("1", &json!({ "failed": 0 }));
    run(&client).await;
    // The same sessions over and over, more than fit in a transaction: entries that fail meanwhile are not replaced
    // again.
    let one = |round: u32| {
        let entries: Vec<_> = (0..500)
            .map(|n| (format!("s{n}"), format!("{{\"round\":{round}}}")))
            .collect();
        room("!a:x", &entries)
    };
    let rounds: Vec<_> = (0..100).map(one).collect();
    let version = scene.version("2", 502);
    let faults = vec![
        Fault::from(status(200, rooms(&rounds))).on(EndpointKind::AllKeys),
        Fault::from(status(200, version.clone())).on(EndpointKind::CurrentVersion),
        Fault::from(status(200, version)).on(EndpointKind::Version),
    ];
    scene.serve_after("2", &json!({ "failed": 1 }), faults);
    for _ in 0..2 {
        let report = run(&client).await;
        assert_eq!(counts(&report), (502, 1, 501));
    }
}

#[tokio::test]
async fn a_copy_that_only_claims_to_be_better_replaces_nothing() {
    let scene = Scene::new(false);
    let client = scene.client().await;
    let late = from_index(&scene.key, 100);
    scene.serve("1", &scene.entry(&late));
    run(&client).await;
    for round in 2..50 {
        // Each one is encrypted again, so it differs from the one before.
        let liar = match round % 3 {
            0 => json!({ "first_message_index": 0, "round": round }),
            1 => seal(&plaintext(&late), 0, public_key(&scene.setup.account)),
            _ => seal(&plaintext(&scene.other), 0, public_key(&scene.setup.account)),
        };
        scene.serve(&round.to_string(), &liar);
        run(&client).await;
        scene.assert_found(&client, &late).await;
        assert_is(scene.fetch(&client, None).await, &late);
    }
    let report = run(&client).await;
    let (fetched, opened, failed) = counts(&report);
    assert_eq!((fetched, opened, failed), (2, 2, 0), "{report:?}");
}

#[tokio::test]
async fn a_message_older_than_the_key_requests_a_better_copy() {
    let scene = Scene::new(false);
    let client = scene.client().await;
    let late = from_index(&scene.key, 100);
    scene.serve("1", &scene.entry(&late));
    run(&client).await;
    scene.homeserver.reset_requests();
    assert_is(scene.fetch(&client, None).await, &late);
    assert_is(scene.fetch(&client, Some(101)).await, &late);
    assert_eq!(scene.homeserver.requests().total(), 0);
    // The server has no better copy. The client remembers this for the message.
    for _ in 0..3 {
        assert_eq!(scene.fetch(&client, Some(100)).await, RoomKeyLookup::NotFound);
    }
    assert_eq!(scene.homeserver.requests().of(EndpointKind::SessionKey), 1);
    scene.serve("2", &scene.entry(&scene.key));
    assert_eq!(client.refresh().await, Ok(ServerNews::NewKeys { count: 0 }));
    assert_is(scene.fetch(&client, Some(100)).await, &scene.key);
    // The better copy is kept.
    scene.homeserver.reset_requests();
    scene.assert_found(&client, &scene.key).await;
    assert_is(scene.fetch(&client, Some(100)).await, &scene.key);
    assert_eq!(scene.homeserver.requests().total(), 0);
}

/// Either keyferry checks the key before the sink gets it, or the sink does.
#[tokio::test]
async fn a_key_that_no_crypto_library_reads_counts_as_failed() {
    let directory = tempfile::tempdir().expect("a directory");
    let [machine, _] = machines(directory.path()).await;
    for sink in [
        None,
        Some(OlmMachineSink::new(machine.clone())),
        Some(OlmMachineSink::new(machine).silent()),
    ] {
        let mut scene = Scene::new(true);
        let id = (0..=u8::MAX)
            .map(|byte| [byte; 32])
            .find(|id| Ed25519PublicKey::from_slice(id).is_err())
            .expect("bytes that are no point of the curve");
        let mut session = base64_decode(&scene.key.session_key).expect("base64");
        let end = session.len() - id.len();
        session[end..].copy_from_slice(&id);
        scene.key.session_id = base64_encode(id);
        scene.key.session_key = base64_encode(session);
        scene.serve("2", &scene.entry(&scene.key));
        let client = match sink {
            None => scene.client().await,
            Some(sink) => scene.setup.open_with_sink(sink).await,
        };
        let report = run(&client).await;
        let failure = FailureCount {
            reason: FailureReason::InvalidSessionKey,
            count: 1,
        };
        assert_eq!(report.summary.failures, [failure]);
        assert_eq!((report.summary.opened, report.summary.delivered), (1, 1));
    }
}

#[tokio::test]
async fn fetching_a_session_again_repairs_a_failed_entry() {
    let scene = Scene::new(false);
    let client = scene.client().await;
    scene.serve("1", &json!({ "session_data": 5 }));
    run(&client).await;
    let unusable = RoomKeyLookup::Unusable {
        reason: FailureReason::Malformed,
    };
    assert_eq!(scene.fetch(&client, None).await, unusable);
    scene.serve("1", &scene.entry(&scene.key));
    assert_is(scene.fetch(&client, None).await, &scene.key);
    scene.assert_found(&client, &scene.key).await;
    assert_eq!(counts(&run(&client).await), (2, 2, 0));
}

#[tokio::test]
async fn a_trimmed_copy_is_replaced_too() {
    let scene = Scene::new(true);
    let mut options = scene.setup.options();
    options.download = Some(DownloadPolicy {
        trim_delivered: true,
        ..DownloadPolicy::default()
    });
    let client = scene.setup.open_with(options).await.expect("it opens");
    client.unlock(scene.setup.recovery_key()).await.expect("it fits");
    let late = from_index(&scene.key, 100);
    scene.serve("1", &scene.entry(&late));
    run(&client).await;
    assert_eq!(scene.find(&client).await, RoomKeyLookup::Trimmed);
    scene.serve("2", &scene.entry(&late));
    run(&client).await;
    scene.serve("3", &scene.entry(&scene.key));
    run(&client).await;
    assert_eq!(scene.delivered(), [100, scene.key.first_known_index]);
}
