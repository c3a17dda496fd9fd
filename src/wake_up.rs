//! Waking the app for background work: what is asked of it, and the one trait that lower rooms ask through.

use std::time::Duration;

use async_trait::async_trait;

/// What a wake-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum WakeUpPurpose {
    /// A preference that is not yet written: call `flush` of the preference.
    PreferenceWrite,
    /// A download with work left: call `run` of the download.
    Download,
}

/// When waking the app is useful, and what the work then needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct WakeUp {
    /// Milliseconds from now before which waking is of no use.
    pub not_before_ms: u64,
    /// It needs a network.
    pub needs_network: bool,
    /// It needs one that is not metered.
    pub needs_unmetered: bool,
    /// It should wait for the charger.
    pub needs_charging: bool,
    /// How much it expects to send and receive, in bytes.
    pub expected_bytes: u64,
}

/// Takes requests for wake-ups.
#[async_trait]
pub(crate) trait WakeUps: Send + Sync {
    /// Replaces the wake-up of that purpose; `None` cancels it. Returns false if the app could not note it.
    async fn schedule_wake_up(&self, purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> bool;
}

/// Passes a wake-up on, and waits for the app no longer than `patience`: one that never answers must not hold its caller.
/// Returns whether the app has noted it.
pub(crate) async fn schedule(
    wake_ups: &dyn WakeUps,
    purpose: WakeUpPurpose,
    wake_up: Option<WakeUp>,
    patience: Duration,
) -> bool {
    let call = wake_ups.schedule_wake_up(purpose, wake_up);
    tokio::time::timeout(patience, call).await.unwrap_or(false)
}
