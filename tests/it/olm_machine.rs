//! The ready-made sink, and our decryption held against matrix-sdk-crypto's own.

use std::{collections::HashMap, sync::Arc};

use keyferry::{KeyBackupClient, OlmMachineSink, ReqwestTransport, RoomKeyLookup, RunBudget, RunOutcome};
use matrix_sdk_crypto::{
    OlmMachine, backups::DecryptionError, olm::BackedUpRoomKey, store::types::BackupDecryptionKey,
};
use ruma::{api::client::backup::EncryptedSessionData, device_id, user_id};

use crate::common::{Setup, homeserver};

#[tokio::test]
async fn a_machine_gets_every_key_with_its_flag() {
    let homeserver = homeserver(1_200, 6);
    let setup = Setup::new(&homeserver);
    let machine = OlmMachine::new(user_id!("@alice:localhost"), device_id!("DEVICE")).await;
    let sink = Arc::new(OlmMachineSink::new(machine.clone()));
    let transport = Arc::new(ReqwestTransport::new().expect("a transport"));
    let client = KeyBackupClient::open(setup.options(), transport, setup.host.clone(), Some(sink))
        .await
        .expect("the client opens");
    client
        .unlock(setup.recovery_key())
        .await
        .expect("the recovery key fits");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(
        (report.outcome, report.summary.delivered, report.summary.refused),
        (RunOutcome::Completed, 1_200, 0)
    );

    let exported = machine.store().export_room_keys(|_| true).await.expect("an export");
    let exported: HashMap<_, _> = exported
        .into_iter()
        .map(|key| ((key.room_id.to_string(), key.session_id.clone()), key))
        .collect();
    assert_eq!(exported.len(), 1_200);
    for index in 0..homeserver.truth().len() {
        let truth = homeserver.truth().key(index);
        let key = &exported[&(truth.room_id, truth.session_id)];
        assert_eq!(key.session_key.to_base64(), truth.session_key);
        assert_eq!(key.sender_key.to_base64(), truth.sender_key);
        assert_eq!(key.shared_history, truth.shared_history);
    }
}

#[tokio::test]
async fn our_decryption_and_theirs_give_the_same_keys() {
    let homeserver = homeserver(10_000, 3);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let key = BackupDecryptionKey::from_base64(&setup.account.backup_decryption_key_base64).expect("a key");

    let url = format!(
        "{}/_matrix/client/v3/room_keys/keys?version={}",
        homeserver.url(),
        setup.account.backup_version
    );
    let body = reqwest::Client::new()
        .get(url)
        .bearer_auth(&setup.account.access_token)
        .send()
        .await;
    let body: serde_json::Value =
        serde_json::from_slice(&body.expect("an answer").bytes().await.expect("a body")).expect("JSON");
    let mut compared = 0;
    for (room_id, room) in body["rooms"].as_object().expect("rooms") {
        for (session_id, entry) in room["sessions"].as_object().expect("sessions") {
            let session_data: EncryptedSessionData =
                serde_json::from_value(entry["session_data"].clone()).expect("session data");
            let theirs: Result<BackedUpRoomKey, DecryptionError> = key.decrypt_session_data(session_data);
            let theirs = theirs.expect("a key");
            let ours = client
                .find_room_key(room_id.clone(), session_id.clone())
                .await
                .expect("a look-up");
            let RoomKeyLookup::Found { key: ours } = ours else {
                panic!("{ours:?}")
            };
            assert_eq!(ours.session_key.expose(), theirs.session_key.to_base64());
            assert_eq!(ours.sender_key, theirs.sender_key.to_base64());
            assert_eq!(ours.algorithm, theirs.algorithm.as_str());
            let claimed: HashMap<_, _> = theirs
                .sender_claimed_keys
                .iter()
                .map(|(algorithm, key)| (algorithm.to_string(), key.to_base64()))
                .collect();
            assert_eq!(ours.sender_claimed_keys, claimed);
            compared += 1;
        }
    }
    assert_eq!(compared, 10_000);
}
