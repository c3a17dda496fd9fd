//! Faults that leave out or replace parts of the content.

use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver};
use serde_json::{Value, json};

use crate::client::{Reply, V3, escape, get};

fn start() -> Homeserver {
    Homeserver::start(Config {
        // The first room and another one are empty, and the last one repeats the first three keys.
        room_sizes: vec![0, 3, 1, 5, 0, 4, 2, 3],
        twins: 3,
        ..Config::default()
    })
    .expect("it starts")
}

fn fetch(homeserver: &Homeserver, segments: &[&str]) -> Reply {
    let path: Vec<_> = segments.iter().map(|segment| escape(segment)).collect();
    get(homeserver, &format!("{V3}/room_keys/keys/{}?version=1", path.join("/")))
}

fn everything(homeserver: &Homeserver) -> Value {
    let reply = get(homeserver, &format!("{V3}/room_keys/keys?version=1"));
    assert!(reply.complete);
    reply.json()
}

fn replace(session: &str, entry: Value) -> Fault {
    let session = session.to_owned();
    FaultKind::ReplaceEntry { session, entry }.into()
}

#[test]
fn every_nth_room_is_left_out_only_of_the_answer_for_all_keys() {
    let homeserver = start();
    let truth = homeserver.truth();
    let whole = everything(&homeserver);
    for every in 0..10 {
        homeserver.set_faults(vec![FaultKind::LeaveOutRooms { every }.into()]);
        let every = every.max(1);
        let mut expected = whole.clone();
        let rooms = expected["rooms"].as_object_mut().expect("there are rooms");
        for room in (0..truth.rooms()).filter(|room| room % every == every - 1) {
            rooms.remove(&truth.room_id(room));
        }
        assert_eq!(everything(&homeserver), expected, "every {every}");
        for room in 0..truth.rooms() {
            let room_id = truth.room_id(room);
            let alone = fetch(&homeserver, &[&room_id]).json();
            let whole = whole["rooms"].get(&room_id);
            assert_eq!(alone, whole.cloned().unwrap_or(json!({ "sessions": {} })));
        }
    }
}

#[test]
fn rooms_are_left_out_of_a_large_answer() {
    let homeserver = Homeserver::start(Config {
        keys: 6_000,
        rooms: 700,
        held_back: 1_000,
        ..Config::default()
    })
    .expect("it starts");
    let truth = homeserver.truth();
    homeserver.set_faults(vec![FaultKind::LeaveOutRooms { every: 2 }.into()]);
    let served = everything(&homeserver);
    let mut sessions = 0;
    for room in 0..truth.rooms() {
        let served = served["rooms"][truth.room_id(room)]["sessions"].as_object();
        let range = truth.room_range(room);
        let there = range.end.min(5_000).saturating_sub(range.start);
        let expected = if room % 2 == 0 { there } else { 0 };
        assert_eq!(served.map_or(0, serde_json::Map::len) as u64, expected, "room {room}");
        sessions += expected;
    }
    assert!(sessions > 2_000);
}

#[test]
fn an_entry_is_replaced_in_every_place() {
    let homeserver = start();
    let truth = homeserver.truth();
    let whole = everything(&homeserver);
    // The first and the last of a room, two neighbours, and one that is in two rooms.
    let sessions: Vec<_> = [1, 4, 5, 8, 12].map(|index| truth.key(index).session_id).into();
    let forged = |session: &str| json!({ "forged": session, "session_data": [null, "\"}"] });
    homeserver.set_faults(
        sessions
            .iter()
            .map(|session| replace(session, forged(session)))
            .collect(),
    );
    let mut expected = whole.clone();
    let mut places = 0;
    for room in expected["rooms"].as_object_mut().expect("rooms").values_mut() {
        for session in &sessions {
            if let Some(entry) = room["sessions"].get_mut(session) {
                *entry = forged(session);
                places += 1;
            }
        }
    }
    assert_eq!(places, 6);
    assert_eq!(everything(&homeserver), expected);
    for index in 0..truth.len() {
        let key = truth.key(index);
        let room = &expected["rooms"][&key.room_id];
        assert_eq!(&fetch(&homeserver, &[&key.room_id]).json(), room);
        let alone = fetch(&homeserver, &[&key.room_id, &key.session_id]).json();
        assert_eq!(alone, room["sessions"][&key.session_id]);
    }
}

#[test]
fn replaced_entries_add_up_with_other_faults_and_can_be_limited() {
    let homeserver = start();
    let truth = homeserver.truth();
    let whole = everything(&homeserver);
    let key = truth.key(1);
    let gone = truth.key(0);
    homeserver.set_faults(vec![
        FaultKind::LeaveOutRooms { every: 3 }.into(),
        replace(&key.session_id, json!(1)).on(EndpointKind::AllKeys),
        replace(&truth.key(3).session_id, json!(3)),
        replace("no session", json!(4)),
        Fault::from(FaultKind::CutBody { after_bytes: 2_000 }).skip(1),
    ]);
    let served = everything(&homeserver);
    let mut expected = whole.clone();
    let rooms = expected["rooms"].as_object_mut().expect("there are rooms");
    for room in [2, 5] {
        rooms.remove(&truth.room_id(room));
    }
    for room_id in [&key.room_id, &truth.room_id(7)] {
        rooms[room_id]["sessions"][&key.session_id] = json!(1);
    }
    assert_eq!(served, expected);
    let cut = get(&homeserver, &format!("{V3}/room_keys/keys?version=1"));
    assert!(served.to_string().contains(r#"":1"#) && cut.body.len() == 2_000 && !cut.complete);

    homeserver.set_faults(vec![
        replace(&key.session_id, json!(5)).of_room(&key.room_id).times(1),
        replace(&gone.session_id, json!(6)).of_room(truth.room_id(7)),
    ]);
    assert_eq!(everything(&homeserver), whole);
    let room = fetch(&homeserver, &[&key.room_id]).json();
    assert_eq!(room["sessions"][&key.session_id], 5);
    assert_eq!(fetch(&homeserver, &[&key.room_id]).json(), whole["rooms"][&key.room_id]);
    let twin = fetch(&homeserver, &[&truth.room_id(7), &gone.session_id]);
    assert_eq!(twin.json(), 6);
}

#[test]
fn a_fault_of_a_room_leaves_the_others_alone() {
    let homeserver = start();
    let truth = homeserver.truth();
    let room_id = truth.room_id(3);
    let refusal = FaultKind::Status {
        code: 502,
        body: Value::Null,
        headers: Default::default(),
    };
    homeserver.set_faults(vec![Fault::from(refusal).of_room(&room_id)]);
    for index in 0..truth.len() {
        let key = truth.key(index);
        let status = if key.room_id == room_id { 502 } else { 200 };
        assert_eq!(fetch(&homeserver, &[&key.room_id]).status, status);
        assert_eq!(fetch(&homeserver, &[&key.room_id, &key.session_id]).status, status);
    }
    everything(&homeserver);
    assert_eq!(get(&homeserver, &format!("{V3}/room_keys/version")).status, 200);
}
