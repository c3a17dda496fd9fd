//! Palpo: one key for each room, and a limit on requests.

use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, ServerKind};
use serde_json::json;

use super::{current, fetch, not_found, path_of, room_path, small, start};
use crate::client::{Reply, V3, get, request};

#[test]
fn palpo_has_one_bare_key_for_each_room_and_whole_single_sessions() {
    let config = Config {
        room_sizes: vec![4, 0, 4, 4],
        held_back: 6,
        ..Config::default()
    };
    let homeserver = start(ServerKind::Palpo, config);
    let truth = homeserver.truth();
    let entry = |index| fetch(&homeserver, &format!("{}?version=1", path_of(&homeserver, index))).json();
    assert_eq!(entry(1)["first_message_index"], truth.key(1).first_known_index);
    assert_eq!(
        fetch(&homeserver, "keys?version=1").json(),
        json!({ "rooms": {
            truth.room_id(0): entry(3)["session_data"],
            truth.room_id(2): entry(5)["session_data"],
        } })
    );
    let room = |room| fetch(&homeserver, &format!("{}?version=1", room_path(&homeserver, room)));
    assert_eq!(
        room(2).json(),
        json!({ "sessions": { truth.room_id(2): entry(4)["session_data"] } })
    );
    assert_eq!((room(1).errcode(), room(3).errcode()), (not_found(), not_found()));

    let replaced = FaultKind::ReplaceEntry {
        session: truth.key(3).session_id,
        entry: json!({ "session_data": "forged" }),
    };
    homeserver.set_faults(vec![replaced.into(), FaultKind::LeaveOutRooms { every: 3 }.into()]);
    let everything = fetch(&homeserver, "keys?version=1").json();
    assert_eq!(everything, json!({ "rooms": { truth.room_id(0): "forged" } }));
    assert_eq!(entry(3), json!({ "session_data": "forged" }));
}

#[test]
fn palpo_limits_requests_under_room_keys() {
    for kind in [ServerKind::Palpo, ServerKind::Synapse] {
        let homeserver = small(kind);
        let limited = Some((429, "M_LIMIT_EXCEEDED".to_owned()));
        // More requests than the bucket can refill for while they are sent, however slow that is.
        let refusal = (0..5_000)
            .map(|_| fetch(&homeserver, "version"))
            .take(if kind == ServerKind::Palpo { 5_000 } else { 200 })
            .find(|reply| reply.status != 200);
        assert_eq!(
            refusal.as_ref().map(Reply::errcode),
            limited.filter(|_| kind == ServerKind::Palpo)
        );
        let Some(refusal) = refusal else { continue };
        assert!(!refusal.head.contains("retry-after"));
        assert_eq!(refusal.json().get("retry_after_ms"), None);
        let asked = homeserver.requests().of(EndpointKind::CurrentVersion);
        assert!(asked > 50, "{asked} requests came before the first refusal");
        assert_eq!(get(&homeserver, &format!("{V3}/joined_rooms")).status, 200);
        let token = request(
            homeserver.account(),
            "GET",
            &format!("{V3}/room_keys/version"),
            None,
            "",
        );
        assert_eq!(token.errcode(), (401, "M_MISSING_TOKEN".to_owned()));
    }
}

#[test]
fn faults_apply_before_the_limit() {
    let homeserver = small(ServerKind::Palpo);
    let portal = Fault::from(FaultKind::NotJson).times(60);
    homeserver.set_faults(vec![portal]);
    for _ in 0..60 {
        assert_eq!(fetch(&homeserver, "version").status, 200);
    }
    assert_eq!(current(&homeserver).1, 12, "the limit was not touched");
}
