//! What the parts of the fetch stage share, for one backup version.

use std::{sync::Mutex, time::Duration};

use super::ingest::Ingest;
use crate::{
    download::phase::PhaseContext,
    homeserver::HomeserverError,
    ids::VersionRowId,
    vault::{VaultError, VersionRow, Writer},
};

/// Rooms that are taken from the list at a time.
pub(super) const ROOMS_PER_ROUND: usize = 128;

/// The fetch stage of one backup version, with everything it works with.
pub(crate) struct FetchStage {
    pub(crate) phase: PhaseContext,
    pub(crate) ingest: Ingest,
    pub(crate) version: VersionRow,
    /// The wanted room that is being requested beside the plan.
    pub(crate) asked_beside: Mutex<Option<String>>,
}

/// Why fetching ended before everything was there.
#[derive(Debug)]
pub(crate) enum FetchEnd {
    /// The mark of the version (its etag and count) has moved meanwhile.
    MovedOn {
        /// Whether nothing was missing any more under the earlier mark.
        was_complete: bool,
    },
    /// Names are counted from the beginning, so the version must be read from the vault again.
    Again,
    /// What is left comes as a file, which the OS is still downloading.
    WaitsForFile {
        retry_after: Duration,
    },
    /// The run was stopped.
    Stopped,
    /// The failure passes by itself, but not soon.
    Blocked {
        error: HomeserverError,
        retry_after: Duration,
    },
    /// Everything else is here, but the server does not answer for this many rooms.
    Resting {
        rooms: u64,
        retry_after: Duration,
    },
    /// The backup changes faster than it can be fetched.
    Changing,
    /// Neither the request for everything nor any room returns the shape of a key backup.
    NotServed,
    /// The failure does not pass by itself.
    Failed(HomeserverError),
    /// The server no longer has the version.
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
        work: impl FnOnce(&mut Writer, VersionRowId) -> Result<T, VaultError> + Send + 'static,
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
