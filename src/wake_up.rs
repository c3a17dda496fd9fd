//! Waking the app for background work: the records that describe a wake-up, and the trait through which other modules
//! ask for one.

use std::time::Duration;

use crate::milliseconds::Milliseconds;
use async_trait::async_trait;

/// What a wake-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum WakeUpPurpose {
    /// A preference has not been written yet: call `flush` of the preference.
    PreferenceWrite,
    /// The download has work left: call `run` of the download.
    Download,
    /// A reset has work left: call `run` of the reset.
    Reset,
    /// The app's crypto has keys that are not backed up yet: call `flush` of the upload.
    Upload,
}

/// When it is useful to wake the app, and what the work then needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct WakeUp {
    /// Time from now after which it is of use.
    pub not_before: Milliseconds,
    /// Whether the work needs a network.
    pub needs_network: bool,
    /// Whether the work needs a network that is not metered.
    pub needs_unmetered: bool,
    /// Whether the work should wait until the device is charging.
    pub needs_charging: bool,
    /// How much the work expects to send and receive, in bytes.
    pub expected_bytes: u64,
}

/// Accepts requests for wake-ups.
#[async_trait]
pub(crate) trait WakeUps: Send + Sync {
    /// Replaces the wake-up for that purpose; `None` cancels it. Returns false if the app could not schedule it.
    async fn schedule_wake_up(&self, purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> bool;
}

/// Asks the app to schedule or cancel a wake-up, and waits at most `patience`: an app that never answers must not
/// block the caller. Returns whether the app has scheduled it.
pub(crate) async fn schedule(
    wake_ups: &dyn WakeUps,
    purpose: WakeUpPurpose,
    wake_up: Option<WakeUp>,
    patience: Duration,
) -> bool {
    let call = wake_ups.schedule_wake_up(purpose, wake_up);
    tokio::time::timeout(patience, call).await.unwrap_or(false)
}
