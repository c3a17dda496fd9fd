//! The wake-up for the next run of a reset.

use std::{convert::Infallible, time::Duration};

use super::{
    parties::{Parties, WORKS},
    records::{ResetOutcome, ResetStatus},
    status::read_status,
    steps::Move,
};
use crate::{
    backup::limits::USUAL_ENTRY_BYTES,
    job::{AFTER_A_KILL, Conditions, JobEnd, NextRun, RemainingWork},
    wake_up::{WakeUp, WakeUpPurpose},
};

/// Each key is sent, and read back.
const TRANSFERS: u64 = 2;

/// Asks the app for the wake-up that the next run needs, and returns it.
pub(super) async fn ask_for_the_next(
    parties: &Parties,
    outcome: &ResetOutcome,
    status: Option<&ResetStatus>,
) -> Option<WakeUp> {
    // Another process of the app, which has the crypto, may have asked for a run.
    parties.crypto.as_ref()?;
    let next = match outcome {
        ResetOutcome::Completed | ResetOutcome::NothingToDo => NextRun::Never,
        // Somebody has to decide something first.
        ResetOutcome::Halted { .. } | ResetOutcome::CryptoRefuses { .. } | ResetOutcome::NeedsUnlock { .. } => {
            NextRun::Never
        }
        ResetOutcome::AlreadyRunning { by } => JobEnd::AlreadyRunning { by: by.clone() }.next_run(),
        ResetOutcome::Paused { causes } => JobEnd::Paused { causes: causes.clone() }.next_run(),
        ResetOutcome::Stopped => NextRun::Never,
        ResetOutcome::OutOfBudget => JobEnd::OutOfBudget.next_run(),
        ResetOutcome::Blocked { reason, retry_after } => {
            let retry_after = retry_after.map(Duration::from);
            let reason = reason.clone();
            JobEnd::Blocked { reason, retry_after }.next_run()
        }
        ResetOutcome::Failed { reason } => JobEnd::failed(*reason).next_run(),
    };
    ask(parties, next, status).await
}

/// Asks for a run as soon as possible if a reset is under way, unless a pause holds it when the OS wakes the app.
/// Returns the wake-up.
pub(super) async fn ask_now(parties: &Parties) -> Option<WakeUp> {
    if !can_run_when_woken(parties).await {
        return None;
    }
    let status = read_status(&parties.jobs).await.ok().flatten();
    ask(parties, NextRun::After(Duration::ZERO), status.as_ref()).await
}

/// Asks for a wake-up at the beginning of a run, because the process may be killed before the run ends.
pub(super) async fn ask_at_the_beginning(parties: &Parties, status: Option<&ResetStatus>) -> Infallible {
    if can_run_when_woken(parties).await {
        ask(parties, NextRun::After(AFTER_A_KILL), status).await;
    }
    std::future::pending().await
}

/// Cancels the wake-up: no reset is left to run.
pub(super) async fn cancel_wake_up(parties: &Parties) {
    ask(parties, NextRun::Never, None).await;
}

/// Whether a run would have something to do when the OS wakes the app.
async fn can_run_when_woken(parties: &Parties) -> bool {
    let read_intent = parties.jobs.gate.begin_read();
    let read = parties
        .jobs
        .read(|vault| Ok((vault.user_intent()?, vault.backup_move()?)));
    let Ok((intent, row)) = read.await else {
        return false;
    };
    // This process may not have heard of a pause or a stop by the user yet.
    read_intent.end(intent);
    let is_under_way = row.map(Move::from).is_some_and(|state| state.is_under_way());
    is_under_way && parties.crypto.is_some() && parties.jobs.gate.now().allows_when_woken(WORKS)
}

async fn ask(parties: &Parties, next: NextRun, status: Option<&ResetStatus>) -> Option<WakeUp> {
    let context = parties.jobs.context()?;
    let conditions: Conditions = *parties.jobs.gate.now().conditions();
    let keys = status.map_or(0, |status| status.total.saturating_sub(status.sent));
    let left = RemainingWork {
        network_bytes: Some(keys * TRANSFERS * USUAL_ENTRY_BYTES),
        is_offline_left: true,
    };
    let purpose = WakeUpPurpose::Reset;
    next.ask(&*context.wake_ups, purpose, left, &conditions).await
}
