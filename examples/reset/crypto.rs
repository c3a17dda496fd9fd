//! The crypto of the app: an `OlmMachine` with a database, and the secret storage that the account has or will have.

use std::{error::Error, path::Path, sync::Arc};

use keyferry::{
    Account, AccountData, ClientOptions, HomeserverAccountData, HttpTransport, JobHost, OlmMachineBackupSigner,
    OlmMachineSecretKeeper, OlmMachineSource,
};
use matrix_sdk_crypto::{OlmMachine, secret_storage::SecretStorageKey};
use matrix_sdk_sqlite::SqliteCryptoStore;
use ruma::{OwnedDeviceId, UserId, events::secret_storage::key::SecretStorageKeyEventContent};

/// Gives a client access to the crypto of the account. `new_storage` is the key of the storage that the reset makes;
/// without it, the recovery key opens the storage that there is.
pub(crate) async fn with_crypto(
    options: ClientOptions,
    directory: &Path,
    recovery_key: &str,
    new_storage: Option<SecretStorageKey>,
    transport: Arc<dyn HttpTransport>,
    host: Arc<dyn JobHost>,
) -> Result<ClientOptions, Box<dyn Error>> {
    let machine = open_machine(&options.account, directory).await?;
    let account_data = Arc::new(HomeserverAccountData::new(&options.account, transport, host)?);
    let key = match new_storage {
        Some(key) => key,
        None => storage_key(&*account_data, recovery_key).await?,
    };
    let keeper = OlmMachineSecretKeeper::new(machine.clone(), account_data, key);
    Ok(ClientOptions {
        secret_keeper: Some(Arc::new(keeper)),
        backup_signer: Some(Arc::new(OlmMachineBackupSigner::new(machine.clone()))),
        room_key_source: Some(Arc::new(OlmMachineSource::new(machine))),
        ..options
    })
}

async fn open_machine(account: &Account, directory: &Path) -> Result<OlmMachine, Box<dyn Error>> {
    let user_id = UserId::parse(&account.user_id)?;
    let device_id = OwnedDeviceId::from(account.device_id.as_str());
    let store = SqliteCryptoStore::open(directory, None).await?;
    Ok(OlmMachine::with_store(&user_id, &device_id, store, None).await?)
}

/// Returns the key of the account's secret storage.
async fn storage_key(account_data: &dyn AccountData, recovery_key: &str) -> Result<SecretStorageKey, Box<dyn Error>> {
    let default = account_data.account_data("m.secret_storage.default_key").await?;
    let default = default.ok_or("The account has no secret storage.")?;
    let id = default["key"].as_str().ok_or("Secret storage has no default key.")?;
    let description = account_data.account_data(&format!("m.secret_storage.key.{id}")).await?;
    let description = description.ok_or("Secret storage has no description of its key.")?;
    let mut content = SecretStorageKeyEventContent::new(id.to_owned(), serde_json::from_value(description.clone())?);
    content.passphrase = serde_json::from_value(description["passphrase"].clone()).ok();
    let key = SecretStorageKey::from_account_data(recovery_key, content);
    Ok(key.map_err(|_| "The recovery key does not open secret storage.")?)
}
