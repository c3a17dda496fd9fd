//! What the vault has, put in the words of apps: figures, versions, what is left, and whose the run is.

use std::sync::Arc;

use super::{
    DownloadPolicy, DownloadSummary, FailureCount, RunHolder, VersionState, VersionStatus, outcome::Versions,
    work_left::WorkLeft,
};
use crate::{
    backup::completeness::Settled,
    clock::this_process,
    decryption_keys::DecryptionKeys,
    vault::{Connection, LeaseRow, UserIntent, VaultError, VersionRow},
};

/// What the vault had when it was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Inventory {
    pub(crate) left: WorkLeft,
    pub(crate) summary: DownloadSummary,
    pub(crate) intent: UserIntent,
    pub(crate) versions: Arc<Versions>,
}

impl Inventory {
    pub(crate) fn of(
        connection: &Connection,
        keys: &DecryptionKeys,
        has_sink: bool,
        policy: &DownloadPolicy,
    ) -> Result<Self, VaultError> {
        let versions = Versions::of(connection, |version| keys.can_open(version))?;
        let mut left = versions.left(connection, has_sink)?;
        left.open |= policy.trim_delivered && has_sink && connection.can_trim()?;
        if connection.has_to_refetch()? {
            left.fetch.get_or_insert(0);
        }
        Ok(Self {
            left,
            summary: DownloadSummary::of(connection, &versions)?,
            intent: connection.user_intent()?,
            versions: Arc::new(versions),
        })
    }
}

impl Versions {
    pub(super) fn of(connection: &Connection, can_open: impl Fn(&VersionRow) -> bool) -> Result<Self, VaultError> {
        let all = connection.versions()?;
        Ok(Self {
            current: connection.current_version()?.map(|version| version.id),
            unlocked: all
                .iter()
                .filter(|version| can_open(version))
                .map(|version| version.id)
                .collect(),
            all,
        })
    }

    /// What is left to do.
    pub(super) fn left(&self, connection: &Connection, has_sink: bool) -> Result<WorkLeft, VaultError> {
        let mut left = WorkLeft::of(&self.all, |version| self.unlocked.contains(&version.id), has_sink);
        for version in &self.all {
            if connection.has_failures_to_ask(version)? {
                left.fetch.get_or_insert(0);
            }
        }
        Ok(left)
    }
}

impl DownloadSummary {
    pub(super) fn of(connection: &Connection, versions: &Versions) -> Result<Self, VaultError> {
        let mut summary = Self {
            missing: versions.all.iter().map(VersionRow::missing).sum(),
            locked: versions.locked_keys(),
            ..Self::default()
        };
        if let Some(version) = connection.current_version()? {
            summary.rooms = connection.room_counts(version.id)?.1;
            summary.total = version.total();
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
        let state = match version.settled {
            _ if version.gone => VersionState::Gone,
            Some(Settled::Whole | Settled::Counted) => VersionState::Complete,
            Some(Settled::Short) => VersionState::Short,
            None if Some(version.id) == current => VersionState::Fetching,
            None => VersionState::Draining,
        };
        Self {
            version: version.version.clone(),
            state,
            unlocked,
            total: version.total(),
            fetched: version.counts.fetched,
            opened: version.counts.opened,
            missing: version.missing(),
            public_key: version.origin(false).map(|origin| origin.public_key),
            given_up: version.is_given_up,
        }
    }
}

impl RunHolder {
    pub(crate) fn of(lease: &LeaseRow) -> Self {
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
