//! The smallest possible app around a client.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use keyferry::{
    ClientOptions, KeyBackupClient, ReqwestTransport, RoomKey, RoomKeySink, SecretBytes, SinkAnswer, SinkError,
    SinkLimits, UnlockSecret, VaultProtection,
};

use crate::{Failure, account::Account, token_host::TokenHost};

/// Returns the options of a client with a sealed vault.
pub(crate) fn options(account: &Account, data_dir: &Path) -> ClientOptions {
    ClientOptions::new(
        keyferry::Account {
            homeserver_url: account.homeserver_url.clone(),
            user_id: account.user_id.clone(),
            device_id: account.device_id.clone(),
        },
        data_dir.display().to_string(),
        VaultProtection::Key {
            key: SecretBytes::from(vec![7; 32]),
        },
    )
}

pub(crate) async fn open(
    account: &Account,
    data_dir: &Path,
    transport: Arc<ReqwestTransport>,
    sink: Option<Arc<dyn RoomKeySink>>,
) -> Result<Arc<KeyBackupClient>, Failure> {
    let host = Arc::new(TokenHost::new(account.access_token.clone()));
    Ok(KeyBackupClient::open(options(account, data_dir), transport, host, sink).await?)
}

pub(crate) async fn unlock(client: &KeyBackupClient, account: &Account) -> Result<(), Failure> {
    let base64 = account.backup_decryption_key_base64.as_str().into();
    client.unlock(UnlockSecret::DecryptionKey { base64 }).await?;
    Ok(())
}

/// A sink that takes everything, after this delay, and keeps nothing.
pub(crate) struct TakesAll(pub(crate) Duration);

#[async_trait]
impl RoomKeySink for TakesAll {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
        Ok(vec![SinkAnswer::Imported; keys.len()])
    }

    fn limits(&self) -> Result<SinkLimits, SinkError> {
        Ok(SinkLimits::default())
    }
}
