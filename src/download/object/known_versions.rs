//! What the app says of single backup versions: fetch one by its number, accept what one lacks, give a locked one up.

use base64::Engine;

use crate::{
    backup::{limits::MAX_VERSION_CHARS, session_id::BASE64},
    download::{KeyDownload, StatusError},
    vault::Connection,
};

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Fetches a backup version by its number, as long as the server answers for it, whatever it says is the current one. For a
    /// number that the app knows from its own crypto store: some servers name no current version although older ones are there.
    /// Asks the host for a run. Does nothing for a text that cannot be a version (empty, `.`, `..`, over 128 characters).
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be written.
    pub async fn include_version(&self, version: String) -> Result<(), StatusError> {
        let is_one =
            (1..=MAX_VERSION_CHARS).contains(&version.chars().count()) && !matches!(version.as_str(), "." | "..");
        if is_one {
            self.jobs.write(move |vault| vault.include_version(&version)).await?;
            self.ask_for_a_run().await;
        }
        Ok(())
    }

    /// Accepts that the server does not give all the keys that it counts in a version: up to `most` may be missing, whatever
    /// its etag does. The outcome is `Completed` then, and says how many are missing. 0 takes it back. False if the vault knows
    /// no version of that number with that public key (`VersionStatus.public_key`).
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be written.
    pub async fn accept_shortfall(&self, version: String, public_key: String, most: u64) -> Result<bool, StatusError> {
        let Some(key) = BASE64.decode(&public_key).ok().and_then(|key| key.try_into().ok()) else {
            return Ok(false);
        };
        let accept = move |vault: &mut Connection| vault.accept_shortfall(&version, &key, most);
        Ok(self.jobs.write(accept).await?)
    }

    /// Gives a version up that nobody can unlock: outcomes do not name it any more. What is fetched of it stays, sealed, and an
    /// unlock takes it up again. False if the vault knows no version of that number.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be written.
    pub async fn give_up_version(&self, version: String) -> Result<bool, StatusError> {
        Ok(self.jobs.write(move |vault| vault.give_up_version(&version)).await?)
    }
}
