//! The other callbacks of the host: what only the app knows, and what it wants to be told.
//!
//! Every one may be slow, may throw and may call back into the crate: no lock is held around any of them, but for the access
//! token of a request, which must not wait for another call into the same object. One that
//! throws is ignored where it only tells something, and ends the run in a resting state where its answer is needed.

use async_trait::async_trait;

use crate::{
    download::{ArrivedRoomKeys, ConflictNotice, DownloadProgress},
    homeserver::TokenRequest,
    preference::{PreferenceConflict, PreferenceNotice, PreferenceResolution},
    secret::SecretString,
    wake_up::{WakeUp, WakeUpPurpose},
};

/// The app around us: who has the access token, who knows the rooms, who shows progress.
#[uniffi::export(foreign)]
#[async_trait]
pub trait JobHost: Send + Sync {
    /// The account's access token. Asked for before every request, never kept. Must not wait for a call into this client:
    /// that may be waiting for the token.
    ///
    /// # Errors
    /// A [`HostError`] ends what was asked for as "not signed in".
    async fn access_token(&self, request: TokenRequest) -> Result<SecretString, HostError>;

    /// The rooms that the app knows, the most wanted first: the room on screen, then the latest ones. They are fetched,
    /// and so delivered, in this order. May be empty: then the server's list of joined rooms is taken as it comes.
    ///
    /// # Errors
    /// A [`HostError`] counts as an empty list.
    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError>;

    /// How far the download is: at most ten times a second, and always when its stage changes. Never two calls at once;
    /// while one takes its time the later values overtake each other.
    ///
    /// # Errors
    /// Ignored.
    async fn on_progress(&self, progress: DownloadProgress) -> Result<(), HostError>;

    /// These keys can be looked up now, and have been delivered if there is a sink: retry what is on screen. A hint,
    /// which may be dropped when the host is slow; `arrived_since` is exact.
    ///
    /// # Errors
    /// Ignored.
    async fn on_room_keys_arrived(&self, arrived: Vec<ArrivedRoomKeys>) -> Result<(), HostError>;

    /// Copies of keys are held back for a cause that this version had none for before: somebody may be tampering with the
    /// backup. Told once for each version and cause, at least; `KeyDownload.conflicts` lists them.
    ///
    /// # Errors
    /// Ignored.
    async fn on_conflicts(&self, notice: ConflictNotice) -> Result<(), HostError>;

    /// The account's backup preference has changed, by another device: show it. Nothing has been switched.
    ///
    /// # Errors
    /// Ignored.
    async fn on_preference_changed(&self, notice: PreferenceNotice) -> Result<(), HostError>;

    /// The user has chosen one thing on this device and the opposite on another since. Which one counts? May take as long
    /// as the user does; the call that asks waits for it, unless its budget ends.
    ///
    /// # Errors
    /// A [`HostError`] counts as [`PreferenceResolution::AskLater`].
    async fn resolve_preference_conflict(
        &self,
        conflict: PreferenceConflict,
    ) -> Result<PreferenceResolution, HostError>;

    /// Asks to be woken: by WorkManager, by a BGTask, or by a timer while the app is open. One wake-up for each purpose: a
    /// new one takes the place of the last, `None` cancels it. When it comes, call what the purpose says. Must not wait
    /// for a call into this client.
    ///
    /// # Errors
    /// Ignored: the app then has to call by itself.
    async fn schedule_wake_up(&self, purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> Result<(), HostError>;
}

/// A callback could not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum HostError {
    /// The app's own reason; never logged, never shown.
    #[error("the app could not answer")]
    Failed {
        /// For the app's own diagnosis.
        detail: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for HostError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { detail: error.reason }
    }
}
