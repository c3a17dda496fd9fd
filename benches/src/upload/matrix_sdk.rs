//! matrix-sdk's way, with its parts: `BackupMachine` makes requests of 100 keys, and waits 100 ms after each.

use std::time::{Duration, Instant};

use matrix_sdk_crypto::{OlmMachine, store::types::BackupDecryptionKey};
use ruma::{UInt, api::client::backup::add_backup_keys};
use serde_json::json;
use tokio::runtime::Runtime;

use super::Uploaded;
use crate::{
    Failure,
    account::Account,
    child,
    sdk::{StoreKey, decrypted, open_machine},
};

/// As matrix-sdk waits by default (`Backups`, `UploadDelay`).
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn run(account: &Account, pauses: bool) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    // Without it, dropping the store aborts the process.
    let _context = runtime.enter();
    let machine = runtime.block_on(async {
        let machine = open_machine(account, directory.path(), StoreKey::None).await?;
        // Without marking its keys as backed up.
        let keys = decrypted(account, &reqwest::Client::new()).await?;
        machine.store().import_room_keys(keys, None, |_, _| {}).await?;
        Ok::<_, Failure>(machine)
    })?;
    child::answer(machine, |machine| runtime.block_on(upload(account, &machine, pauses)))
}

async fn upload(account: &Account, machine: &OlmMachine, pauses: bool) -> Result<Uploaded, Failure> {
    let client = reqwest::Client::new();
    let key = BackupDecryptionKey::new();
    let version = account
        .create_version(&serde_json::to_value(key.to_backup_info())?)
        .await?;
    let public_key = key.megolm_v1_public_key();
    public_key.set_version(version.clone());
    let backups = machine.backup_machine();
    backups.save_decryption_key(Some(key), Some(version.clone())).await?;
    backups.enable_backup_v1(public_key).await?;
    let began = Instant::now();
    let mut keys = 0;
    while let Some((id, request)) = backups.backup().await? {
        keys += request
            .rooms
            .values()
            .map(|room| room.sessions.len() as u64)
            .sum::<u64>();
        let url = account.url(&format!("room_keys/keys?version={}", request.version));
        let body = json!({ "rooms": request.rooms }).to_string();
        let put = client.put(url).bearer_auth(&account.access_token).body(body);
        put.send().await?.error_for_status()?;
        let answer = add_backup_keys::v3::Response::new(String::new(), UInt::MIN);
        machine.mark_request_as_sent(&id, &answer).await?;
        if pauses {
            tokio::time::sleep(PAUSE).await;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    account.delete_version(&version).await?;
    if keys != account.keys {
        return Err(format!("{keys} keys were uploaded").into());
    }
    Ok(Uploaded { seconds, keys })
}
