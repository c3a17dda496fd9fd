//! Comparisons with the keys that the server has in truth.

use std::collections::HashMap;

use keyferry::{KeyBackupClient, RoomKey, RoomKeyLookup};
use keyferry_test_homeserver::{Homeserver, TrueKey};

/// Asserts that a key equals the truth.
pub(crate) fn assert_true(key: &RoomKey, truth: &TrueKey) {
    assert_eq!(key.room_id, truth.room_id);
    assert_eq!(key.session_id, truth.session_id);
    assert_eq!(key.session_key.expose(), truth.session_key);
    assert_eq!(key.sender_key, truth.sender_key);
    assert_eq!(key.first_known_index, truth.first_known_index);
    assert_eq!(key.shared_history, truth.shared_history);
}

/// Asserts that each usable key was delivered once, as it is in the truth, and nothing else.
pub(crate) fn assert_all_once(delivered: &[RoomKey], homeserver: &Homeserver) {
    let mut by_name: HashMap<(&str, &str), &RoomKey> = HashMap::new();
    for key in delivered {
        let before = by_name.insert((&key.room_id, &key.session_id), key);
        assert!(before.is_none(), "delivered twice: {}", key.session_id);
    }
    let mut usable = 0;
    for index in 0..homeserver.truth().len() {
        let truth = homeserver.truth().key(index);
        if truth.usable {
            usable += 1;
            let key = by_name.get(&(truth.room_id.as_str(), truth.session_id.as_str()));
            assert_true(key.expect("every usable key is delivered"), &truth);
        }
    }
    assert_eq!(by_name.len(), usable);
}

/// Asserts that the vault equals the truth, key by key.
pub(crate) async fn assert_vault_complete(client: &KeyBackupClient, homeserver: &Homeserver) {
    for index in 0..homeserver.truth().len() {
        let truth = homeserver.truth().key(index);
        let found = client
            .find_room_key(truth.room_id.clone(), truth.session_id.clone())
            .await
            .expect("a look-up");
        match found {
            RoomKeyLookup::Found { key, .. } => assert_true(&key, &truth),
            RoomKeyLookup::Unusable { .. } if !truth.usable => {}
            other => panic!("key {index}: {other:?}"),
        }
    }
}
