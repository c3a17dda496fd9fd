//! The backup version that the server named as the current one during this run.

use crate::ids::VersionRowId;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// Holds the row id of the current version, shared by the stages of a run. Row ids start at 1; 0 means no version.
#[derive(Clone, Debug, Default)]
pub(crate) struct CurrentVersion(Arc<AtomicI64>);

impl CurrentVersion {
    /// Stores the row id of the version that the server named as current; `None` if it named none.
    pub(crate) fn set(&self, version: Option<VersionRowId>) {
        // Relaxed: a stale read only means that a key is not marked as backed up.
        self.0.store(version.unwrap_or_default().0, Ordering::Relaxed);
    }

    /// Whether this version is the current one.
    pub(crate) fn is(&self, version: VersionRowId) -> bool {
        self.0.load(Ordering::Relaxed) == version.0
    }
}
