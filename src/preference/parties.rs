//! The objects that the preference works with.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    ledger::PreferenceNotice,
    records::{PreferenceConflict, PreferenceResolution},
};
use crate::{context::Context, homeserver::Homeserver, job::Jobs, wake_up::WakeUps};

/// Is told about changes of the preference, and decides if devices disagree.
#[async_trait]
pub(crate) trait PreferenceListener: Send + Sync {
    /// Tells the app about a change. Returns false if the app could not be told.
    async fn on_preference_changed(&self, notice: PreferenceNotice) -> bool;
    /// Asks the app which value counts. May take as long as the user takes to answer.
    async fn resolve_preference_conflict(&self, conflict: PreferenceConflict) -> PreferenceResolution;
}

/// Everything outside the preference that it calls, until the client is shut down.
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
