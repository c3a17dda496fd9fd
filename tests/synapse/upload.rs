//! What a machine uploads to the backup from which its keys were restored.

use std::sync::Arc;

use keyferry::{KeyBackupClient, OlmMachineSink, RunBudget, RunOutcome, UnlockSecret};
use matrix_sdk_crypto::{EncryptionSettings, OlmMachine, store::types::BackupDecryptionKey};
use matrix_sdk_sqlite::SqliteCryptoStore;
use ruma::{OwnedUserId, RoomId};

use crate::{
    backup::{create_backup, create_room, store_in_secret_storage, switch_backups_on, upload},
    common::{host, options, synapse, transport},
};

const SESSIONS: usize = 120;

#[tokio::test]
#[ignore = "needs Synapse: run scripts/test.sh synapse"]
async fn restored_keys_are_uploaded_only_to_a_new_version() {
    let directory = tempfile::tempdir().expect("a directory");
    let synapse = synapse().await;
    let user = synapse.register("alice", "FIRST").await;
    let user_id = OwnedUserId::try_from(user.user_id.as_str()).expect("a user id");
    let machine = OlmMachine::new(&user_id, user.id.as_str().into()).await;
    let key = BackupDecryptionKey::new();
    let version = create_backup(&user, &key).await;
    switch_backups_on(&machine, &key, &version).await;
    let recovery_key = store_in_secret_storage(&user, &key).await;
    let room_id = create_room(&user).await;
    for _ in 0..SESSIONS {
        new_session(&machine, &room_id).await;
    }
    assert_eq!(upload(&machine, &user).await, SESSIONS);

    // A second device already has a session of its own.
    let store = SqliteCryptoStore::open(directory.path().join("store"), None)
        .await
        .expect("a store");
    let second = synapse.login("alice", "SECOND").await;
    let restored = OlmMachine::with_store(&user_id, "SECOND".into(), store, None)
        .await
        .expect("a machine");
    switch_backups_on(&restored, &key, &version).await;
    new_session(&restored, &room_id).await;
    let sink = Arc::new(OlmMachineSink::new(restored.clone()));
    let options = options(&synapse, &second, directory.path().join("vault"));
    let client = KeyBackupClient::open(options, transport(), host(&second), Some(sink))
        .await
        .expect("the client opens");
    let restore = async || {
        let text = recovery_key.as_str().into();
        let unlocked = client.unlock(UnlockSecret::RecoveryKey { text }).await;
        unlocked.expect("the recovery key fits");
        let report = client.download().run(RunBudget::default()).await;
        assert!(
            matches!(report.outcome, RunOutcome::Completed { .. }),
            "{:?}",
            report.outcome
        );
        let counts = restored.backup_machine().room_key_counts().await.expect("counts");
        (counts.total, counts.backed_up)
    };
    assert_eq!(restore().await, (SESSIONS + 1, SESSIONS));
    assert_eq!(upload(&restored, &second).await, 1);

    // A new version with the same key. The store is filled again, but has uploaded nothing to this version.
    let version = create_backup(&second, &key).await;
    restored
        .backup_machine()
        .disable_backup()
        .await
        .expect("backups are off");
    switch_backups_on(&restored, &key, &version).await;
    let redelivered = client.download().crypto_store_was_replaced().await;
    redelivered.expect("all keys will be delivered again");
    assert_eq!(restore().await, (SESSIONS + 1, 0));
    assert_eq!(upload(&restored, &second).await, SESSIONS + 1);
    client.shutdown();
}

async fn new_session(machine: &OlmMachine, room_id: &RoomId) {
    machine.discard_room_key(room_id).await.expect("no session is in use");
    machine
        .share_room_key(room_id, std::iter::empty(), EncryptionSettings::default())
        .await
        .expect("a session");
}
