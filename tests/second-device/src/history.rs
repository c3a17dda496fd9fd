//! A device writes a history and backs its keys up; a new one cannot read it, until keyferry has filled its crypto store.

use std::{error::Error, sync::Arc};

use keyferry::{
    Account, ClientOptions, KeyBackupClient, ReqwestTransport, RunBudget, RunOutcome, UnlockSecret, VaultProtection,
};
use keyferry_matrix_sdk::ClientSink;
use matrix_sdk::{
    Client, Room,
    config::SyncSettings,
    room::MessagesOptions,
    ruma::{
        OwnedRoomId,
        api::client::room::create_room::v3::Request as CreateRoom,
        events::{
            InitialStateEvent, room::encryption::RoomEncryptionEventContent, room::message::RoomMessageEventContent,
        },
        uint,
    },
};

use crate::{sign_in, token_host::TokenHost};

const MESSAGES: usize = 20;

/// Prints how many messages of a room a new device reads before and after a run of keyferry.
pub(crate) async fn prove(url: &str, user: &str, password: &str) -> Result<(), Box<dyn Error>> {
    let first = sign_in(url, user, password).await?;
    let room_id = write_history(&first).await?;
    let recovery = first.encryption().recovery();
    let recovery_key = recovery.enable().wait_for_backups_to_upload().await?;

    let new = sign_in(url, user, password).await?;
    let room = new.get_room(&room_id).ok_or("the room is joined")?;
    println!("before: {} of {MESSAGES}", read(&room).await?);
    println!("delivered: {}", restore(url, &new, recovery_key).await?);
    println!("after: {} of {MESSAGES}", read(&room).await?);
    Ok(())
}

/// Sends messages to a new encrypted room, with a session for each, and returns the room.
async fn write_history(client: &Client) -> Result<OwnedRoomId, Box<dyn Error>> {
    let mut request = CreateRoom::new();
    let encryption = RoomEncryptionEventContent::with_recommended_defaults();
    request.initial_state = vec![InitialStateEvent::with_empty_state_key(encryption).to_raw_any()];
    let room = client.create_room(request).await?;
    client.sync_once(SyncSettings::default()).await?;
    for number in 0..MESSAGES {
        room.send(RoomMessageEventContent::text_plain(format!("message {number}")))
            .await?;
        room.discard_room_key().await?;
    }
    Ok(room.room_id().to_owned())
}

/// Returns how many of the room's messages the device can read.
async fn read(room: &Room) -> Result<usize, Box<dyn Error>> {
    let mut options = MessagesOptions::backward();
    options.limit = uint!(100);
    let messages = room.messages(options).await?;
    let texts = messages
        .chunk
        .iter()
        .filter(|event| event.raw().json().get().contains("message "));
    Ok(texts.count())
}

/// Runs keyferry with the client as its sink, and returns how many keys were delivered.
async fn restore(url: &str, client: &Client, recovery_key: String) -> Result<u64, Box<dyn Error>> {
    let session = client.matrix_auth().session().ok_or("the client is signed in")?;
    let directory = tempfile::tempdir()?;
    let options = ClientOptions::new(
        Account {
            homeserver_url: url.to_owned(),
            user_id: session.meta.user_id.to_string(),
            device_id: session.meta.device_id.to_string(),
        },
        directory.path().display().to_string(),
        VaultProtection::NoProtection,
    );
    let host = Arc::new(TokenHost::new(session.tokens.access_token));
    let sink = Arc::new(ClientSink::new(client.clone()));
    let backup = KeyBackupClient::open(options, Arc::new(ReqwestTransport::new()?), host, Some(sink)).await?;
    let secret = UnlockSecret::RecoveryKey {
        text: recovery_key.into(),
    };
    backup.unlock(secret).await?;
    let report = backup.download().run(RunBudget::default()).await;
    backup.shutdown();
    match report.outcome {
        RunOutcome::Completed { .. } => Ok(report.summary.delivered),
        outcome => Err(format!("{outcome:?}").into()),
    }
}
