//! What the vault has, put in the words of apps: figures, versions, what is left, and whose the run is.

use super::{DownloadPolicy, DownloadSummary, FailureCount, RunHolder, VersionState, VersionStatus, wake_up::WorkLeft};
use crate::{
    clock::this_process,
    unlock::DecryptionKeys,
    vault::{Connection, LeaseRow, UserIntent, VaultError, VersionRow},
};

/// What the vault had when it was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Inventory {
    pub(crate) left: WorkLeft,
    pub(crate) summary: DownloadSummary,
    pub(crate) intent: UserIntent,
}

impl Inventory {
    pub(crate) fn of(
        connection: &Connection,
        keys: &DecryptionKeys,
        has_sink: bool,
        policy: &DownloadPolicy,
    ) -> Result<Self, VaultError> {
        let mut left = WorkLeft::of(&connection.versions()?, |version| keys.can_open(version), has_sink);
        left.open |= policy.trim_delivered && has_sink && connection.can_trim()?;
        if connection.has_to_refetch()? {
            left.fetch.get_or_insert(0);
        }
        Ok(Self {
            left,
            summary: DownloadSummary::of(connection)?,
            intent: connection.user_intent()?,
        })
    }
}

impl DownloadSummary {
    pub(super) fn of(connection: &Connection) -> Result<Self, VaultError> {
        let mut summary = Self::default();
        if let Some(version) = connection.current_version()? {
            summary.rooms = connection.room_counts(version.id)?.1;
            summary.total = version.server_count;
            summary.fetched = version.counts.fetched;
            summary.opened = version.counts.opened;
            summary.delivered = version.counts.delivered;
            summary.failed = version.counts.failed;
            summary.refused = version.counts.refused;
            summary.conflicts = version.counts.conflicts;
            summary.bytes_downloaded = version.bytes;
            summary.version = Some(version.version);
        }
        summary.failures = connection
            .failure_counts()?
            .into_iter()
            .map(|(reason, count)| FailureCount { reason, count })
            .collect();
        Ok(summary)
    }
}

impl VersionStatus {
    pub(super) fn of(version: &VersionRow, current: Option<i64>, unlocked: bool) -> Self {
        let state = if version.gone {
            VersionState::Gone
        } else if version.complete {
            VersionState::Complete
        } else if Some(version.id) == current {
            VersionState::Fetching
        } else {
            VersionState::Draining
        };
        Self {
            version: version.version.clone(),
            state,
            unlocked,
            total: version.server_count,
            fetched: version.counts.fetched,
            opened: version.counts.opened,
        }
    }
}

impl RunHolder {
    pub(super) fn of(lease: &LeaseRow) -> Self {
        Self {
            process_name: lease.holder.clone(),
            process_id: lease.process.id,
            is_this_process: lease.process == *this_process(),
            since_ms: u64::try_from(lease.since_ms).unwrap_or(0),
        }
    }

    /// This process, by this name.
    pub(super) fn here(process_name: &str, since_ms: i64) -> Self {
        Self {
            process_name: process_name.to_owned(),
            process_id: this_process().id,
            is_this_process: true,
            since_ms: u64::try_from(since_ms).unwrap_or(0),
        }
    }
}
