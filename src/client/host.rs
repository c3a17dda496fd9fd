//! The callbacks that only the app can answer, and the notifications that it receives.
//!
//! Every callback may be slow, may throw and may call back into the crate, because no lock is held around any of
//! them. `access_token` and `schedule_wake_up` are the exceptions: they must not wait for a call into this client. Each
//! callback says what an error means.

use async_trait::async_trait;

use crate::{
    download::{ArrivedRoomKeys, ConflictNotice, DownloadProgress},
    homeserver::TokenRequest,
    preference::{PreferenceConflict, PreferenceNotice, PreferenceResolution},
    reset::ResetProgress,
    secret::SecretString,
    wake_up::{WakeUp, WakeUpPurpose},
};

/// The app around the client. It supplies the access token, knows the rooms, shows progress and schedules wake-ups.
///
/// Implement it once per client. Apart from `access_token` and `schedule_wake_up`, every callback may be slow and may
/// call back into the client.
#[uniffi::export(foreign)]
#[async_trait]
pub trait JobHost: Send + Sync {
    /// Returns the account's access token. It is asked for before every request and never kept. Must not wait for a
    /// call into this client: that call may itself be waiting for the token.
    ///
    /// # Errors
    /// `HostError.SignedOut` if the account is signed out: the operation that needs the token fails as "not signed
    /// in". Any other error means that the app has no token now, for example because it cannot refresh it without a
    /// network: the operation fails as "unreachable", and a run asks for another one later.
    async fn access_token(&self, request: TokenRequest) -> Result<SecretString, HostError>;

    /// Returns the ids of the rooms that the app knows, the most wanted first: the room on screen, then the most
    /// recent ones. Rooms are fetched, and so delivered, in this order. May be empty: the server's list of joined
    /// rooms is then used in the server's order.
    ///
    /// # Errors
    /// A `HostError` counts as an empty list.
    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError>;

    /// Reports the progress of the download: at most ten times a second, and whenever the stage changes. Calls never
    /// overlap: while one is running, newer values replace older ones.
    ///
    /// # Errors
    /// Ignored.
    async fn on_progress(&self, progress: DownloadProgress) -> Result<(), HostError>;

    /// Reports the progress of a reset: at most ten times a second, and at every step. Calls never overlap: while one is
    /// running, newer values replace older ones.
    ///
    /// # Errors
    /// Ignored.
    async fn on_reset_progress(&self, progress: ResetProgress) -> Result<(), HostError>;

    /// Reports keys that can now be looked up and, if there is a sink, have been delivered. Retry the messages on
    /// screen that could not be decrypted. This is only a hint, which may be dropped when the host is slow;
    /// `KeyDownload.arrived_since` is exact.
    ///
    /// # Errors
    /// Ignored.
    async fn on_room_keys_arrived(&self, arrived: Vec<ArrivedRoomKeys>) -> Result<(), HostError>;

    /// Reports that copies of keys are held back for a cause that this backup version did not have before: someone
    /// may be tampering with the backup. Each cause is reported at least once per version. `KeyDownload.conflicts`
    /// lists the copies.
    ///
    /// # Errors
    /// After a `HostError`, or if this takes longer than 1 second, the app is told again later.
    async fn on_conflicts(&self, notice: ConflictNotice) -> Result<(), HostError>;

    /// Reports that another device has changed the account's backup preference, so that the app can show it. Nothing
    /// has been switched on or off.
    ///
    /// # Errors
    /// Ignored.
    async fn on_preference_changed(&self, notice: PreferenceNotice) -> Result<(), HostError>;

    /// Asks which value counts: the user chose one on this device and has since chosen the opposite on another. The
    /// answer may take as long as the user needs; the call that asks waits for it, unless its budget ends first.
    ///
    /// # Errors
    /// A `HostError` counts as `PreferenceResolution.AskLater`.
    async fn resolve_preference_conflict(
        &self,
        conflict: PreferenceConflict,
    ) -> Result<PreferenceResolution, HostError>;

    /// Schedules a wake-up through WorkManager, a BGTask, or a timer while the app is open. There is one wake-up for
    /// each purpose: a new one replaces the previous one, and `None` cancels it. When it fires, make the call that
    /// the `WakeUpPurpose` names. Must not wait for a call into this client. After two seconds the client waits no
    /// longer: the call is cancelled, and counts as failed.
    ///
    /// # Errors
    /// Ignored: the app must then make the call without being asked.
    async fn schedule_wake_up(&self, purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> Result<(), HostError>;
}

/// A callback of the app could not do what it was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum HostError {
    /// The account is signed out. Only `JobHost.access_token` has a reason to throw this.
    #[error("the account is signed out")]
    SignedOut,
    /// The callback failed for a reason of the app's own, which is never logged or shown.
    #[error("the app could not answer")]
    Failed {
        /// The reason, for the app's own diagnosis.
        detail: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for HostError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { detail: error.reason }
    }
}
