//! What the vault holds, in the terms of the public API: figures, versions, and the work left.

use std::sync::Arc;

use super::{
    DownloadPolicy, DownloadSummary, FailureCount, VersionState, VersionStatus,
    versions::Versions,
    work_left::{SinkUse, WorkLeft},
};
use crate::{
    backup::completeness::Settled,
    decryption_keys::DecryptionKeys,
    vault::{Connection, UserIntent, VaultError, VersionRow},
};

/// What the vault held when it was read.
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
        let versions = Versions::of(connection, has_sink, |version| keys.can_open(version))?;
        let trims = policy.trim_delivered && !connection.has_move_under_way()?;
        let sink = SinkUse::of(has_sink, trims);
        Ok(Self {
            left: WorkLeft::in_vault(connection, &versions, sink)?,
            summary: DownloadSummary::of(connection, &versions)?,
            intent: connection.user_intent()?,
            versions: Arc::new(versions),
        })
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
    pub(super) fn of(version: &VersionRow, versions: &Versions) -> Self {
        let state = match version.settled {
            _ if version.gone => VersionState::Gone,
            Some(Settled::Whole | Settled::Counted) => VersionState::Complete,
            Some(Settled::Short) => VersionState::Short,
            None if versions.is_current(version) => VersionState::Fetching,
            None => VersionState::Draining,
        };
        Self {
            version: version.version.clone(),
            state,
            unlocked: versions.is_unlocked(version),
            total: version.total(),
            fetched: version.counts.fetched,
            opened: version.counts.opened,
            missing: version.missing(),
            public_key: version.origin(false).map(|origin| origin.public_key),
            given_up: version.is_given_up,
        }
    }
}
