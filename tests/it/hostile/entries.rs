//! Entries and rooms that are wrong, too many, or in pieces.

use std::sync::Arc;

use async_trait::async_trait;
use keyferry::{
    FailureCount, FailureReason, HttpExchange, HttpRequest, RoomKeyLookup, RunBudget, RunReport, TransportError,
};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, Homeserver};

use super::{answer, true_entry};
use crate::support::{
    Setup, WHOLE, assert_true,
    backup_entry::{room, rooms},
    homeserver, run_to_completion,
    transport::{HookedTransport, Hooks},
};

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

/// Returns how many entries failed for which reason.
fn failures(report: &RunReport) -> Vec<(FailureReason, u64)> {
    let failures = report.summary.failures.iter();
    failures
        .map(|FailureCount { reason, count }| (*reason, *count))
        .collect()
}

#[tokio::test]
async fn a_bad_entry_fails_alone() {
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
async fn the_first_of_two_entries_for_a_session_counts() {
    let homeserver = homeserver(4, 1);
    let (good, other) = (true_entry(&homeserver, 2).await, true_entry(&homeserver, 3).await);
    let key = homeserver.truth().key(2);
    let setup = Setup::new(&homeserver);
    let one = |entry: &str| room(&key.room_id, &[(&key.session_id, entry)]);
    let twice = room(
        &key.room_id,
        &[(&key.session_id, other.as_str()), (&key.session_id, "{}")],
    );
    let report = run_with(&homeserver, &setup, rooms(&[one(&good), twice, one("null")])).await;
    assert_eq!(report.outcome, WHOLE);
    assert_eq!((report.summary.fetched, report.summary.opened), (1, 1));
}

#[tokio::test]
async fn a_million_rooms_with_one_entry_each_are_read() {
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
async fn entries_that_cannot_be_opened_do_not_conflict_with_a_true_key() {
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
async fn a_room_in_many_pieces_is_read() {
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
        let report = run_to_completion(&client).await;
        assert_eq!((report.summary.fetched, report.summary.opened), (100_001, 1));
    }
    // Entries that failed are neither unopened nor unshareable.
    let shareability = client.room_history_shareability("!a".to_owned()).await.expect("counts");
    assert_eq!((shareability.unopened, shareability.not_shareable), (0, 0));
    let page = client.room_keys("!a".to_owned(), None, 10).await.expect("a page");
    assert_eq!(page.keys, []);
}

/// Replaces each DEL in a body by a byte that never occurs in UTF-8.
struct Spoiling;

#[async_trait]
impl Hooks for Spoiling {
    async fn chunk(
        &self,
        _request: &HttpRequest,
        _number: usize,
        answer: &dyn HttpExchange,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let mut chunk = answer.next_chunk().await?;
        for byte in chunk.iter_mut().flatten().filter(|byte| **byte == 0x7f) {
            *byte = 0xff;
        }
        Ok(chunk)
    }
}

#[tokio::test]
async fn an_entry_that_is_not_utf_8_fails_alone() {
    let homeserver = homeserver(4, 1);
    let good = true_entry(&homeserver, 2).await;
    let key = homeserver.truth().key(2);
    let spoilt = good.replace("\"ciphertext\":\"", "\"ciphertext\":\"\u{7f}");
    let setup = Setup::new(&homeserver);
    let transport = Arc::new(HookedTransport::new(Spoiling));
    let client = setup.open_over(setup.options(), transport).await;
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
