//! What the parts of the fetch stage share, for one backup version.

use std::{sync::Mutex, time::Duration};

use super::ingest::Ingest;
use crate::{
    download::phase::Phase,
    homeserver::HomeserverError,
    vault::{VaultError, VersionRow, Writer},
};

/// Rooms that are taken from the list at a time.
pub(super) const ROOMS_PER_ROUND: usize = 128;

/// What the fetch stage works with.
pub(crate) struct FetchStage {
    pub(crate) phase: Phase,
    pub(crate) ingest: Ingest,
    pub(crate) version: VersionRow,
    /// The wanted room that is on its way beside the plan.
    pub(crate) asked_beside: Mutex<Option<String>>,
}

/// Why fetching has ended before everything was there.
#[derive(Debug)]
pub(crate) enum FetchEnd {
    /// The mark of the version has moved meanwhile.
    MovedOn {
        /// Under the mark that it had, nothing was missing any more.
        was_complete: bool,
    },
    /// The names are counted from the beginning: what is known of the version has to be read again.
    Again,
    /// What is left comes by file, and the OS is at it.
    WaitsForFile {
        retry_after: Duration,
    },
    /// The run was stopped.
    Stopped,
    /// It passes by itself, but not soon.
    Blocked {
        error: HomeserverError,
        retry_after: Duration,
    },
    /// All that comes through is here; so many rooms do not.
    Resting {
        rooms: u64,
        retry_after: Duration,
    },
    /// The backup changes faster than it can be fetched.
    Changing,
    /// Neither everything at once nor a single room comes in the shape of a key backup.
    NotServed,
    /// It does not pass by itself.
    Failed(HomeserverError),
    /// The version is not there any more.
    VersionGone,
    Vault(VaultError),
}

impl FetchStage {
    pub(super) async fn flush(&self) -> Result<(), FetchEnd> {
        self.ingest.flush().await.map_err(|_| FetchEnd::Stopped)
    }

    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchEnd> {
        self.phase.stop.unless_stopped(work).await.ok_or(FetchEnd::Stopped)
    }

    pub(super) async fn vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer, i64) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, FetchEnd> {
        let version = self.version.id;
        let result = self.phase.in_vault(move |writer| work(writer, version)).await;
        result.map_err(FetchEnd::Vault)
    }
}

impl From<VaultError> for FetchEnd {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}
