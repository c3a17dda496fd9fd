//! The floor of delivery: the sessions of the backup saved by matrix-sdk-sqlite in one transaction, and nothing else.

use matrix_sdk_crypto::{olm::InboundGroupSession, store::CryptoStore};
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
    let (machine, sessions) = runtime.block_on(async {
        let machine = open_machine(account, directory.path(), key).await?;
        let keys = decrypted(account, &reqwest::Client::new()).await?;
        let sessions: Result<Vec<_>, _> = keys.iter().map(InboundGroupSession::from_export).collect();
        Ok::<_, Failure>((machine, sessions?))
    })?;
    child::answer(sessions, |sessions| {
        runtime.block_on(async {
            CryptoStore::save_inbound_group_sessions(&**machine.store(), sessions, None).await?;
            Ok(())
        })
    })
}
