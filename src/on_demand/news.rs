//! Whether the server has anything that is not here.

use super::{OnDemandError, ServerNews};
use crate::client::KeyBackupClient;

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupClient {
    /// Asks, with one small request, whether there is anything new on the server, and asks the host for a run if there is.
    ///
    /// # Errors
    /// An [`OnDemandError`].
    pub async fn refresh(&self) -> Result<ServerNews, OnDemandError> {
        let asking = self.asking().await?;
        let before = asking.vault(|vault| vault.current_version()).await?;
        let now = match asking.current_version().await {
            Ok(now) => now,
            Err(OnDemandError::NoBackup) => return Ok(ServerNews::NoBackup),
            Err(error) => return Err(error),
        };
        if now.settled.is_some() {
            return Ok(ServerNews::NothingNew);
        }
        self.download.ask_for_a_run().await;
        if before.is_some_and(|before| before.id == now.id) {
            return Ok(ServerNews::NewKeys { count: now.lacks() });
        }
        Ok(ServerNews::OtherVersion {
            unlocked: asking.parts.keys.can_open(&now),
            version: now.version,
        })
    }
}
