//! Restores in matrix-sdk's way, with its parts: the whole body in memory, entries decrypted one by one, one import.

use tokio::runtime::Runtime;

use crate::{
    Failure,
    account::Account,
    child,
    sdk::{StoreKey, decrypted, open_machine},
};

pub(crate) fn run(account: &Account, key: StoreKey) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    // Without it, dropping the store aborts the process.
    let _context = runtime.enter();
    let machine = runtime.block_on(open_machine(account, directory.path(), key))?;
    child::answer((machine, reqwest::Client::new()), |(machine, client)| {
        runtime.block_on(async {
            let keys = decrypted(account, &client).await?;
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
