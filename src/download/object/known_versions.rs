//! What the app decides about single backup versions: fetch one by number, accept missing keys, give up a locked one.

use base64::Engine;

use crate::{
    backup::{base64::BASE64, limits::MAX_VERSION_CHARS},
    download::KeyDownload,
    job::{AccessError, Occasion},
    vault::Connection,
};

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Adds a backup version by its number, and asks the host for a run. The version is fetched as long as the server
    /// answers for it, whichever version is the current one. Use it for a number that the app knows from its own
    /// crypto store: some servers name no current version although older ones still exist. Does nothing if `version`
    /// cannot be a version: empty, `.`, `..`, or longer than 128 characters.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be written.
    pub async fn include_version(&self, version: String) -> Result<(), AccessError> {
        let is_one =
            (1..=MAX_VERSION_CHARS).contains(&version.chars().count()) && !matches!(version.as_str(), "." | "..");
        if is_one {
            self.jobs.write(move |vault| vault.include_version(&version)).await?;
            self.ask_for_a_run().await;
        }
        Ok(())
    }

    /// Accepts that the server does not return all keys that it counts in a version: up to `most` keys may be
    /// missing, also after its etag has changed. Runs then end as `RunOutcome.Completed`, with the number of missing
    /// keys in `accepted_shortfall`. 0 withdraws the acceptance. Returns false if the vault knows no version with
    /// this number and public key.
    ///
    /// Example: a run ended as `RunOutcome.Short`, and the user accepts the loss. Pass `version` and `missing` of
    /// each of its `MissingKeys`, and the `public_key` that `status` reports for that version.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be written.
    pub async fn accept_shortfall(&self, version: String, public_key: String, most: u64) -> Result<bool, AccessError> {
        let Some(key) = BASE64.decode(&public_key).ok().and_then(|key| key.try_into().ok()) else {
            return Ok(false);
        };
        let accept = move |vault: &mut Connection| vault.accept_shortfall(&version, &key, most);
        self.jobs.write(accept).await
    }

    /// Gives up a version that can never be unlocked: run outcomes no longer name it. Its fetched entries stay in the
    /// vault, still encrypted, and a later unlock takes the version up again. Returns false if the vault knows no
    /// version with this number.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be written.
    pub async fn give_up_version(&self, version: String) -> Result<bool, AccessError> {
        let is_given_up = self.jobs.write(move |vault| vault.give_up_version(&version)).await?;
        if is_given_up {
            // A reset may have waited for this.
            self.jobs.ask_for_runs(Occasion::UserDecided).await;
        }
        Ok(is_given_up)
    }
}
