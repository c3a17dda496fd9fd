//! What clients write: versions and keys, and how servers differ in it.

use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver, ServerKind};
use serde_json::{Value, json};

use crate::client::{Reply, V3, escape, get, request};

const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";
const ROOM: &str = "!new:localhost";

fn start(server: ServerKind) -> Homeserver {
    let config = Config {
        server,
        keys: 12,
        rooms: 3,
        ..Config::default()
    };
    Homeserver::start(config).expect("it starts")
}

fn send(homeserver: &Homeserver, method: &str, path: &str, content: &Value) -> Reply {
    let account = homeserver.account();
    let path = format!("{V3}/room_keys/{path}");
    request(
        account,
        method,
        &path,
        Some(&account.access_token),
        &content.to_string(),
    )
}

fn fetch(homeserver: &Homeserver, path: &str) -> Reply {
    get(homeserver, &format!("{V3}/room_keys/{path}"))
}

fn entry(first_message_index: u64, forwarded_count: u64, is_verified: bool) -> Value {
    json!({
        "first_message_index": first_message_index,
        "forwarded_count": forwarded_count,
        "is_verified": is_verified,
        "session_data": { "ciphertext": format!("{first_message_index} {forwarded_count}") },
    })
}

/// Creates a version and returns its number.
fn create(homeserver: &Homeserver) -> String {
    let content = json!({ "algorithm": ALGORITHM, "auth_data": { "public_key": "abc" } });
    let created = send(homeserver, "POST", "version", &content);
    assert_eq!(created.status, 200);
    created.json()["version"].as_str().expect("it is text").to_owned()
}

fn put(homeserver: &Homeserver, version: &str, sessions: &Value) -> Reply {
    let content = json!({ "rooms": { ROOM: { "sessions": sessions } } });
    send(homeserver, "PUT", &format!("keys?version={version}"), &content)
}

#[test]
fn a_new_version_takes_keys_and_gives_them_back() {
    for kind in ServerKind::ALL {
        let homeserver = start(kind);
        let version = create(&homeserver);
        assert_eq!(version, "2");
        let described = fetch(&homeserver, "version").json();
        assert_eq!(described["auth_data"], json!({ "public_key": "abc" }));
        assert_eq!(described["count"], 0);

        let answer = put(
            &homeserver,
            &version,
            &json!({ "A": entry(0, 0, false), "B": entry(5, 1, false) }),
        );
        assert_eq!((answer.status, &answer.json()["count"]), (200, &json!(2)), "{kind:?}");
        let described = fetch(&homeserver, "version").json();
        assert_eq!(described["count"], 2);
        assert_eq!(described["etag"], answer.json()["etag"]);

        let session = fetch(&homeserver, &format!("keys/{}/B?version=2", escape(ROOM)));
        assert_eq!(session.json(), entry(5, 1, false));
        let (room, all) = (
            fetch(&homeserver, &format!("keys/{}?version=2", escape(ROOM))).json(),
            fetch(&homeserver, "keys?version=2").json(),
        );
        if kind == ServerKind::Palpo {
            assert_eq!(room["sessions"][ROOM], entry(0, 0, false)["session_data"]);
            assert_eq!(all["rooms"][ROOM], entry(5, 1, false)["session_data"]);
        } else {
            let sessions = json!({ "A": entry(0, 0, false), "B": entry(5, 1, false) });
            assert_eq!(room, json!({ "sessions": sessions }));
            assert_eq!(all, json!({ "rooms": { ROOM: { "sessions": sessions } } }));
        }
        assert_eq!(
            fetch(&homeserver, "version/1").json()["count"],
            12,
            "the old one is what it was"
        );
    }
}

#[test]
fn keys_can_be_added_to_the_version_of_the_start() {
    let homeserver = start(ServerKind::Synapse);
    let known = homeserver.truth().key(0);
    let worse = entry(u64::from(known.first_known_index) + 1, 0, false);
    let better = entry(u64::from(known.first_known_index), 0, true);
    let path = format!(
        "keys/{}/{}?version=1",
        escape(&known.room_id),
        escape(&known.session_id)
    );
    let before = fetch(&homeserver, &path).json();
    let etag = fetch(&homeserver, "version").json()["etag"].clone();
    let answer = send(&homeserver, "PUT", &path, &worse).json();
    assert_eq!(
        (&answer["count"], &answer["etag"]),
        (&json!(12), &etag),
        "nothing has changed"
    );
    assert_eq!(fetch(&homeserver, &path).json(), before);
    let answer = send(&homeserver, "PUT", &path, &better).json();
    assert_eq!(answer["count"], 12);
    assert_ne!(answer["etag"], etag);
    assert_eq!(fetch(&homeserver, &path).json(), better);

    let room = format!("keys/{}?version=1", escape(&known.room_id));
    let answer = send(
        &homeserver,
        "PUT",
        &room,
        &json!({ "sessions": { "A": entry(0, 0, false) } }),
    );
    assert_eq!(answer.json()["count"], 13);
    let sessions = fetch(&homeserver, &room).json()["sessions"].clone();
    assert_eq!(sessions.as_object().map(serde_json::Map::len), Some(5));
    assert_eq!(
        (&sessions["A"], &sessions[&known.session_id]),
        (&entry(0, 0, false), &better)
    );
    put(&homeserver, "1", &json!({ "A": entry(0, 0, false) }));
    let all = fetch(&homeserver, "keys?version=1").json();
    assert_eq!(all["rooms"].as_object().map(serde_json::Map::len), Some(4));
    assert_eq!(all["rooms"][&known.room_id]["sessions"], sessions);
}

#[test]
fn servers_replace_a_key_by_rules_of_their_own() {
    for kind in ServerKind::ALL {
        let homeserver = start(kind);
        let version = create(&homeserver);
        put(&homeserver, &version, &json!({ "A": entry(0, 1, false) }));
        let path = format!("keys/{}/A?version=2", escape(ROOM));
        // Worse by the specification, and better for Synapse: fewer forwards.
        let worse = entry(10, 0, false);
        put(&homeserver, &version, &json!({ "A": worse, "B": entry(0, 0, false) }));
        let is_replaced = fetch(&homeserver, &path).json() == worse;
        let expected = !matches!(kind, ServerKind::Dendrite | ServerKind::Tuwunel);
        assert_eq!(is_replaced, expected, "{kind:?}, many at once");

        send(&homeserver, "PUT", &path, &entry(0, 0, true));
        send(&homeserver, "PUT", &path, &entry(20, 7, false));
        let is_replaced = fetch(&homeserver, &path).json() == entry(20, 7, false);
        let expected = matches!(kind, ServerKind::Conduit | ServerKind::Palpo);
        assert_eq!(is_replaced, expected, "{kind:?}, alone");
    }
}

#[test]
fn an_upload_to_an_old_version_is_refused() {
    let keys = json!({ "A": entry(0, 0, false) });
    for kind in ServerKind::ALL {
        let homeserver = start(kind);
        create(&homeserver);
        let refusal = put(&homeserver, "1", &keys);
        let expected = match kind {
            ServerKind::Synapse | ServerKind::Dendrite => (403, "M_WRONG_ROOM_KEYS_VERSION"),
            ServerKind::Tuwunel => (400, "M_WRONG_ROOM_KEYS_VERSION"),
            _ => (400, "M_INVALID_PARAM"),
        };
        assert_eq!(refusal.errcode(), (expected.0, expected.1.to_owned()), "{kind:?}");
        let named = if kind == ServerKind::Synapse { "1" } else { "2" };
        assert_eq!(refusal.json()["current_version"], named);
        assert_eq!(put(&homeserver, "7", &keys).status, 404);

        for number in ["2", "1"] {
            assert_eq!(
                send(&homeserver, "DELETE", &format!("version/{number}"), &json!({})).status,
                200
            );
        }
        let missing = send(&homeserver, "DELETE", "version/1", &json!({}));
        assert_eq!(missing.status, 404);
        let without = put(&homeserver, "1", &keys).status;
        assert_eq!(without, if kind == ServerKind::Dendrite { 500 } else { 404 });
    }
}

#[test]
fn servers_that_sort_versions_as_text_keep_the_old_one() {
    let config = Config {
        server: ServerKind::Continuwuity,
        first_version: 999,
        ..Config::default()
    };
    let homeserver = Homeserver::start(config).expect("it starts");
    assert_eq!(create(&homeserver), "1000");
    assert_eq!(fetch(&homeserver, "version").json()["version"], "999");
    let refusal = put(&homeserver, "1000", &json!({ "A": entry(0, 0, false) }));
    assert_eq!(refusal.status, 400);
}

#[test]
fn auth_data_can_be_replaced_and_an_empty_upload_loses_it_on_dendrite() {
    let content = json!({ "algorithm": ALGORITHM, "auth_data": { "public_key": "def" }, "version": "2" });
    for kind in ServerKind::ALL {
        let homeserver = start(kind);
        create(&homeserver);
        let etag = fetch(&homeserver, "version").json()["etag"].clone();
        assert_eq!(send(&homeserver, "PUT", "version/2", &content).status, 200);
        let described = fetch(&homeserver, "version").json();
        assert_eq!(described["auth_data"]["public_key"], "def");
        let has_moved = described["etag"] != etag;
        assert_eq!(
            has_moved,
            !matches!(kind, ServerKind::Synapse | ServerKind::Dendrite),
            "{kind:?}"
        );
        assert_eq!(
            send(&homeserver, "PUT", "version/1", &content).status,
            400,
            "another version in the body"
        );
        assert_eq!(
            send(
                &homeserver,
                "PUT",
                "version/7",
                &json!({ "algorithm": ALGORITHM, "auth_data": {} })
            )
            .status,
            404
        );
        let other = json!({ "algorithm": "other", "auth_data": {} });
        let status = send(&homeserver, "PUT", "version/1", &other).status;
        assert_eq!(status, if kind == ServerKind::Dendrite { 200 } else { 400 });

        put(&homeserver, "2", &json!({}));
        let status = fetch(&homeserver, "version").status;
        assert_eq!(status, if kind == ServerKind::Dendrite { 500 } else { 200 });
    }
}

#[test]
fn a_request_that_is_too_long_or_wrong_changes_nothing() {
    let config = Config {
        keys: 3,
        most_body: Some(1_000),
        ..Config::default()
    };
    let homeserver = Homeserver::start(config).expect("it starts");
    let version = create(&homeserver);
    let mut long = entry(0, 0, false);
    long["session_data"] = "x".repeat(1_000).into();
    assert_eq!(
        put(&homeserver, &version, &json!({ "A": long })).errcode(),
        (413, "M_TOO_LARGE".to_owned())
    );
    let mut odd = entry(0, 0, false);
    odd["is_verified"] = 1.into();
    assert_eq!(
        put(&homeserver, &version, &json!({ "A": odd, "B": entry(0, 0, false) })).status,
        400
    );
    let mut bare = entry(0, 0, false);
    bare.as_object_mut().expect("it is an object").remove("is_verified");
    assert_eq!(put(&homeserver, &version, &json!({ "A": bare })).status, 500);
    for (path, content) in [
        ("keys?version=2", json!({})),
        ("keys?version=2", json!({ "rooms": { ROOM: 1 } })),
        ("keys", json!({ "rooms": {} })),
    ] {
        assert_eq!(send(&homeserver, "PUT", path, &content).status, 400, "{path} {content}");
    }
    assert_eq!(send(&homeserver, "POST", "version", &json!([])).status, 400);
    assert_eq!(fetch(&homeserver, "version").json()["count"], 0);
}

#[test]
fn a_fault_keeps_a_write_from_having_an_effect_or_loses_its_answer() {
    let homeserver = start(ServerKind::Synapse);
    homeserver.set_faults(vec![
        Fault::from(FaultKind::Status {
            code: 502,
            body: Value::Null,
            headers: std::collections::BTreeMap::default(),
        })
        .on(EndpointKind::CreateVersion)
        .times(1),
        Fault::from(FaultKind::Silence).on(EndpointKind::PutKeys).times(1),
    ]);
    let content = json!({ "algorithm": ALGORITHM, "auth_data": {} });
    assert_eq!(send(&homeserver, "POST", "version", &content).status, 502);
    assert_eq!(fetch(&homeserver, "version").json()["version"], "1");
    let version = create(&homeserver);
    let lost = put(&homeserver, &version, &json!({ "A": entry(0, 0, false) }));
    assert_eq!(lost.status, 0);
    assert_eq!(fetch(&homeserver, "version").json()["count"], 1);
    let requests = homeserver.requests();
    assert_eq!(requests.of(EndpointKind::CreateVersion), 2);
    assert_eq!(requests.of(EndpointKind::PutKeys), 1);
}
