//! What a run of the download works with, and what others may see of it.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{
    DownloadPolicy,
    current_version::CurrentVersion,
    inventory::Inventory,
    telling::{DownloadListener, Progress},
    wanted_rooms::WantedRooms,
};
use crate::locked::locked;
use crate::{context::Context, job::Gate};

/// What one run works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DownloadRun {
    pub(crate) context: Arc<Context>,
    pub(crate) listener: Arc<dyn DownloadListener>,
    pub(crate) policy: PolicyCell,
    pub(crate) wanted: WantedRooms,
    pub(crate) progress: Arc<Progress>,
    /// The version that the server named as current in this run.
    pub(crate) current: CurrentVersion,
    /// What the vault holds: read at the beginning of the run, and again at its end.
    pub(crate) inventory: Arc<watch::Sender<Option<Inventory>>>,
}

impl DownloadRun {
    pub(super) fn new(
        context: Arc<Context>,
        listener: Arc<dyn DownloadListener>,
        policy: PolicyCell,
        wanted: WantedRooms,
    ) -> Self {
        let progress = Progress::new(context.sink.is_some(), context.keys.clone());
        Self {
            context,
            listener,
            policy,
            wanted,
            progress: Arc::new(progress),
            current: CurrentVersion::default(),
            inventory: Arc::default(),
        }
    }
}

/// The app's current policy.
#[derive(Clone, Debug)]
pub(crate) struct PolicyCell(Arc<Mutex<DownloadPolicy>>);

impl PolicyCell {
    pub(crate) fn new(policy: DownloadPolicy) -> Self {
        Self(Arc::new(Mutex::new(policy.bounded())))
    }

    pub(crate) fn now(&self) -> DownloadPolicy {
        *locked(&self.0)
    }

    /// Replaces the policy. A run under way follows at once.
    pub(super) fn set(&self, policy: DownloadPolicy, gate: &Gate) {
        let policy = policy.bounded();
        // Locked until the gate follows: of two calls at once, both must end with the same policy.
        let mut current = locked(&self.0);
        if *current != policy {
            *current = policy;
            gate.set_conditions(policy.conditions());
        }
    }
}
