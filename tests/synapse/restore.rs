//! A complete restore: matrix-sdk-crypto uploads a backup, and another device restores it.

use std::{collections::BTreeMap, sync::Arc};

use keyferry::{KeyBackupClient, Milliseconds, OlmMachineSink, RunBudget, RunOutcome, UnlockSecret};
use matrix_sdk_crypto::{
    DecryptionSettings, EncryptionSettings, OlmMachine, TrustRequirement, store::types::BackupDecryptionKey,
};
use matrix_sdk_sqlite::SqliteCryptoStore;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, serde::Raw};
use serde_json::{Value, json};

use crate::{
    backup::{create_backup, create_room, store_in_secret_storage, switch_backups_on, upload},
    common::{host, options, synapse, transport},
};

const ROOMS: usize = 4;
const SESSIONS_PER_ROOM: usize = 40;

#[tokio::test]
#[ignore = "needs Synapse: run scripts/test.sh synapse"]
async fn a_backup_on_synapse_is_restored_and_decrypts_messages() {
    let directory = tempfile::tempdir().expect("a directory");
    let synapse = synapse().await;
    let user = synapse.register("alice", "FIRST").await;
    let user_id = OwnedUserId::try_from(user.user_id.as_str()).expect("a user id");

    // A first device creates sessions, encrypts a message with each, and backs them up.
    let machine = OlmMachine::new(&user_id, user.id.as_str().into()).await;
    let decryption_key = BackupDecryptionKey::new();
    let version = create_backup(&user, &decryption_key).await;
    switch_backups_on(&machine, &decryption_key, &version).await;
    let recovery_key = store_in_secret_storage(&user, &decryption_key).await;
    let mut messages = Vec::new();
    for room in 0..ROOMS {
        let room_id = create_room(&user).await;
        for session in 0..SESSIONS_PER_ROOM {
            messages.push(
                encrypt(
                    &machine,
                    &room_id,
                    &user_id,
                    &format!("message {session} in room {room}"),
                )
                .await,
            );
        }
        if room == 0 {
            // Keys of a room that the user has left are part of the backup.
            user.post(&format!("rooms/{room_id}/leave"), json!({})).await;
        }
    }
    upload(&machine, &user).await;

    // A second device signs in with an empty crypto store and the recovery key that the user types.
    let store = SqliteCryptoStore::open(directory.path().join("store"), None)
        .await
        .expect("a store");
    let second = synapse.login("alice", "SECOND").await;
    let restored = OlmMachine::with_store(&user_id, "SECOND".into(), store, None)
        .await
        .expect("a machine");
    let sink = Arc::new(OlmMachineSink::new(restored.clone()));
    let options = options(&synapse, &second, directory.path().join("vault"));
    let (transport, host) = (transport(), host(&second));
    let client = KeyBackupClient::open(options, transport, host, Some(sink))
        .await
        .expect("the client opens");
    client
        .unlock(UnlockSecret::RecoveryKey {
            text: recovery_key.into(),
        })
        .await
        .expect("the recovery key fits");
    // The second budget is too short for one request for all keys, so this run goes room by room.
    for budget in [None, Some(1_000)] {
        let report = client
            .download()
            .run(RunBudget {
                max_duration: budget.map(Milliseconds),
            })
            .await;
        assert!(
            matches!(report.outcome, RunOutcome::Completed { .. }),
            "{:?}",
            report.outcome
        );
        let keys = (ROOMS * SESSIONS_PER_ROOM) as u64;
        assert_eq!(
            (report.summary.total, report.summary.opened, report.summary.delivered),
            (keys, keys, keys)
        );
    }

    let exported = async |machine: &OlmMachine| {
        let keys = machine.store().export_room_keys(|_| true).await.expect("an export");
        keys.into_iter()
            .map(|key| {
                (
                    (key.room_id.clone(), key.session_id.clone()),
                    (key.session_key.to_base64(), key.sender_key),
                )
            })
            .map(|(name, (key, sender))| (name, (key, sender.to_base64())))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(exported(&restored).await, exported(&machine).await);
    let settings = DecryptionSettings {
        sender_device_trust_requirement: TrustRequirement::Untrusted,
    };
    for (room_id, event, text) in messages {
        let event: Raw<_> = Raw::new(&event).expect("JSON").cast_unchecked();
        let decrypted = restored
            .decrypt_room_event(&event, &room_id, &settings)
            .await
            .expect("a message");
        let content = decrypted.event.deserialize_as_unchecked::<Value>().expect("JSON");
        assert_eq!(content["content"]["body"], text.as_str());
    }
    client.shutdown();
}

async fn encrypt(
    machine: &OlmMachine,
    room_id: &RoomId,
    sender: &OwnedUserId,
    text: &str,
) -> (OwnedRoomId, Value, String) {
    machine
        .discard_room_key(room_id)
        .await
        .expect("a new session for each message");
    machine
        .share_room_key(room_id, std::iter::empty(), EncryptionSettings::default())
        .await
        .expect("a session");
    let content = Raw::new(&json!({ "msgtype": "m.text", "body": text }))
        .expect("JSON")
        .cast_unchecked();
    let encrypted = machine
        .encrypt_room_event_raw(room_id, "m.room.message", &content)
        .await
        .expect("a message");
    let event = json!({
        "type": "m.room.encrypted",
        "event_id": "$event",
        "origin_server_ts": 1,
        "sender": sender,
        "room_id": room_id,
        "content": encrypted.content,
    });
    (room_id.to_owned(), event, text.to_owned())
}
