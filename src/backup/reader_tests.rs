//! Tests of the reader on whole, split, odd and broken documents.

use proptest::prelude::*;

use super::*;

#[derive(Default, Debug, PartialEq, Eq)]
struct Seen {
    room: String,
    entries: Vec<(String, String, String)>,
}

impl EntryVisitor for Seen {
    fn room(&mut self, room_id: &str) {
        self.room = room_id.to_owned();
    }

    fn entry(&mut self, session_id: &str, entry: RawEntry<'_>) {
        let text = match entry {
            RawEntry::Json(json) => String::from_utf8_lossy(json).into_owned(),
            other => format!("{other:?}"),
        };
        self.entries.push((self.room.clone(), session_id.to_owned(), text));
    }
}

fn read(mut reader: BackupReader, document: &[u8], chunk: usize) -> (Seen, Result<(), ReadError>) {
    let mut seen = Seen::default();
    for part in document.chunks(chunk.max(1)) {
        if let Err(error) = reader.push(part, &mut seen) {
            return (seen, Err(error));
        }
    }
    let end = reader.finish();
    (seen, end)
}

fn entries(document: &str) -> Vec<(String, String, String)> {
    let (seen, end) = read(BackupReader::all_rooms(), document.as_bytes(), usize::MAX);
    assert_eq!(end, Ok(()), "{document}");
    seen.entries
}

fn entry(room: &str, session: &str, json: &str) -> (String, String, String) {
    (room.to_owned(), session.to_owned(), json.to_owned())
}

#[test]
fn entries_are_read_with_their_room_and_session() {
    let document = r#" {"etag":"1","rooms":{"!a:x":{"sessions":{"s1":{"k":"}\"{"},"s\/2":{}},"other":[1,{"sessions":{}}]},
        "!b":{"sessions":{}},"!c":{"sessions":{"s3": [1, 2] ,"s4":null,"s5":"text"}}},"more":{"rooms":{"!z":{"sessions":{"no":{}}}}}} "#;
    assert_eq!(
        entries(document),
        [
            entry("!a:x", "s1", r#"{"k":"}\"{"}"#),
            entry("!a:x", "s/2", "{}"),
            entry("!c", "s3", "[1, 2]"),
            entry("!c", "s4", "null"),
            entry("!c", "s5", r#""text""#),
        ]
    );
}

#[test]
fn an_answer_for_one_room_has_no_rooms_object() {
    let (seen, end) = read(BackupReader::one_room(), br#"{"sessions":{"s":{"a":1}}}"#, 1);
    assert_eq!(end, Ok(()));
    assert_eq!(seen.entries, [entry("", "s", r#"{"a":1}"#)]);
}

#[test]
fn an_invalid_session_id_fails_only_its_own_entry() {
    let document = format!(
        r#"{{"rooms":{{"!c":{{"sessions":{{"{}":{{}},"\ud800":{{}},"ok":{{}}}}}}}}}}"#,
        "x".repeat(5000)
    );
    let seen = entries(&document);
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0], entry("!c", &"x".repeat(MAX_ID_BYTES), "BadId"));
    assert_eq!(seen[1].2, "BadId");
    assert_eq!(seen[2], entry("!c", "ok", "{}"));
}

#[test]
fn a_huge_entry_is_passed_over_in_bounded_memory() {
    let document = format!(
        r#"{{"rooms":{{"!a":{{"sessions":{{"big":"{}","deep":{}{},"ok":{{}}}}}}}}}}"#,
        "x".repeat(MAX_ENTRY_BYTES),
        "[".repeat(100_000),
        "]".repeat(100_000),
    );
    for chunk in [1, 1000, usize::MAX] {
        let (seen, end) = read(BackupReader::all_rooms(), document.as_bytes(), chunk);
        assert_eq!(end, Ok(()));
        assert_eq!(
            seen.entries,
            [
                entry("!a", "big", "TooLarge"),
                entry("!a", "deep", "TooLarge"),
                entry("!a", "ok", "{}")
            ]
        );
    }
}

#[test]
fn a_document_of_another_shape_proves_nothing() {
    let all = [
        // The structure around the entries is missing or different.
        ("{}", 0),
        (r#"{"errcode":"M_UNKNOWN","error":"no"}"#, 0),
        (r#"{"rooms":[]}"#, 0),
        (r#"{"rooms":null}"#, 0),
        (r#"{"sessions":{"s":{}}}"#, 0),
        // One bare entry in place of a room's sessions.
        (r#"{"rooms":{"!a":{"first_message_index":0,"session_data":{}}}}"#, 0),
        (r#"{"rooms":{"!a":{},"!b":{"sessions":{"s":{}}}}}"#, 1),
        (r#"{"rooms":{"!a":7,"!b":{"sessions":{"s":{}}}}}"#, 1),
        (r#"{"rooms":{"!b":{"sessions":{"s":{}}},"!c":{"sessions":[]}}}"#, 1),
        // A room in place of a session.
        (r#"{"rooms":{"!b":{"sessions":{"s":{},"!b":{"session_data":{}}}}}}"#, 1),
    ];
    let one = [
        ("{}", 0),
        (r#"{"errcode":"M_UNKNOWN"}"#, 0),
        (r#"{"sessions":[]}"#, 0),
        (r#"{"rooms":{"!a":{"sessions":{"s":{}}}}}"#, 0),
        (r#"{"sessions":{"!a":{"session_data":{}}}}"#, 0),
    ];
    for (new, documents) in [
        (BackupReader::all_rooms as fn() -> BackupReader, &all[..]),
        (BackupReader::one_room, &one[..]),
    ] {
        for (document, kept) in documents {
            for chunk in [1, usize::MAX] {
                let (seen, end) = read(new(), document.as_bytes(), chunk);
                assert!(matches!(end, Err(ReadError::WrongShape { .. })), "{document}: {end:?}");
                assert_eq!(seen.entries.len(), *kept, "{document}");
            }
        }
    }
    // An empty backup has the right shape.
    assert_eq!(entries(r#"{"rooms":{}}"#), []);
    assert_eq!(entries(r#"{"rooms":{"!a":{"sessions":{}}}}"#), []);
    assert_eq!(read(BackupReader::one_room(), br#"{"sessions":{}}"#, 1).1, Ok(()));
}

#[test]
fn a_document_that_is_no_backup_differs_from_one_that_is_cut() {
    for page in [
        "<html>",
        "",
        "null",
        "[]",
        "{]",
        "{\"rooms\"]",
        "{\"rooms\":}",
        "{}{}",
        "{,}",
        "{\"a\":1 2}",
    ] {
        let (_, end) = read(BackupReader::all_rooms(), page.as_bytes(), 1);
        assert!(matches!(end, Err(ReadError::NotABackup { .. })), "{page}: {end:?}");
    }
    let document = br#"{"rooms":{"!a":{"sessions":{"s":{"k":"v"}}}}}"#;
    for length in 1..document.len() {
        let (_, end) = read(BackupReader::all_rooms(), &document[..length], usize::MAX);
        assert_eq!(end, Err(ReadError::CutShort { at: length as u64 }));
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_split_yields_the_same_entries(
        rooms in prop::collection::btree_map("[!a-z\"\\\\é]{0,12}", prop::collection::btree_map("([^!\\pC]\\PC{0,9})?", json(), 0..4), 0..4),
        splits in prop::collection::vec(1usize..64, 1..64),
        pretty in any::<bool>(),
    ) {
        let mut all = serde_json::Map::new();
        for (room, sessions) in &rooms {
            let sessions: serde_json::Map<_, _> = sessions.clone().into_iter().collect();
            all.insert(room.clone(), serde_json::json!({ "x": [{}], "sessions": sessions }));
        }
        let document = serde_json::json!({ "rooms": all });
        let document = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }
            .expect("JSON");
        let mut reader = BackupReader::all_rooms();
        let mut seen = Seen::default();
        let mut rest = document.as_bytes();
        for split in splits.iter().cycle() {
            let (part, more) = rest.split_at((*split).min(rest.len()));
            reader.push(part, &mut seen).expect("a sound document");
            rest = more;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(reader.finish(), Ok(()));
        let seen: Vec<_> = seen.entries.into_iter()
            .map(|(room, session, text)| (room, session, serde_json::from_str::<serde_json::Value>(&text).expect("JSON")))
            .collect();
        let mut truth: Vec<_> = Vec::new();
        for (room, sessions) in document_rooms(&document) {
            for (session, value) in sessions { truth.push((room.clone(), session, value)); }
        }
        prop_assert_eq!(seen, truth);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), chunk in 1usize..40) {
        let _ = read(BackupReader::all_rooms(), &bytes, chunk);
        let _ = read(BackupReader::one_room(), &bytes, chunk);
    }
}

type Sessions = Vec<(String, serde_json::Value)>;

fn document_rooms(document: &str) -> Vec<(String, Sessions)> {
    let value: serde_json::Value = serde_json::from_str(document).expect("JSON");
    let rooms = value["rooms"].as_object().expect("rooms");
    rooms
        .iter()
        .map(|(room, body)| {
            let sessions = body["sessions"].as_object().expect("sessions");
            (
                room.clone(),
                sessions
                    .iter()
                    .map(|(session, value)| (session.clone(), value.clone()))
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn another_reader_resumes_after_any_entry() {
    let document = r#"{"rooms":{"!a":{"sessions":{"s1":{"k":1},"s2":[2]}},"!b":{"sessions":{"s3":{"k":3}}},"!c":{"sessions":{}}}}"#;
    let whole = entries(document);
    for end in 0..document.len() {
        let (mut reader, mut seen) = (BackupReader::all_rooms(), Seen::default());
        reader
            .push(&document.as_bytes()[..end], &mut seen)
            .expect("sound so far");
        let Some(place) = reader.place() else {
            assert_eq!(seen.entries, []);
            continue;
        };
        let mut reader = BackupReader::all_rooms().resumed_at(place);
        reader
            .push(
                &document.as_bytes()[usize::try_from(place).expect("small")..],
                &mut seen,
            )
            .expect("sound from there");
        assert_eq!((reader.finish(), &seen.entries), (Ok(()), &whole), "cut at {end}");
    }
}

#[test]
fn an_answer_beyond_the_limits_is_refused() {
    let blanks = vec![b' '; 1 << 20];
    let mut reader = BackupReader::all_rooms();
    let mut seen = Seen::default();
    let given_up = (0..300).find_map(|_| reader.push(&blanks, &mut seen).err());
    assert_eq!(given_up, Some(ReadError::TooMuch { at: MAX_BARREN_BYTES }));

    let mut reader = BackupReader::all_rooms().resumed_at(MAX_ANSWER_BYTES);
    assert_eq!(reader.push(b" ", &mut seen), Ok(()));
    let too_much = ReadError::TooMuch {
        at: MAX_ANSWER_BYTES + 1,
    };
    assert_eq!(reader.push(b" ", &mut seen), Err(too_much));

    struct Counted(u64);
    impl EntryVisitor for Counted {
        fn room(&mut self, _room_id: &str) {}
        fn entry(&mut self, _session_id: &str, _entry: RawEntry<'_>) {
            self.0 += 1;
        }
    }
    let mut reader = BackupReader::one_room();
    let mut counted = Counted(0);
    reader
        .push(br#"{"sessions":{"":1"#, &mut counted)
        .expect("sound so far");
    let entries = br#","":1"#.repeat(100_000);
    let given_up = (0..300).find_map(|_| reader.push(&entries, &mut counted).err());
    assert!(matches!(given_up, Some(ReadError::TooMuch { .. })));
    assert!((MAX_ANSWER_ENTRIES..MAX_ANSWER_ENTRIES + 200_000).contains(&counted.0));
}
