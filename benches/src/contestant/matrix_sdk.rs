//! Restores in matrix-sdk's way, with its parts: the whole body in memory, entries decrypted one by one, one import.

use std::collections::BTreeMap;

use matrix_sdk_crypto::{OlmMachine, olm::ExportedRoomKey, store::types::BackupDecryptionKey};
use matrix_sdk_sqlite::SqliteCryptoStore;
use ruma::{
    OwnedDeviceId, UserId,
    api::{IncomingResponse, client::backup::get_backup_keys},
    exports::http,
};
use tokio::runtime::Runtime;

use crate::{Failure, account::Account, child};

pub(crate) fn run(account: &Account) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    // Without it, dropping the store aborts the process.
    let _context = runtime.enter();
    let store = runtime.block_on(SqliteCryptoStore::open(directory.path(), None))?;
    let user_id = UserId::parse(&account.user_id)?;
    let device_id = OwnedDeviceId::from(account.device_id.as_str());
    let machine = runtime.block_on(OlmMachine::with_store(&user_id, &device_id, store, None))?;
    child::answer((machine, reqwest::Client::new()), |(machine, client)| {
        runtime.block_on(async {
            let body = account
                .everything(&client)
                .send()
                .await?
                .error_for_status()?
                .bytes()
                .await?;
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
            let version = Some(account.backup_version.as_str());
            let result = machine.store().import_room_keys(keys, version, |_, _| {}).await?;
            if result.imported_count as u64 == account.keys {
                Ok(())
            } else {
                Err(format!("{} keys were imported", result.imported_count).into())
            }
        })
    })
}
