//! The version that the server has said is current, in one run.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// Shared by the stages of a run. Row ids begin with 1: 0 stands for none.
#[derive(Clone, Debug, Default)]
pub(crate) struct CurrentVersion(Arc<AtomicI64>);

impl CurrentVersion {
    /// Notes what the server has said; `None` if it has no current version.
    pub(crate) fn set(&self, version: Option<i64>) {
        // Relaxed: a key that is told of it a moment late is only not marked as backed up.
        self.0.store(version.unwrap_or(0), Ordering::Relaxed);
    }

    /// Whether it is that one.
    pub(crate) fn is(&self, version: i64) -> bool {
        self.0.load(Ordering::Relaxed) == version
    }
}
