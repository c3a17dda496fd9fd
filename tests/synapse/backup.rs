//! Prepares an account for a restore: rooms, a backup, and its key in secret storage.

use keyferry_test_synapse::Device;
use matrix_sdk_crypto::{OlmMachine, secret_storage::SecretStorageKey, store::types::BackupDecryptionKey};
use ruma::{OwnedRoomId, api::client::backup::add_backup_keys, events::secret::request::SecretName};
use serde_json::json;

pub(crate) async fn create_room(user: &Device) -> OwnedRoomId {
    let answer = user.post("createRoom", json!({})).await;
    OwnedRoomId::try_from(answer["room_id"].as_str().expect("a room id")).expect("a room id")
}

pub(crate) async fn create_backup(user: &Device, key: &BackupDecryptionKey) -> String {
    let info = serde_json::to_value(key.to_backup_info()).expect("JSON");
    let answer = user.post("room_keys/version", info).await;
    answer["version"].as_str().expect("a version").to_owned()
}

/// Makes the machine upload its keys to this backup version.
pub(crate) async fn switch_backups_on(machine: &OlmMachine, key: &BackupDecryptionKey, version: &str) {
    let backups = machine.backup_machine();
    let saved = backups.save_decryption_key(Some(key.clone()), Some(version.to_owned()));
    saved.await.expect("the key is saved");
    let backup_key = key.megolm_v1_public_key();
    backup_key.set_version(version.to_owned());
    backups.enable_backup_v1(backup_key).await.expect("backups are on");
}

/// Uploads all keys that the machine wants to back up, and returns their number.
pub(crate) async fn upload(machine: &OlmMachine, user: &Device) -> usize {
    let mut keys = 0;
    while let Some((request_id, request)) = machine.backup_machine().backup().await.expect("a request") {
        keys += request.rooms.values().map(|room| room.sessions.len()).sum::<usize>();
        let path = format!("room_keys/keys?version={}", request.version);
        let body = user.put(&path, json!({ "rooms": request.rooms })).await;
        let response = add_backup_keys::v3::Response::new(
            body["etag"].as_str().expect("an etag").to_owned(),
            body["count"]
                .as_u64()
                .expect("a count")
                .try_into()
                .expect("a small count"),
        );
        machine
            .mark_request_as_sent(&request_id, &response)
            .await
            .expect("it was sent");
    }
    keys
}

pub(crate) async fn store_in_secret_storage(user: &Device, backup_key: &BackupDecryptionKey) -> String {
    let storage_key = SecretStorageKey::new();
    let id = storage_key.key_id();
    let secret = storage_key.encrypt(backup_key.to_base64().into_bytes(), &SecretName::RecoveryKey);
    for (kind, content) in [
        (
            format!("m.secret_storage.key.{id}"),
            serde_json::to_value(storage_key.event_content()).expect("JSON"),
        ),
        ("m.secret_storage.default_key".to_owned(), json!({ "key": id })),
        ("m.megolm_backup.v1".to_owned(), json!({ "encrypted": { id: secret } })),
    ] {
        user.put(&format!("user/{}/account_data/{kind}", user.user_id), content)
            .await;
    }
    storage_key.to_base58()
}
