//! Upkeep of the vault during a run, beside the stages: re-queues, forgets and trims entries in small steps.

use super::phase::PhaseContext;
use crate::{
    job::{ActiveRun, PauseCause, Work, in_writer},
    vault::{VaultError, Writer},
};

/// Re-queues entries that an older version of the crate could not parse. If the run ends first, the next one
/// continues.
pub(super) async fn reopen(turn: &ActiveRun) -> Result<(), VaultError> {
    let mut goes_on = in_writer(&turn.writer, |writer| writer.reader().has_to_reopen()).await?;
    while goes_on && turn.may_go_on() {
        goes_on = in_writer(&turn.writer, Writer::reopen_step).await?;
    }
    Ok(())
}

/// Forgets trimmed entries that are needed again, so that they are fetched again. Returns false if the run ends
/// before all of them are forgotten.
pub(super) async fn forget_trimmed(turn: &ActiveRun) -> Result<bool, VaultError> {
    let mut goes_on = in_writer(&turn.writer, |writer| writer.reader().has_to_refetch()).await?;
    while goes_on && turn.may_go_on() {
        goes_on = in_writer(&turn.writer, Writer::refetch_step).await?;
    }
    Ok(!goes_on)
}

/// Removes delivered entries from the vault, if the policy says so, and releases the hold on a full vault once there
/// is room again.
pub(super) async fn trim(phase: &PhaseContext) -> Result<(), VaultError> {
    let mut goes_on = phase.trims() && phase.in_vault(|writer| writer.reader().can_trim()).await?;
    let may_go_on = || !phase.run.stop.winds_down() && phase.run.may_do(Work::Open);
    while goes_on && may_go_on() {
        goes_on = phase.in_vault(Writer::trim_step).await?;
    }
    // Entries also go when a better copy replaces them.
    goes_on = phase.in_vault(|writer| writer.reader().can_sweep()).await?;
    while goes_on && may_go_on() {
        goes_on = phase.in_vault(Writer::sweep_step).await?;
    }
    let conditions = phase.policy.conditions();
    let has_room_again = move |writer: &mut Writer| conditions.has_room_again(writer.reader());
    if conditions.has_vault_limit() && phase.in_vault(has_room_again).await? {
        phase.run.gate.release(PauseCause::DiskLimit);
    }
    Ok(())
}

/// Makes look-ups of single keys cheaper once everything has been fetched. A run that lacks the space for it has done
/// its work nevertheless.
pub(super) async fn tidy(phase: &PhaseContext) -> Result<(), VaultError> {
    let is_due = phase
        .in_vault(|writer| writer.reader().can_tidy_session_index())
        .await?;
    if !is_due || phase.run.stop.winds_down() {
        return Ok(());
    }
    match phase.in_vault(Writer::tidy_session_index).await {
        Err(VaultError::DiskFull) => {
            log::debug!("look-ups stay slower: the disk is full");
            Ok(())
        }
        result => result,
    }
}
