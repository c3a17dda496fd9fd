//! The wake-up for the next run of a reset.

use std::time::Duration;

use super::{
    parties::Parties,
    records::{ResetOutcome, ResetStatus},
    run::WORKS,
};
use crate::{
    backup::limits::USUAL_ENTRY_BYTES,
    job::{Conditions, JobEnd, NextRun, RemainingWork},
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
        ResetOutcome::Blocked { reason, retry_after_ms } => {
            let retry_after = retry_after_ms.map(Duration::from_millis);
            let reason = reason.clone();
            JobEnd::Blocked { reason, retry_after }.next_run()
        }
        ResetOutcome::Failed { reason } => JobEnd::failed(*reason).next_run(),
    };
    ask(parties, next, status).await
}

/// Asks for a run as soon as possible, unless a pause holds it when the OS wakes the app.
pub(super) async fn ask_now(parties: &Parties) {
    if parties.jobs.gate.now().allows_when_woken(WORKS) {
        ask(parties, NextRun::After(Duration::ZERO), None).await;
    }
}

/// Cancels the wake-up: no reset is left to run.
pub(super) async fn cancel_wake_up(parties: &Parties) {
    ask(parties, NextRun::Never, None).await;
}

async fn ask(parties: &Parties, next: NextRun, status: Option<&ResetStatus>) -> Option<WakeUp> {
    let conditions: Conditions = *parties.jobs.gate.now().conditions();
    let keys = status.map_or(0, |status| status.total.saturating_sub(status.sent));
    let left = RemainingWork {
        network_bytes: Some(keys * TRANSFERS * USUAL_ENTRY_BYTES),
        is_offline_left: true,
    };
    let purpose = WakeUpPurpose::Reset;
    next.ask(&*parties.context.wake_ups, purpose, left, &conditions).await
}
