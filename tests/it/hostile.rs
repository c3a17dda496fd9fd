//! A homeserver that is broken or malicious: every answer is bounded, spoils nothing but itself, and has a named
//! outcome.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use keyferry::{
    ClientOptions, ConflictCause, DownloadPolicy, FailureCount, FailureReason, HttpExchange, HttpHead, HttpRequest,
    HttpTransport, OnDemandError, PauseCause, PreferenceWrite, ReqwestTransport, RoomKeyLookup, RunBudget, RunFailure,
    RunOutcome, RunReport, TransportError, UnlockSecret, VersionState,
};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver, VersionAction};
use serde_json::{Value, json};

use crate::common::{COUNTED, Setup, WHOLE, assert_true, assert_vault_complete, homeserver, locked, start};

/// Does a run in which the server answers the request for all keys with this body.
async fn run_with(homeserver: &Homeserver, setup: &Setup, body: String) -> RunReport {
    // With a count of 0, the answer for all keys is all that there is.
    homeserver.set_faults(vec![
        answer(body).on(EndpointKind::AllKeys),
        FaultKind::WrongCount { count: 0 }.into(),
    ]);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await
}

fn answer(body: String) -> Fault {
    FaultKind::Status {
        code: 200,
        body: Value::String(body),
        headers: Default::default(),
    }
    .into()
}

/// Cuts the answer for all keys until the client goes room by room.
fn cut_twice() -> Fault {
    Fault {
        times: Some(2),
        ..Fault::from(FaultKind::CutBody { after_bytes: 10_000 }).on(EndpointKind::AllKeys)
    }
}

/// Returns the JSON of one room with its entries, by session id.
fn room(room_id: &str, entries: &[(&str, &str)]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|(session, entry)| format!("\"{session}\":{entry}"))
        .collect();
    format!("\"{room_id}\":{{\"sessions\":{{{}}}}}", entries.join(","))
}

fn rooms(rooms: &[String]) -> String {
    format!("{{\"rooms\":{{{}}}}}", rooms.join(","))
}

/// Fetches the entry of a true key from the server.
async fn true_entry(homeserver: &Homeserver, index: u64) -> String {
    let key = homeserver.truth().key(index);
    let url = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let account = homeserver.account();
    let url = format!(
        "{}/_matrix/client/v3/room_keys/keys/{}/{}?version={}",
        homeserver.url(),
        url(&key.room_id),
        url(&key.session_id),
        account.backup_version
    );
    let answer = reqwest::Client::new()
        .get(url)
        .bearer_auth(&account.access_token)
        .send();
    answer.await.expect("an answer").text().await.expect("a body")
}

fn failures(report: &RunReport) -> Vec<(FailureReason, u64)> {
    let failures = report.summary.failures.iter();
    failures
        .map(|FailureCount { reason, count }| (*reason, *count))
        .collect()
}

#[tokio::test]
async fn whatever_is_wrong_with_an_entry_costs_that_entry() {
    let homeserver = homeserver(4, 1);
    let good = true_entry(&homeserver, 2).await;
    let (key, other) = (homeserver.truth().key(2), homeserver.truth().key(3));
    let long = "x".repeat(1_000_000);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let shallow = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let wide = format!("{{\"session_data\":\"{}\"}}", "y".repeat(100_000_000));
    let table: [(&str, &str, String, FailureReason); 13] = [
        ("!a:x", "nested", deep, FailureReason::TooLarge),
        ("!a:x", "nested-and-small", shallow, FailureReason::Malformed),
        ("!a:x", "large", wide, FailureReason::TooLarge),
        ("!a:x", &long, good.clone(), FailureReason::InvalidId),
        (&long, "s", good.clone(), FailureReason::InvalidId),
        ("!a:x", "\\ud800", good.clone(), FailureReason::InvalidId),
        ("!a\\udfff", "s", good.clone(), FailureReason::InvalidId),
        ("!a:x", "\\u0000", good.clone(), FailureReason::InvalidId),
        (
            "!a:x",
            "numbers",
            r#"{"forwarded_count":1e999999,"first_message_index":-99999999999999999999}"#.to_owned(),
            FailureReason::Malformed,
        ),
        ("!a\\u0000:x", "s", good.clone(), FailureReason::InvalidId),
        (
            "!a:x",
            &other.session_id,
            good.clone(),
            FailureReason::SessionIdMismatch,
        ),
        ("no-room-id", "text", r#""text""#.to_owned(), FailureReason::Malformed),
        ("", "", "null".to_owned(), FailureReason::Malformed),
    ];
    for (room_id, session_id, entry, reason) in table {
        let setup = Setup::new(&homeserver);
        let body = rooms(&[
            room(room_id, &[(session_id, &entry)]),
            room(&key.room_id, &[(&key.session_id, &good)]),
        ]);
        let report = run_with(&homeserver, &setup, body).await;
        let name: String = room_id.chars().chain(session_id.chars()).take(40).collect();
        assert_eq!(report.outcome, WHOLE, "{name}");
        assert_eq!(failures(&report), [(reason, 1)], "{name}");
        assert_eq!((report.summary.fetched, report.summary.opened), (2, 1), "{name}");
    }
}

#[tokio::test]
async fn of_what_comes_twice_the_first_counts() {
    let homeserver = homeserver(4, 1);
    let (good, other) = (true_entry(&homeserver, 2).await, true_entry(&homeserver, 3).await);
    let key = homeserver.truth().key(2);
    let setup = Setup::new(&homeserver);
    let one = |entry: &str| room(&key.room_id, &[(&key.session_id, entry)]);
    let twice = room(&key.room_id, &[(&key.session_id, &other), (&key.session_id, "{}")]);
    let report = run_with(&homeserver, &setup, rooms(&[one(&good), twice, one("null")])).await;
    assert_eq!(report.outcome, WHOLE);
    assert_eq!((report.summary.fetched, report.summary.opened), (1, 1));
}

#[tokio::test]
async fn a_million_rooms_of_one_key_are_rooms() {
    let homeserver = homeserver(4, 1);
    let setup = Setup::new(&homeserver);
    let many: Vec<_> = (0..1_000_000)
        .map(|number| room(&format!("!{number}"), &[(&format!("s{number}"), "{}")]))
        .collect();
    let report = run_with(&homeserver, &setup, rooms(&many)).await;
    assert_eq!(report.outcome, WHOLE);
    assert_eq!((report.summary.fetched, report.summary.failed), (1_000_000, 1_000_000));
    assert_eq!(report.summary.rooms, 1_000_000);
}

#[tokio::test]
async fn one_key_under_a_hundred_thousand_rooms_is_a_conflict_and_no_work() {
    let homeserver = homeserver(4, 1);
    let setup = Setup::new(&homeserver);
    let good = true_entry(&homeserver, 2).await;
    let key = homeserver.truth().key(2);
    let many: Vec<_> = (0..100_000)
        .map(|number| room(&format!("!{number}"), &[(&key.session_id, "{}")]))
        .collect();
    // The true entry comes last and still counts: entries that cannot be opened hide nothing.
    let body = rooms(&[many.join(","), room(&key.room_id, &[(&key.session_id, &good)])]);
    let report = run_with(&homeserver, &setup, body).await;
    assert_eq!(report.outcome, WHOLE);
    assert_eq!((report.summary.fetched, report.summary.conflicts), (100_001, 0));
    let client = setup.open_unlocked().await;
    let found = client
        .fetch_session(key.room_id.clone(), key.session_id.clone(), None)
        .await;
    let Ok(RoomKeyLookup::Found { key: found, .. }) = found else {
        panic!("{found:?}");
    };
    assert_true(&found, &key);
}

#[tokio::test]
async fn rooms_that_come_in_pieces_are_read_again_in_the_time_of_one() {
    let homeserver = homeserver(4, 1);
    let setup = Setup::new(&homeserver);
    let good = true_entry(&homeserver, 2).await;
    let key = homeserver.truth().key(2);
    let mut pieces: Vec<_> = (0..100_000)
        .map(|number| room(["!a", "!b"][number % 2], &[(&format!("s{number}"), "{}")]))
        .collect();
    pieces.push(room(&key.room_id, &[(&key.session_id, &good)]));
    let faults = vec![
        answer(rooms(&pieces)).on(EndpointKind::AllKeys),
        Fault::from(FaultKind::RestlessEtag),
        Fault::from(FaultKind::WrongCount { count: 100_001 }),
    ];
    let client = setup.open_unlocked().await;
    for _ in 0..2 {
        homeserver.set_faults(faults.clone());
        let report = client.download().run(RunBudget::default()).await;
        assert!(
            matches!(report.outcome, RunOutcome::Completed { .. }),
            "{:?}",
            report.outcome
        );
        assert_eq!((report.summary.fetched, report.summary.opened), (100_001, 1));
    }
    // Entries that failed are neither unopened nor unshareable.
    let shareability = client.room_history_shareability("!a".to_owned()).await.expect("counts");
    assert_eq!((shareability.unopened, shareability.not_shareable), (0, 0));
    let page = client.room_keys("!a".to_owned(), None, 10).await.expect("a page");
    assert_eq!(page.keys, []);
}

#[tokio::test]
async fn what_never_ends_and_what_swells_has_an_end() {
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
        let in_ms = report.wake_up.map(|wake_up| wake_up.not_before_ms);
        assert_eq!(in_ms, Some(6 * 60 * 60 * 1_000), "{fault:?}");
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
            assert_eq!(answer, Err(OnDemandError::Refused), "{fault:?} {endpoint:?}");
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
async fn a_list_of_rooms_has_an_end() {
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
async fn what_is_odd_in_a_list_of_rooms_costs_itself() {
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
async fn a_count_that_is_too_low_ends_nothing_room_by_room_either() {
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
async fn a_room_that_is_asked_for_stops_where_the_vault_is_full() {
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
    let on_hold = OnDemandError::OnHold {
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
async fn an_etag_that_never_settles_is_not_chased() {
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
async fn a_version_that_is_a_path_stays_a_name() {
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
async fn another_key_under_the_same_number_is_another_backup() {
    let homeserver = start(Config {
        keys: 100,
        rooms: 2,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (WHOLE, 100));
    let other_key = json!({
        "version": "1", "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "etag": "100", "count": 100,
        "auth_data": { "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE" }
    });
    homeserver.set_faults(vec![
        answer(other_key.to_string()).on(EndpointKind::CurrentVersion),
        answer(other_key.to_string()).on(EndpointKind::Version),
    ]);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, locked(&["1"]));
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
    assert_eq!((report.outcome, report.summary.opened), (locked(&["1"]), 100));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_version_that_loses_its_key_or_gets_it_late_is_the_same_one() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let keyless = json!({
        "version": "1", "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "etag": "100", "count": 100, "auth_data": {}
    });
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
    let info = |version: &str| {
        json!({
            "version": version, "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "etag": "400", "count": 400,
            "auth_data": { "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE" }
        })
    };
    // Room by room, so that the count decides when all keys are here, and the version is requested once more by its
    // number.
    let cut = Fault::from(FaultKind::CutBody { after_bytes: 100 }).on(EndpointKind::AllKeys);
    let run = async |setup: &Setup, version: Value| {
        homeserver.set_faults(vec![cut.clone(), answer(version.to_string()).on(EndpointKind::Version)]);
        homeserver.reset_requests();
        let client = setup.open_unlocked().await;
        let budget = RunBudget {
            max_duration_ms: Some(20_000),
        };
        let report = client.download().run(budget).await;
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
async fn a_key_that_moves_to_another_room_with_a_new_version_hides_nothing() {
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
    let sink = setup
        .sink
        .as_ref()
        .expect("a sink")
        .keys
        .lock()
        .expect("not poisoned")
        .clone();
    assert!(sink.iter().all(|delivered| delivered.room_id != "!another:localhost"));
}

/// Replaces each DEL in a body by a byte that never occurs in UTF-8.
struct Spoiling<T: ?Sized>(Arc<T>);

impl HttpTransport for Spoiling<dyn HttpTransport> {
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        Ok(Arc::new(Spoiling(self.0.start(request)?)))
    }

    fn close_idle(&self) -> Result<(), TransportError> {
        self.0.close_idle()
    }
}

#[async_trait]
impl HttpExchange for Spoiling<dyn HttpExchange> {
    async fn head(&self) -> Result<HttpHead, TransportError> {
        self.0.head().await
    }

    async fn next_chunk(&self) -> Result<Option<Vec<u8>>, TransportError> {
        let mut chunk = self.0.next_chunk().await?;
        for byte in chunk.iter_mut().flatten().filter(|byte| **byte == 0x7f) {
            *byte = 0xff;
        }
        Ok(chunk)
    }

    fn cancel(&self) -> Result<(), TransportError> {
        self.0.cancel()
    }
}

#[tokio::test]
async fn what_is_no_utf_8_costs_that_entry() {
    let homeserver = homeserver(4, 1);
    let good = true_entry(&homeserver, 2).await;
    let key = homeserver.truth().key(2);
    let spoilt = good.replace("\"ciphertext\":\"", "\"ciphertext\":\"\u{7f}");
    let setup = Setup::new(&homeserver);
    let transport: Arc<dyn HttpTransport> = Arc::new(ReqwestTransport::new().expect("a transport"));
    let client = setup.open_over(setup.options(), Arc::new(Spoiling(transport))).await;
    let client = client.expect("it opens");
    client.unlock(setup.recovery_key()).await.expect("it fits");
    let body = rooms(&[
        room("!a\u{7f}:x", &[("session", &good)]),
        room("!a:x", &[("session\u{7f}", &good), ("spoilt", &spoilt)]),
        room(&key.room_id, &[(&key.session_id, &good)]),
    ]);
    homeserver.set_faults(vec![answer(body).on(EndpointKind::AllKeys)]);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    let mut failed = failures(&report);
    failed.sort_by_key(|(_, count)| *count);
    assert_eq!(failed, [(FailureReason::Malformed, 1), (FailureReason::InvalidId, 2)]);
    assert_eq!((report.summary.fetched, report.summary.opened), (4, 1));
}

#[tokio::test]
async fn a_redirect_takes_the_token_nowhere() {
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
        let short = RunBudget {
            max_duration_ms: Some(500),
        };
        assert_eq!(client.download().run(short).await.summary.fetched, 0);
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
