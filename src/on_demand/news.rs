//! Checks whether the server has anything that the vault does not have.

use super::{OnDemand, ServerNews};
use crate::job::AccessError;

impl OnDemand {
    /// Asks the server whether there is anything new, and asks the app for a run if there is.
    pub(crate) async fn refresh(&self) -> Result<ServerNews, AccessError> {
        let asking = self.asking().await?;
        let before = asking.vault(|vault| vault.current_version()).await?;
        let now = match asking.current_version().await {
            Ok(now) => now,
            Err(AccessError::NoBackup) => return Ok(ServerNews::NoBackup),
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
            unlocked: asking.context.keys.can_open(&now),
            version: now.version,
        })
    }
}
