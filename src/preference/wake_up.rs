//! The wake-up for a wish that is not yet written.

use std::time::Duration;

use super::{ledger::WishNumber, parties::Parties, stored::read_ledger};
use crate::{
    job::AccessError,
    wake_up::{self, WakeUp, WakeUpPurpose},
};

/// The earliest useful wake-up for a wish that is just being written.
const FIRST_WAKE_UP: Duration = Duration::from_secs(30);
/// How long the app may take to accept a request for a wake-up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for the first wake-up, before there is a wish, so that a process that dies right after making one is woken
/// for it.
pub(super) async fn schedule_first(parties: &Parties) {
    schedule(parties, Some(FIRST_WAKE_UP)).await;
}

/// Asks the host for a wake-up after `wait`, for the wish with this number. If there is another wish by now, asks for
/// a wake-up for that one; if there is no wish, cancels the wake-up. Checks again afterwards, because the last
/// request counts.
pub(super) async fn reschedule(parties: &Parties, number: Option<WishNumber>, wait: Option<Duration>) {
    let wished =
        async || -> Result<_, AccessError> { Ok(read_ledger(&parties.jobs).await?.wish.map(|wish| wish.number)) };
    let Ok(mut current) = wished().await else {
        schedule(parties, wait).await;
        return;
    };
    loop {
        let wait = match current {
            None => None,
            Some(_) if current == number => wait,
            Some(_) => Some(FIRST_WAKE_UP),
        };
        schedule(parties, wait).await;
        match wished().await {
            Ok(by_now) if by_now != current => current = by_now,
            _ => return,
        }
    }
}

async fn schedule(parties: &Parties, wait: Option<Duration>) {
    let wake_up = wait.map(|wait| WakeUp {
        not_before: wait.into(),
        needs_network: true,
        needs_unmetered: false,
        needs_charging: false,
        expected_bytes: 4_096,
    });
    let purpose = WakeUpPurpose::PreferenceWrite;
    if !wake_up::schedule(&*parties.wake_ups, purpose, wake_up, PATIENCE).await {
        log::warn!("the app did not accept a wake-up for the preference");
    }
}
