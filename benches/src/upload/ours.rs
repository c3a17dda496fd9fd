//! keyferry: moves the backup to a new key.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use keyferry::{
    AccountData, ClientOptions, HomeserverAccountData, KeyBackupClient, OlmMachineBackupSigner, OlmMachineSecretKeeper,
    OlmMachineSource, PreferencePolicy, ReqwestTransport, ResetCause, ResetOutcome, ResetStep, RunBudget,
};
use matrix_sdk_crypto::{OlmMachine, secret_storage::SecretStorageKey};
use ruma::{OwnedDeviceId, UserId};
use serde_json::json;
use tokio::runtime::Runtime;

use super::Uploaded;
use crate::{Failure, account::Account, app, child, token_host::TokenHost};

/// When the first and the last upload ended, as far as was heard.
type Times = Arc<Mutex<(Option<Instant>, Option<Instant>)>>;

pub(super) fn run(account: &Account) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    let times = Times::default();
    let client = runtime.block_on(prepare(account, directory.path(), times.clone()))?;
    child::answer(client, |client| runtime.block_on(move_backup(account, &client, &times)))
}

/// Opens a client that has the whole backup, and begins a move.
async fn prepare(account: &Account, directory: &Path, times: Times) -> Result<Arc<KeyBackupClient>, Failure> {
    let user_id = UserId::parse(&account.user_id)?;
    let device_id = OwnedDeviceId::from(account.device_id.as_str());
    let machine = OlmMachine::new(&user_id, &device_id).await;
    let transport = Arc::new(ReqwestTransport::new()?);
    let host = TokenHost::new(account.access_token.clone()).on_reset_progress(move |progress| {
        let (first, last) = &mut *times.lock().expect("not poisoned");
        if progress.step == ResetStep::Uploading {
            first.get_or_insert_with(Instant::now);
        }
        if progress.sent == progress.total {
            last.get_or_insert_with(Instant::now);
        }
    });
    let host = Arc::new(host);
    let options = app::options(account, &directory.join("vault"));
    let account_data = HomeserverAccountData::new(&options.account, transport.clone(), host.clone())?;
    let key = new_storage(&account_data).await?;
    let keeper = OlmMachineSecretKeeper::new(machine.clone(), Arc::new(account_data), key);
    let options = ClientOptions {
        preference: Some(PreferencePolicy::OptOut),
        secret_keeper: Some(Arc::new(keeper)),
        backup_signer: Some(Arc::new(OlmMachineBackupSigner::new(machine.clone()))),
        room_key_source: Some(Arc::new(OlmMachineSource::new(machine))),
        ..options
    };
    let client = KeyBackupClient::open(options, transport, host, None).await?;
    app::unlock(&client, account).await?;
    client.download().run(RunBudget::default()).await;
    client
        .reset()
        .move_backup(ResetCause::BackupDamaged, Vec::new())
        .await?;
    Ok(client)
}

/// Creates secret storage, and returns its key.
async fn new_storage(account_data: &dyn AccountData) -> Result<SecretStorageKey, Failure> {
    let key = SecretStorageKey::new();
    let description = serde_json::to_value(key.event_content())?;
    account_data
        .set_account_data(&key.event_type().to_string(), description)
        .await?;
    let default = json!({ "key": key.key_id() });
    account_data
        .set_account_data("m.secret_storage.default_key", default)
        .await?;
    Ok(key)
}

async fn move_backup(account: &Account, client: &KeyBackupClient, times: &Times) -> Result<Uploaded, Failure> {
    let report = client.reset().run(RunBudget::default()).await;
    let status = report.status.ok_or("there is no reset")?;
    if report.outcome != ResetOutcome::Completed || status.sent != account.keys {
        return Err(format!("{:?} with {} keys", report.outcome, status.sent).into());
    }
    // The old version is the current one again, for the next contestant.
    account.delete_version(&status.new_version.unwrap_or_default()).await?;
    match *times.lock().expect("not poisoned") {
        (Some(first), Some(last)) => Ok(Uploaded {
            seconds: (last - first).as_secs_f64(),
            keys: account.keys,
        }),
        _ => Err("no progress was heard".into()),
    }
}
