//! Reads the preference and writes wishes, one at a time. Asks the host if devices disagree.
//!
//! Every step is in the ledger before the next one begins, and the server is read again before every write, also
//! before a retry. If a call is killed or dropped at any point, the next attempt finds out what is left to do.

mod attempt;

use std::{collections::HashSet, sync::Mutex, time::Duration};

use tokio::time::Instant;

use attempt::Attempt;

use super::{
    PendingReason, PreferenceConflict, PreferenceForm, PreferenceResolution, PreferenceWrite, SharedPreference,
    ask::{TimeLimit, patiently, read_both, soon, until_deadline},
    ledger::{Ledger, Seen, Wish, WishNumber},
    news::News,
    parties::Parties,
    records::{asked_to_wait, retry_after},
    stored::{change, read_ledger},
    wake_up::reschedule,
    wire::FormReading,
};
use crate::{homeserver::HomeserverError, job::AccessError};
use crate::{locked::locked, milliseconds::Milliseconds};

/// The purpose of a call to [`PreferenceWriter::write`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Intent {
    /// Write any wish that there is.
    Flush,
    /// Write the wish with this number, which has just been made.
    Made(WishNumber),
    /// Make a wish for the policy and write it, unless there is a choice by then.
    Choose(bool),
}

/// Reads and writes the preference, for one client.
#[derive(Default)]
pub(super) struct PreferenceWriter {
    /// Held while the server is read and written. Contains how the last wish ended.
    turn: tokio::sync::Mutex<Option<EndedWish>>,
    /// Held while the app is being asked, so that it is not asked twice at the same time.
    asking: tokio::sync::Mutex<()>,
    pub(super) news: News,
    /// The values that this process has written. If a sync brings one of them, it may be a late echo.
    own_writes: Mutex<HashSet<(PreferenceForm, bool)>>,
}

#[derive(Clone, Debug)]
struct EndedWish {
    number: WishNumber,
    write: PreferenceWrite,
}

/// The result of a question to the app.
enum Asked {
    /// There is no answer yet.
    Later,
    /// The account's value was taken, and the wish has ended.
    Taken,
    /// Another attempt must be made, from the current state.
    GoOn,
}

/// The result of an attempt to write.
enum Turn {
    /// Nothing is left to write. Contains how the wish in question ended, if that is known.
    Ended(Option<PreferenceWrite>),
    AskHost(Wish, SharedPreference),
    /// Contains the number of the wish in question, if there was one.
    Failed(Option<WishNumber>, HomeserverError),
    OutOfTime(Option<WishNumber>),
}

impl PreferenceWriter {
    /// Reads both forms and notes them. Reads them again if a write or a sync has changed the ledger meanwhile.
    pub(super) async fn read(&self, parties: &Parties) -> Result<Ledger, AccessError> {
        let deadline = TimeLimit::Interactive.deadline();
        let out_of_time = || AccessError::Unreachable { retry_after: None };
        let _turn = until_deadline(deadline, self.turn.lock())
            .await
            .ok_or_else(out_of_time)?;
        loop {
            let before = read_ledger(&parties.jobs).await?.seen;
            let reading = until_deadline(deadline, patiently(|| read_both(&parties.homeserver))).await;
            let reading = reading.ok_or_else(out_of_time)??;
            let noted = change(&parties.jobs, move |ledger| {
                (ledger.seen == before).then(|| {
                    ledger.observe_all(reading);
                    *ledger
                })
            });
            if let Some(ledger) = noted.await? {
                return Ok(ledger);
            }
        }
    }

    /// Notes what a sync brings. If it may be a late echo of our own write, asks the server for the current value
    /// instead.
    pub(super) async fn observe(&self, parties: &Parties, seen: Seen) -> Result<(), AccessError> {
        let known = read_ledger(&parties.jobs).await?.seen;
        let may_be_an_echo = PreferenceForm::ALL.into_iter().any(|form| match seen.get(form) {
            Some(reading @ FormReading::Says(enabled)) => {
                known.get(form) != Some(reading) && self.own_writes().contains(&(form, enabled))
            }
            _ => false,
        });
        // If the server does not answer, the sync is the latest information.
        if !may_be_an_echo || self.read(parties).await.is_err() {
            change(&parties.jobs, move |ledger| ledger.observe(seen)).await?;
        }
        Ok(())
    }

    /// Writes the wish, and any later one, until none is left or something prevents it.
    pub(super) async fn write(
        &self,
        parties: &Parties,
        write_unstable: bool,
        mut intent: Intent,
        patience: TimeLimit,
    ) -> Result<Option<PreferenceWrite>, AccessError> {
        let mut deadline = patience.deadline();
        loop {
            let turn = self.turn(parties, write_unstable, &mut intent, deadline).await;
            self.news.tell(parties).await;
            let (about, reason, asked) = match turn {
                Ok(Turn::Ended(write)) => {
                    reschedule(parties, None, None).await;
                    return Ok(write);
                }
                Ok(Turn::AskHost(wish, theirs)) => match self.ask_app(parties, wish, theirs, patience).await {
                    Ok(Asked::Taken) => {
                        reschedule(parties, None, None).await;
                        return Ok(Some(PreferenceWrite::TheirsTaken { theirs }));
                    }
                    Ok(Asked::GoOn) => {
                        deadline = patience.deadline();
                        continue;
                    }
                    Ok(Asked::Later) => (Some(wish.number), PendingReason::ChangedMeanwhile { theirs }, None),
                    Err(_) => (Some(wish.number), PendingReason::Vault, None),
                },
                // No wish was made, so there is none to keep for later.
                Ok(Turn::Failed(None, error)) if is_choosing(intent) => return Err(error.into()),
                Ok(Turn::OutOfTime(None)) if is_choosing(intent) => {
                    return Err(AccessError::Unreachable { retry_after: None });
                }
                Err(error) if is_choosing(intent) => return Err(error),
                Ok(Turn::Failed(about, error)) => (about, PendingReason::from(&error), asked_to_wait(&error)),
                Ok(Turn::OutOfTime(about)) => (about, PendingReason::OutOfTime, None),
                Err(_) => (None, PendingReason::Vault, None),
            };
            return Ok(self.put_off(parties, intent, about, reason, asked).await);
        }
    }

    async fn turn(
        &self,
        parties: &Parties,
        write_unstable: bool,
        intent: &mut Intent,
        deadline: Option<Instant>,
    ) -> Result<Turn, AccessError> {
        let about = match *intent {
            Intent::Made(number) => Some(number),
            Intent::Flush | Intent::Choose(_) => None,
        };
        let Some(mut last) = until_deadline(deadline, self.turn.lock()).await else {
            return Ok(Turn::OutOfTime(about));
        };
        let mut attempt = Attempt {
            writer: self,
            parties,
            write_unstable,
            deadline,
            retry: soon(),
            about,
        };
        loop {
            if let Some(turn) = attempt.read_and_write(intent, &mut last).await? {
                return Ok(turn);
            }
        }
    }

    /// Asks the app which value counts.
    async fn ask_app(
        &self,
        parties: &Parties,
        wish: Wish,
        theirs: SharedPreference,
        patience: TimeLimit,
    ) -> Result<Asked, AccessError> {
        let Ok(_asking) = self.asking.try_lock() else {
            return Ok(Asked::Later);
        };
        let conflict = PreferenceConflict {
            ours: wish.enabled,
            theirs,
        };
        let answer = until_deadline(
            patience.deadline_of_a_question(),
            parties.listener.resolve_preference_conflict(conflict),
        );
        match answer.await.unwrap_or(PreferenceResolution::AskLater) {
            PreferenceResolution::AskLater => Ok(Asked::Later),
            PreferenceResolution::KeepOurs => {
                change(&parties.jobs, move |ledger| ledger.expect(wish.number, theirs.value)).await?;
                Ok(Asked::GoOn)
            }
            PreferenceResolution::TakeTheirs => {
                let Some(mut last) = until_deadline(patience.deadline(), self.turn.lock()).await else {
                    return Ok(Asked::Later);
                };
                let ended = change(&parties.jobs, move |ledger| {
                    // The answer counts only if the account still has the value that the app was asked about.
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

    /// Keeps the wish for later, and asks for a wake-up. `about` is the number of the wish that the attempt was for,
    /// if it got that far.
    async fn put_off(
        &self,
        parties: &Parties,
        intent: Intent,
        about: Option<WishNumber>,
        reason: PendingReason,
        asked: Option<Duration>,
    ) -> Option<PreferenceWrite> {
        let tried = change(&parties.jobs, move |ledger| {
            let wish = ledger
                .wish
                .filter(|wish| about.is_none_or(|about| about == wish.number))?;
            ledger.tries = ledger.tries.saturating_add(1);
            Some((wish.number, ledger.tries))
        });
        let (number, tries) = match tried.await {
            Ok(Some(tried)) => tried,
            // A later wish has replaced it, or another client has dealt with it.
            Ok(None) => {
                reschedule(parties, None, None).await;
                return matches!(intent, Intent::Made(_)).then_some(PreferenceWrite::Superseded);
            }
            Err(_) => (about.unwrap_or_default(), 1),
        };
        let wait = retry_after(&reason, asked, tries);
        reschedule(parties, Some(number), wait).await;
        Some(PreferenceWrite::Pending {
            reason,
            retry_after: wait.map(Milliseconds::from),
        })
    }

    fn own_writes(&self) -> std::sync::MutexGuard<'_, HashSet<(PreferenceForm, bool)>> {
        locked(&self.own_writes)
    }
}

fn is_choosing(intent: Intent) -> bool {
    matches!(intent, Intent::Choose(_))
}
