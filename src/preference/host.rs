//! What the host is asked and told: which choice counts, what has changed, when to wake us. No turn is held meanwhile.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{
    PreferenceConflict, PreferenceResolution, PreferenceWrite, SharedPreference,
    ask::{Patience, within},
    ledger::Wish,
    writer::{EndedWish, PreferenceWriter, change},
};
use crate::{
    client::{Parts, WakeUp, WakeUpPurpose},
    vault::VaultError,
};

/// Before that a wake-up comes too early for a wish that is just being written.
const FIRST_WAKE_UP: Duration = Duration::from_secs(30);
/// How long the host has for what it is told.
const HOST_PATIENCE: Duration = Duration::from_secs(5);

/// What became of a question.
pub(super) enum Asked {
    /// There is no answer.
    Later,
    /// The wish has ended.
    Taken,
    /// The next attempt goes on from what is there now.
    GoOn,
}

impl PreferenceWriter {
    /// Asks which value counts.
    pub(super) async fn ask_host(
        &self,
        parts: &Parts,
        wish: Wish,
        theirs: SharedPreference,
        patience: Patience,
    ) -> Result<Asked, VaultError> {
        let Ok(_asking) = self.asking.try_lock() else {
            return Ok(Asked::Later);
        };
        let conflict = PreferenceConflict {
            ours: wish.enabled,
            theirs,
        };
        let answer = within(
            patience.deadline_of_a_question(),
            parts.host.resolve_preference_conflict(conflict),
        );
        let answer = answer.await.and_then(Result::ok);
        match answer.unwrap_or(PreferenceResolution::AskLater) {
            PreferenceResolution::AskLater => Ok(Asked::Later),
            PreferenceResolution::KeepOurs => {
                change(parts, move |ledger| ledger.expect(wish.number, theirs.value)).await?;
                Ok(Asked::GoOn)
            }
            PreferenceResolution::TakeTheirs => {
                let Some(mut last) = within(patience.deadline(), self.turn.lock()).await else {
                    return Ok(Asked::Later);
                };
                let ended = change(parts, move |ledger| {
                    // An answer to what is not true any more is none.
                    let is_true = ledger.seen.shared().is_some_and(|now| now.value == theirs.value);
                    is_true && ledger.end_wish(wish.number)
                });
                if !ended.await? {
                    return Ok(Asked::GoOn);
                }
                *last = Some(EndedWish {
                    number: wish.number,
                    write: PreferenceWrite::TheirsTaken { theirs },
                });
                Ok(Asked::Taken)
            }
        }
    }

    /// Tells the host what it does not know yet, and notes that it does. Dropped in between, it is told again.
    pub(super) async fn tell_news(&self, parts: &Parts) {
        loop {
            // Whoever is telling looks again before it is done.
            let Ok(telling) = self.telling.try_lock() else { return };
            loop {
                let writes = self.writes_made.load(Ordering::SeqCst);
                let Ok(Some(news)) = change(parts, |ledger| ledger.news()).await else {
                    break;
                };
                let told = within(
                    Some(Instant::now() + HOST_PATIENCE),
                    parts.host.on_preference_changed(news.notice),
                );
                if !matches!(told.await, Some(Ok(()))) {
                    log::warn!("the app could not be told of a change of the preference");
                }
                let has_written = self.writes_made.load(Ordering::SeqCst) != writes;
                if change(parts, move |ledger| ledger.has_told(news, has_written))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            drop(telling);
            if !matches!(change(parts, |ledger| ledger.news()).await, Ok(Some(_))) {
                return;
            }
        }
    }
}

/// Asks for the first wake-up, before there is a wish: a process that dies right after making one is woken for it.
pub(super) async fn schedule_first(parts: &Parts) {
    schedule(parts, Some(FIRST_WAKE_UP)).await;
}

/// Asks the host to be woken for the wish of this number, after this long; if there is another one by now, for that; if
/// there is none, cancels. Looks again afterwards, because the last one to ask is the one that counts.
pub(super) async fn reschedule(parts: &Parts, number: Option<i64>, wait: Option<Duration>) {
    let wished = async || change(parts, |ledger| ledger.wish.map(|wish| wish.number)).await;
    let Ok(mut current) = wished().await else {
        schedule(parts, wait).await;
        return;
    };
    loop {
        let wait = match current {
            None => None,
            Some(_) if current == number => wait,
            Some(_) => Some(FIRST_WAKE_UP),
        };
        schedule(parts, wait).await;
        match wished().await {
            Ok(by_now) if by_now != current => current = by_now,
            _ => return,
        }
    }
}

async fn schedule(parts: &Parts, wait: Option<Duration>) {
    let wake_up = wait.map(|wait| WakeUp {
        not_before_ms: wait.as_millis() as u64,
        needs_network: true,
        needs_unmetered: false,
        needs_charging: false,
        expected_bytes: 4_096,
    });
    let asked = within(
        Some(Instant::now() + HOST_PATIENCE),
        parts.host.schedule_wake_up(WakeUpPurpose::PreferenceWrite, wake_up),
    );
    if !matches!(asked.await, Some(Ok(()))) {
        log::warn!("the app takes no wake-up for the preference");
    }
}
