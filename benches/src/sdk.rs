//! The parts of matrix-sdk that contestants are made of: a machine over a store of matrix-sdk-sqlite, and a whole backup
//! in memory.

use std::{collections::BTreeMap, path::Path};

use matrix_sdk_crypto::{OlmMachine, olm::ExportedRoomKey, store::types::BackupDecryptionKey};
use matrix_sdk_sqlite::SqliteCryptoStore;
use ruma::{
    OwnedDeviceId, UserId,
    api::{IncomingResponse, client::backup::get_backup_keys},
    exports::http,
};

use crate::{Failure, account::Account};

/// Whether the store encrypts what it holds, and hashes the names of sessions with a secret of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKey {
    None,
    Some,
}

/// Opens a machine with a new store in this directory. Dropping it outside a runtime aborts the process.
pub(crate) async fn open_machine(account: &Account, directory: &Path, key: StoreKey) -> Result<OlmMachine, Failure> {
    let secret = [7; 32];
    let secret = (key == StoreKey::Some).then_some(&secret);
    let store = SqliteCryptoStore::open_with_key(directory, secret).await?;
    let user_id = UserId::parse(&account.user_id)?;
    let device_id = OwnedDeviceId::from(account.device_id.as_str());
    Ok(OlmMachine::with_store(&user_id, &device_id, store, None).await?)
}

/// Downloads the whole backup, and decrypts it.
pub(crate) async fn decrypted(account: &Account, client: &reqwest::Client) -> Result<Vec<ExportedRoomKey>, Failure> {
    let answer = account.everything(client).send().await?.error_for_status()?;
    let body = answer.bytes().await?;
    let response = get_backup_keys::v3::Response::try_from_http_response(http::Response::new(body))?;
    let decryption_key = BackupDecryptionKey::from_base64(&account.backup_decryption_key_base64)?;
    let mut keys = Vec::new();
    for (room_id, room) in response.rooms {
        let sessions: BTreeMap<_, _> = room.sessions;
        for (session_id, raw) in sessions {
            let entry = raw.deserialize()?;
            let key = decryption_key.decrypt_session_data(entry.session_data)?;
            keys.push(ExportedRoomKey::from_backed_up_room_key(
                room_id.clone(),
                session_id,
                key,
            ));
        }
    }
    Ok(keys)
}
