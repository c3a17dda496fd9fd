//! Deletes backup versions: only by number, and only what is proved to be elsewhere or may be lost.

use super::{
    begin::{crypto_of, current_version, holdings, set_preference},
    error::ResetError,
    parties::Parties,
    readiness::not_accepted,
    records::{KeyLoss, LossKind, ResetOutcome, ResetStep, ResetStop},
    run::run,
    segment::change_move,
    steps::Move,
    wake_up::cancel_wake_up,
};
use crate::{
    crypto::CryptoError,
    homeserver::{HomeserverError, Retry},
    job::{AccessError, RunBudget},
    vault::Connection,
};

/// Versions that one call deletes. A server that always has another one ends it.
const MOST_VERSIONS: usize = 200;

/// Deletes an old version after the new one is proved.
pub(super) async fn delete_version(parties: &Parties, version: &str, accepted: &[KeyLoss]) -> Result<(), ResetError> {
    let state = proved(parties).await?;
    let current = current_version(parties).await?.ok_or(AccessError::NoBackup)?;
    if current.version == version {
        return Err(ResetError::CurrentVersion);
    }
    let id = state.new_version.ok_or(ResetError::NotProved)?;
    let ours = parties.jobs.read(move |vault| vault.version_by_id(id)).await?;
    // An earlier version of ours may have the same key.
    if ours.is_none_or(|ours| current.version != ours.version || current.public_key != ours.public_key) {
        return Err(ResetError::Halted {
            why: ResetStop::Overtaken,
        });
    }
    if current.mark() != state.mark {
        prove_again(parties).await?;
    }
    let state = proved(parties).await?;
    let mut losses = holdings(parties).await?.0.losses();
    if state.unreplaced > 0 {
        losses.push(KeyLoss {
            kind: LossKind::CannotReplace,
            keys: state.unreplaced,
        });
    }
    refuse_losses(&losses, accepted)?;
    delete(parties, version).await
}

/// Turns backups off.
pub(super) async fn turn_off(parties: &Parties, accepted: &[KeyLoss]) -> Result<(), ResetError> {
    let mut current = current_version(parties).await?;
    refuse_losses(&holdings(parties).await?.0.losses(), accepted)?;
    set_preference(parties, false).await?;
    parties.jobs.write(|vault| vault.write(|tx| tx.forget_move())).await?;
    cancel_wake_up(parties).await;
    for _ in 0..MOST_VERSIONS {
        let Some(info) = current else {
            return delete_hidden(parties).await;
        };
        refuse_losses(&holdings(parties).await?.0.losses(), accepted)?;
        delete(parties, &info.version).await?;
        current = current_version(parties).await?;
    }
    Err(AccessError::RefusedByServer.into())
}

/// Deletes versions that the server still has although it names none as current.
async fn delete_hidden(parties: &Parties) -> Result<(), ResetError> {
    let known = parties.jobs.read(|vault| vault.versions()).await?;
    for version in known.into_iter().filter(|version| !version.gone) {
        delete(parties, &version.version).await?;
    }
    Ok(())
}

fn refuse_losses(losses: &[KeyLoss], accepted: &[KeyLoss]) -> Result<(), ResetError> {
    let losses = not_accepted(losses, accepted);
    match losses.is_empty() {
        true => Ok(()),
        false => Err(ResetError::LosesKeys { losses }),
    }
}

/// Returns the reset whose new version is proved.
async fn proved(parties: &Parties) -> Result<Move, ResetError> {
    let state = parties.jobs.read(|vault| vault.backup_move()).await?.map(Move::from);
    state
        .filter(|state| state.step == ResetStep::Done && state.stopped.is_none())
        .ok_or(ResetError::NotProved)
}

/// Reads the new version back once more, and repairs it if it has to be.
async fn prove_again(parties: &Parties) -> Result<(), ResetError> {
    let again = |vault: &mut Connection| vault.write(|tx| change_move(tx, Move::prove_again).map(drop));
    parties.jobs.write(again).await?;
    match run(parties, crypto_of(parties)?, RunBudget::default()).await {
        ResetOutcome::Completed => Ok(()),
        ResetOutcome::Halted { why } => Err(ResetError::Halted { why }),
        ResetOutcome::CryptoRefuses { reason } => Err(CryptoError::Refused { reason }.into()),
        outcome => {
            log::info!("the new version could not be proved again: {outcome:?}");
            Err(ResetError::NotProved)
        }
    }
}

/// Deletes a version by its number, and makes sure that it is gone.
async fn delete(parties: &Parties, version: &str) -> Result<(), ResetError> {
    let homeserver = &parties.context.homeserver;
    match Retry::while_a_user_waits()
        .request(|| homeserver.delete_version(version))
        .await
    {
        Ok(()) => {}
        Err(given_up) if given_up.error == HomeserverError::NotFound => {}
        Err(given_up) => return Err(given_up.error.into()),
    }
    match Retry::while_a_user_waits()
        .request(|| homeserver.version(version))
        .await
    {
        Err(given_up) if given_up.error == HomeserverError::NotFound => {}
        Err(given_up) => return Err(given_up.error.into()),
        Ok(_) => return Err(AccessError::RefusedByServer.into()),
    }
    let number = version.to_owned();
    parties.jobs.write(move |vault| vault.mark_number_gone(&number)).await?;
    Ok(())
}
