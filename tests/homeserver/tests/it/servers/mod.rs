//! How the kinds of server differ.

mod dendrite;
mod palpo;

use keyferry_test_homeserver::{Config, FaultKind, Homeserver, ServerKind, VersionAction};
use serde_json::{Value, json};

use crate::client::{Reply, V3, escape, get};

const CONDUITS_FAMILY: [ServerKind; 4] = [
    ServerKind::Conduit,
    ServerKind::Continuwuity,
    ServerKind::Conduwuit,
    ServerKind::Tuwunel,
];

fn start(server: ServerKind, config: Config) -> Homeserver {
    Homeserver::start(Config { server, ..config }).expect("it starts")
}

fn small(server: ServerKind) -> Homeserver {
    start(
        server,
        Config {
            keys: 12,
            rooms: 3,
            ..Config::default()
        },
    )
}

fn fetch(homeserver: &Homeserver, path: &str) -> Reply {
    get(homeserver, &format!("{V3}/room_keys/{path}"))
}

fn not_found() -> (u16, String) {
    (404, "M_NOT_FOUND".to_owned())
}

/// Returns the path of a key, with its room and its session.
fn path_of(homeserver: &Homeserver, index: u64) -> String {
    let key = homeserver.truth().key(index);
    format!("keys/{}/{}", escape(&key.room_id), escape(&key.session_id))
}

fn room_path(homeserver: &Homeserver, room: u64) -> String {
    format!("keys/{}", escape(&homeserver.truth().room_id(room)))
}

/// Returns the etag, the count and the number of the current version.
fn current(homeserver: &Homeserver) -> (String, u64, String) {
    let version = fetch(homeserver, "version").json();
    let text = |name: &str| version[name].as_str().expect("it is text").to_owned();
    (
        text("etag"),
        version["count"].as_u64().expect("it is a number"),
        text("version"),
    )
}

#[test]
fn known_server_names_are_parsed_and_others_refused_with_a_list() {
    for kind in ServerKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    let refused = "Palpo".parse::<ServerKind>().expect_err("names are in lower case");
    assert!(ServerKind::ALL.iter().all(|kind| refused.contains(kind.name())));
    assert_eq!(Config::default().server, ServerKind::Synapse);
}

#[test]
fn an_unknown_version_is_an_error_or_has_no_keys() {
    for kind in ServerKind::ALL {
        let homeserver = small(kind);
        homeserver.set_version_state(VersionAction::Delete);
        for version in ["1", "7", "seven"] {
            let everything = fetch(&homeserver, &format!("keys?version={version}"));
            let room = fetch(&homeserver, &format!("{}?version={version}", room_path(&homeserver, 0)));
            if CONDUITS_FAMILY.contains(&kind) {
                assert_eq!((everything.status, everything.json()), (200, json!({ "rooms": {} })));
                assert_eq!((room.status, room.json()), (200, json!({ "sessions": {} })));
            } else if kind == ServerKind::Palpo {
                assert_eq!((everything.status, everything.json()), (200, json!({ "rooms": {} })));
                assert_eq!(room.errcode(), not_found());
            } else {
                assert_eq!((everything.errcode(), room.errcode()), (not_found(), not_found()));
            }
            let session = fetch(&homeserver, &format!("{}?version={version}", path_of(&homeserver, 0)));
            assert_eq!(session.errcode(), not_found());
            let described = fetch(&homeserver, &format!("version/{version}"));
            assert_eq!(described.errcode(), not_found());
        }
    }
}

#[test]
fn the_latest_version_has_the_highest_number_or_the_last_text() {
    for kind in ServerKind::ALL {
        let config = Config {
            first_version: 998,
            ..Config::default()
        };
        let homeserver = start(kind, config);
        assert_eq!(homeserver.account().backup_version, "998");
        homeserver.set_version_state(VersionAction::NewWithKeys);
        assert_eq!(current(&homeserver).2, "999");
        homeserver.set_version_state(VersionAction::NewWithKeys);
        let as_text = CONDUITS_FAMILY.contains(&kind) && kind != ServerKind::Tuwunel;
        assert_eq!(current(&homeserver).2, if as_text { "999" } else { "1000" });
        homeserver.set_version_state(VersionAction::DeleteOldest);
        for (version, status) in [("998", 404), ("999", 200), ("1000", 200)] {
            assert_eq!(fetch(&homeserver, &format!("version/{version}")).status, status);
        }
        if as_text {
            homeserver.set_version_state(VersionAction::Delete);
            assert_eq!(current(&homeserver).2, "1000");
        }
    }
}

#[test]
fn a_version_counts_the_keys_of_versions_with_the_same_prefix() {
    for kind in ServerKind::ALL {
        let config = Config {
            first_version: 1,
            held_back: 40,
            ..Config::default()
        };
        let homeserver = start(kind, config);
        for _ in 2..=11 {
            homeserver.set_version_state(VersionAction::New);
        }
        homeserver.set_version_state(VersionAction::NewWithKeys);
        let count = |version: &str| fetch(&homeserver, &format!("version/{version}")).json()["count"].clone();
        let alike = CONDUITS_FAMILY.contains(&kind);
        assert_eq!(count("1"), if alike { 120 } else { 60 });
        assert_eq!((count("2"), count("11"), count("12")), (0.into(), 0.into(), 60.into()));
        homeserver.release_held_back();
        assert_eq!(count("1"), if alike { 200 } else { 100 });
        homeserver.set_faults(vec![FaultKind::WrongCount { count: 7 }.into()]);
        assert_eq!(count("1"), 7);
    }
}

#[test]
fn the_etag_moves_with_keys_and_on_some_servers_with_auth_data() {
    for kind in ServerKind::ALL {
        let config = Config {
            held_back: 40,
            ..Config::default()
        };
        let homeserver = start(kind, config);
        let first = current(&homeserver);
        homeserver.set_version_state(VersionAction::TouchAuthData);
        let touched = current(&homeserver);
        let stays = matches!(kind, ServerKind::Synapse | ServerKind::Dendrite);
        assert_eq!(first.0 == touched.0, stays, "{kind:?}");
        assert_eq!(first.1, touched.1);
        homeserver.release_held_back();
        let released = current(&homeserver);
        assert_eq!(touched.0 == released.0, kind == ServerKind::Palpo);
        assert_eq!(released.1, 100);

        homeserver.set_version_state(VersionAction::New);
        let empty = if kind == ServerKind::Dendrite { "" } else { "0" };
        assert_eq!(current(&homeserver), (empty.to_owned(), 0, "2".to_owned()));
    }
}

#[test]
fn all_servers_but_dendrite_report_a_soft_logout() {
    for kind in ServerKind::ALL {
        let homeserver = small(kind);
        homeserver.set_access_token("new", true);
        let refused = fetch(&homeserver, "version");
        assert_eq!(refused.errcode(), (401, "M_UNKNOWN_TOKEN".to_owned()));
        let told = refused.json().get("soft_logout").cloned();
        assert_eq!(told, (kind != ServerKind::Dendrite).then_some(Value::Bool(true)));
    }
}

#[test]
fn conduit_fails_on_a_bad_room_id_but_for_single_rooms() {
    for kind in ServerKind::ALL {
        let config = Config {
            keys: 12,
            rooms: 3,
            bad_room_id: true,
            ..Config::default()
        };
        let homeserver = start(kind, config);
        let everything = fetch(&homeserver, "keys?version=1");
        if kind == ServerKind::Conduit {
            assert_eq!(everything.errcode(), (500, "M_UNKNOWN".to_owned()));
            assert_eq!(fetch(&homeserver, "keys?version=2").json(), json!({ "rooms": {} }));
            assert_eq!(current(&homeserver).1, 12);
        } else {
            assert_eq!(
                everything.json()["rooms"].as_object().map(serde_json::Map::len),
                Some(3)
            );
        }
        let room = fetch(&homeserver, &format!("{}?version=1", room_path(&homeserver, 0)));
        assert_eq!(room.status, 200);
        let session = fetch(&homeserver, &format!("{}?version=1", path_of(&homeserver, 0)));
        assert_eq!(session.status, 200);
    }
}
