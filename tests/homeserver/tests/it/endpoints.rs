//! What each endpoint answers, and which errors it returns.

use std::io::{Read, Write};

use keyferry_test_homeserver::{Config, EndpointKind, Homeserver, VersionAction};
use serde_json::{Value, json};

use crate::client::{V3, connect, escape, get, request};

fn start() -> Homeserver {
    Homeserver::start(Config {
        keys: 200,
        rooms: 5,
        left_rooms: 2,
        ..Config::default()
    })
    .expect("it starts")
}

#[test]
fn every_endpoint_requires_and_checks_the_token() {
    let homeserver = start();
    let account = homeserver.account();
    for path in [
        "/room_keys/version",
        "/room_keys/version/1",
        "/room_keys/keys?version=1",
        "/room_keys/keys/!a?version=1",
        "/room_keys/keys/!a/b?version=1",
        "/joined_rooms",
        "/user/@alice:localhost/account_data/m.key_backup",
    ] {
        let path = format!("{V3}{path}");
        let missing = request(account, "GET", &path, None, "");
        assert_eq!(missing.errcode(), (401, "M_MISSING_TOKEN".to_owned()));
        let wrong = request(account, "GET", &path, Some("wrong"), "");
        assert_eq!(wrong.errcode(), (401, "M_UNKNOWN_TOKEN".to_owned()));
        assert_eq!(wrong.json()["soft_logout"], false);
    }
    assert_eq!(homeserver.requests().unauthorized, 14);

    homeserver.set_access_token("new", true);
    let old = get(&homeserver, &format!("{V3}/joined_rooms"));
    assert_eq!(old.json()["soft_logout"], true);
    let new = request(account, "GET", &format!("{V3}/joined_rooms"), Some("new"), "");
    assert_eq!(new.status, 200);
}

#[test]
fn missing_resources_give_the_errors_of_synapse() {
    let homeserver = start();
    for (path, status, errcode) in [
        ("/room_keys/version/7", 404, "M_NOT_FOUND"),
        ("/room_keys/keys?version=7", 404, "M_NOT_FOUND"),
        ("/room_keys/keys/!a?version=7", 404, "M_NOT_FOUND"),
        ("/room_keys/keys/!a/b?version=1", 404, "M_NOT_FOUND"),
        ("/room_keys/keys", 400, "M_MISSING_PARAM"),
        ("/room_keys/keys/!a", 400, "M_MISSING_PARAM"),
        ("/room_keys/keys/!a/b", 400, "M_MISSING_PARAM"),
        ("/room_keys/keys/!a/b/c?version=1", 404, "M_UNRECOGNIZED"),
        ("/user/@alice:localhost/account_data/m.key_backup", 404, "M_NOT_FOUND"),
        ("/user/@bob:localhost/account_data/m.key_backup", 403, "M_FORBIDDEN"),
        ("/sync", 404, "M_UNRECOGNIZED"),
    ] {
        let reply = get(&homeserver, &format!("{V3}{path}"));
        assert_eq!(reply.errcode(), (status, errcode.to_owned()), "{path}");
    }
    let empty = get(&homeserver, &format!("{V3}/room_keys/keys/!a?version=1"));
    assert_eq!((empty.status, empty.json()), (200, json!({ "sessions": {} })));
}

#[test]
fn rooms_and_sessions_are_found_by_their_escaped_ids_only() {
    let homeserver = start();
    let truth = homeserver.truth();
    let mut slashes = 0;
    for index in 0..truth.len() {
        let key = truth.key(index);
        let room = escape(&key.room_id);
        let path = |session: &str| format!("{V3}/room_keys/keys/{room}/{session}?version=1");
        let found = get(&homeserver, &path(&escape(&key.session_id)));
        assert_eq!(found.status, 200, "key {index}");
        assert_eq!(found.json()["first_message_index"], key.first_known_index);
        if key.session_id.contains('/') {
            slashes += 1;
            let lost = get(&homeserver, &path(&key.session_id));
            assert_eq!(lost.errcode(), (404, "M_UNRECOGNIZED".to_owned()));
        }
    }
    assert!(slashes > 0);
    for room in 0..truth.rooms() {
        let room_id = escape(&truth.room_id(room));
        let reply = get(&homeserver, &format!("{V3}/room_keys/keys/{room_id}?version=1"));
        let sessions = reply.json()["sessions"].as_object().map(serde_json::Map::len);
        assert_eq!(sessions, Some(40));
    }
    let joined = get(&homeserver, &format!("{V3}/joined_rooms")).json();
    let expected: Vec<String> = (0..3).map(|room| truth.room_id(room)).collect();
    assert_eq!(joined, json!({ "joined_rooms": expected }));
    assert_eq!(homeserver.requests().of(EndpointKind::RoomKeys), 5);
}

#[test]
fn versions_can_be_created_and_deleted() {
    let homeserver = start();
    let current = || get(&homeserver, &format!("{V3}/room_keys/version"));
    let first = current().json();
    assert_eq!(
        (&first["version"], &first["count"], &first["etag"]),
        (&json!("1"), &json!(200), &json!("200"))
    );

    homeserver.set_version_state(VersionAction::New);
    let second = current().json();
    assert_eq!(second["version"], "2");
    assert_ne!(first["auth_data"], second["auth_data"]);
    let keys = get(&homeserver, &format!("{V3}/room_keys/keys?version=2"));
    assert_eq!(keys.json(), json!({ "rooms": {} }));
    let old = get(&homeserver, &format!("{V3}/room_keys/version/1"));
    assert_eq!(old.json(), first);

    homeserver.set_version_state(VersionAction::Delete);
    assert_eq!(current().json(), first);
    homeserver.set_version_state(VersionAction::Delete);
    assert_eq!(current().errcode(), (404, "M_NOT_FOUND".to_owned()));
}

#[test]
fn held_back_keys_are_not_served_before_their_release() {
    // These are all keys of the last room, and a quarter of those of the room before it.
    let homeserver = Homeserver::start(Config {
        keys: 200,
        rooms: 5,
        held_back: 50,
        ..Config::default()
    })
    .expect("it starts");
    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    let truth = homeserver.truth();
    assert_eq!(truth.len(), 200);

    let fetch = |path: &str, version: &str| get(&homeserver, &format!("{V3}/room_keys/keys{path}?version={version}"));
    let sessions = |content: &Value| content["sessions"].as_object().map(serde_json::Map::len);
    let room = |number: u64| escape(&truth.room_id(number));
    let sizes = |version: &str| -> Vec<_> {
        let all = fetch("", version).json();
        (0..5)
            .map(|number| {
                let alone = fetch(&format!("/{}", room(number)), version).json();
                (sessions(&all["rooms"][truth.room_id(number)]), sessions(&alone))
            })
            .collect()
    };
    let session = |index: u64, version: &str| {
        let key = truth.key(index);
        let path = format!("/{}/{}", escape(&key.room_id), escape(&key.session_id));
        fetch(&path, version)
    };
    let described = |version: &str| {
        let version = get(&homeserver, &format!("{V3}/room_keys/version/{version}")).json();
        (version["count"].clone(), version["etag"].clone())
    };

    let whole = (Some(40_usize), Some(40_usize));
    for version in ["1", "2"] {
        assert_eq!(described(version), (json!(150), json!("150")));
        assert_eq!(
            sizes(version),
            [whole, whole, whole, (Some(30), Some(30)), (None, Some(0))]
        );
        assert_eq!(session(149, version).status, 200);
        for index in [150, 160, 199] {
            let missing = session(index, version);
            assert_eq!(missing.errcode(), (404, "M_NOT_FOUND".to_owned()));
            assert_eq!(missing.json()["error"], "No room_keys found");
        }
    }
    homeserver.release_held_back();
    for version in ["1", "2"] {
        assert_eq!(described(version), (json!(200), json!("200")));
        assert_eq!(sizes(version), [whole; 5]);
        for index in [149, 150, 160, 199] {
            assert_eq!(session(index, version).status, 200);
        }
    }
}

#[test]
fn all_keys_can_be_held_back() {
    let homeserver = Homeserver::start(Config {
        held_back: 1000,
        ..Config::default()
    })
    .expect("it starts");
    let all = || get(&homeserver, &format!("{V3}/room_keys/keys?version=1")).json();
    assert_eq!(all(), json!({ "rooms": {} }));
    homeserver.release_held_back();
    assert_eq!(all()["rooms"].as_object().map(serde_json::Map::len), Some(10));
}

#[test]
fn account_data_is_kept() {
    let homeserver = start();
    let account = homeserver.account();
    let path = format!("{V3}/user/%40alice%3Alocalhost/account_data/m.key_backup");
    let token = Some(account.access_token.as_str());
    let put = |body: &str| request(account, "PUT", &path, token, body);
    assert_eq!(put(r#"{"enabled":true}"#).json(), json!({}));
    assert_eq!(get(&homeserver, &path).json(), json!({ "enabled": true }));
    assert_eq!(put("[]").errcode(), (400, "M_BAD_JSON".to_owned()));
    assert_eq!(put("{").errcode(), (400, "M_NOT_JSON".to_owned()));
    let delete = request(account, "DELETE", &path, token, "");
    assert_eq!(delete.errcode(), (405, "M_UNRECOGNIZED".to_owned()));
}

#[test]
fn a_connection_serves_many_requests() {
    let homeserver = start();
    let mut stream = connect(homeserver.account());
    let token = &homeserver.account().access_token;
    let mut bytes = [0; 4096];
    for _ in 0..3 {
        write!(
            stream,
            "GET {V3}/room_keys/version HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .expect("the connection is open");
        let length = stream.read(&mut bytes).expect("there is an answer");
        assert!(bytes[..length].starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(homeserver.requests().total(), 3);
}
