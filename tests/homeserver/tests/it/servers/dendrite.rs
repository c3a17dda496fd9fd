//! How Dendrite differs from the other servers.

use keyferry_test_homeserver::{ServerKind, VersionAction};
use serde_json::json;

use super::{current, fetch, not_found, path_of, room_path, small};

#[test]
fn dendrite_has_no_current_version_once_the_newest_is_deleted() {
    let homeserver = small(ServerKind::Dendrite);
    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    homeserver.set_version_state(VersionAction::Delete);
    assert_eq!(fetch(&homeserver, "version").errcode(), not_found());
    assert_eq!(fetch(&homeserver, "version/1").json()["count"], 12);
    assert_eq!(fetch(&homeserver, &room_path(&homeserver, 0)).errcode(), not_found());
    let keys = fetch(&homeserver, "keys?version=1").json();
    assert_eq!(keys["rooms"].as_object().map(serde_json::Map::len), Some(3));

    homeserver.set_version_state(VersionAction::New);
    assert_eq!(current(&homeserver).2, "3");
    homeserver.set_version_state(VersionAction::DeleteOldest);
    assert_eq!(current(&homeserver).2, "3");
    assert_eq!(fetch(&homeserver, "version/1").errcode(), not_found());
}

#[test]
fn dendrite_cannot_describe_a_version_after_an_empty_upload() {
    for kind in ServerKind::ALL {
        let homeserver = small(kind);
        homeserver.set_version_state(VersionAction::NewWithKeys);
        homeserver.set_version_state(VersionAction::EmptyUpload);
        for path in ["version", "version/2"] {
            let described = fetch(&homeserver, path);
            if kind == ServerKind::Dendrite {
                let content = json!({ "message": "Internal Server Error" });
                assert_eq!((described.status, described.json()), (500, content));
            } else {
                assert_eq!(described.json()["etag"], current(&homeserver).0);
            }
        }
        assert_eq!(fetch(&homeserver, "version/1").status, 200);
        let session = fetch(&homeserver, &format!("{}?version=2", path_of(&homeserver, 0)));
        assert_eq!(session.status, 200);
        homeserver.set_version_state(VersionAction::TouchAuthData);
        assert_eq!(fetch(&homeserver, "version").status, 200);
    }
}

#[test]
fn dendrite_reads_a_missing_version_as_the_current_one() {
    for kind in ServerKind::ALL {
        let homeserver = small(kind);
        homeserver.set_version_state(VersionAction::NewWithOtherKey);
        for path in ["keys".to_owned(), room_path(&homeserver, 0), path_of(&homeserver, 0)] {
            let without = fetch(&homeserver, &path);
            if kind == ServerKind::Dendrite {
                let of = |version| fetch(&homeserver, &format!("{path}?version={version}")).json();
                assert_eq!(without.json(), of(2));
                assert_ne!(without.json(), of(1));
            } else {
                assert_eq!(without.errcode(), (400, "M_MISSING_PARAM".to_owned()));
            }
        }
    }
}
