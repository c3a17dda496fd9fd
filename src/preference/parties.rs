//! Whom the preference works with.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    ledger::PreferenceNotice,
    records::{PreferenceConflict, PreferenceResolution},
};
use crate::{context::Context, homeserver::Homeserver, job::Jobs, wake_up::WakeUps};

/// Hears of the preference, and decides where devices disagree.
#[async_trait]
pub(crate) trait PreferenceListener: Send + Sync {
    /// Returns false if the app could not be told.
    async fn on_preference_changed(&self, notice: PreferenceNotice) -> bool;
    /// May take as long as the user does.
    async fn resolve_preference_conflict(&self, conflict: PreferenceConflict) -> PreferenceResolution;
}

/// The parties, until the client is shut down.
pub(super) struct Parties {
    pub(super) jobs: Arc<Jobs>,
    pub(super) homeserver: Homeserver,
    pub(super) wake_ups: Arc<dyn WakeUps>,
    pub(super) listener: Arc<dyn PreferenceListener>,
}

impl Parties {
    pub(super) fn new(jobs: Arc<Jobs>, context: &Context, listener: Arc<dyn PreferenceListener>) -> Self {
        Self {
            jobs,
            homeserver: context.homeserver.clone(),
            wake_ups: context.wake_ups.clone(),
            listener,
        }
    }
}
