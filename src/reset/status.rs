//! How far a reset has come, from the vault.

use base64::Engine;

use super::{records::ResetStatus, steps::Move};
use crate::{
    backup::base64::BASE64,
    job::{AccessError, Jobs},
    vault::{Connection, VaultError},
};

/// Reads how far the reset has come; `None` if there was none.
pub(super) async fn read_status(jobs: &Jobs) -> Result<Option<ResetStatus>, AccessError> {
    jobs.read(|vault| {
        let row = vault.backup_move()?;
        row.map(|row| status_of(vault, &Move::from(row))).transpose()
    })
    .await
}

fn status_of(vault: &Connection, state: &Move) -> Result<ResetStatus, VaultError> {
    let new_version = match state.new_version {
        Some(id) => vault.version_by_id(id)?.map(|version| version.version),
        None => None,
    };
    let is_new = |id| state.new_version == Some(id);
    let versions = vault.versions()?;
    let total = versions
        .iter()
        .filter(|version| !is_new(version.id))
        .map(|version| version.counts.fetched);
    Ok(ResetStatus {
        step: state.step,
        stopped: state.stopped,
        can_be_cancelled: state.can_be_cancelled(),
        old_version: state.old.as_ref().map(|old| old.version.clone()),
        new_version,
        new_public_key: BASE64.encode(state.public_key),
        sent: state.sent,
        total: total.sum(),
        unreplaced: state.unreplaced,
    })
}
