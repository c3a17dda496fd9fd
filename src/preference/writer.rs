//! Reads the preference and writes wishes, one at a time. Asks the host if devices disagree.
//!
//! Every step is in the ledger before the next one begins, and the server is read again before every write, also
//! before a retry. If a call is killed or dropped at any point, the next attempt finds out what is left to do.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    PendingReason, PreferenceConflict, PreferenceError, PreferenceForm, PreferenceResolution, PreferenceWrite,
    SharedPreference,
    ask::{TimeLimit, patiently, read_both, soon, until_deadline},
    ledger::{Ledger, NextStep, Seen, Wish},
    news::News,
    parties::Parties,
    records::{asked_to_wait, retry_after},
    stored::{change, read_ledger},
    wake_up::reschedule,
    wire::{FormReading, Reading},
};
use crate::{
    homeserver::{HomeserverError, Meaning},
    job::NoAccess,
};

/// The purpose of a call to [`PreferenceWriter::write`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Intent {
    /// Write any wish that there is.
    Flush,
    /// Write the wish with this number, which has just been made.
    Made(i64),
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
    number: i64,
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
    Failed(Option<i64>, HomeserverError),
    OutOfTime(Option<i64>),
}

/// The result of one write.
enum Put {
    Written(Ledger),
    /// The ledger has changed meanwhile: this write is not the next step any more.
    NotDue,
    Failed(HomeserverError),
    OutOfTime,
}

impl PreferenceWriter {
    /// Reads both forms and notes them. Reads them again if a write or a sync has changed the ledger meanwhile.
    pub(super) async fn read(&self, parties: &Parties) -> Result<Ledger, PreferenceError> {
        let deadline = TimeLimit::Interactive.deadline();
        let out_of_time = || PreferenceError::Unreachable { retry_after_ms: None };
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
    pub(super) async fn observe(&self, parties: &Parties, seen: Seen) -> Result<(), NoAccess> {
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
    ) -> Result<Option<PreferenceWrite>, PreferenceError> {
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
                    return Err(PreferenceError::Unreachable { retry_after_ms: None });
                }
                Err(error) if is_choosing(intent) => return Err(error.into()),
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
    ) -> Result<Turn, NoAccess> {
        let mut about = match *intent {
            Intent::Made(number) => Some(number),
            Intent::Flush | Intent::Choose(_) => None,
        };
        let Some(mut last) = until_deadline(deadline, self.turn.lock()).await else {
            return Ok(Turn::OutOfTime(about));
        };
        let mut retry = soon();
        'read: loop {
            let before = read_ledger(&parties.jobs).await?;
            if is_over(*intent, before) {
                return Ok(Turn::Ended(write_of(about, before, last.as_ref())));
            }
            about = before.wish.map(|wish| wish.number).or(about);
            let reading = match until_deadline(deadline, read_both(&parties.homeserver)).await {
                Some(Ok(reading)) => reading,
                Some(Err(error)) => match until_deadline(deadline, retry.wait(error)).await {
                    Some(Ok(())) => continue,
                    Some(Err(given_up)) => return Ok(Turn::Failed(about, given_up.error)),
                    None => return Ok(Turn::OutOfTime(about)),
                },
                None => return Ok(Turn::OutOfTime(about)),
            };
            let wanted = *intent;
            let noted = change(&parties.jobs, move |ledger| {
                // If a sync has brought something meanwhile, that may be newer.
                (ledger.seen == before.seen).then(|| note(ledger, reading, wanted))
            });
            let Some((mut ledger, chosen)) = noted.await? else {
                continue;
            };
            if let Intent::Choose(_) = intent {
                match chosen {
                    Some(number) => *intent = Intent::Made(number),
                    // There is another choice by now.
                    None => return Ok(Turn::Ended(None)),
                }
            }
            while let Some(wish) = ledger.wish {
                if about.is_some_and(|about| about != wish.number) {
                    continue 'read;
                }
                about = Some(wish.number);
                ledger = match ledger.next_step(write_unstable) {
                    NextStep::AskHost(theirs) => return Ok(Turn::AskHost(wish, theirs)),
                    NextStep::Write(form) => match self.put(parties, wish, form, write_unstable, deadline).await? {
                        Put::Written(ledger) => ledger,
                        Put::NotDue => continue 'read,
                        Put::OutOfTime => return Ok(Turn::OutOfTime(about)),
                        Put::Failed(error) => match until_deadline(deadline, retry.wait(error)).await {
                            Some(Ok(())) => continue 'read,
                            Some(Err(given_up)) => return Ok(Turn::Failed(about, given_up.error)),
                            None => return Ok(Turn::OutOfTime(about)),
                        },
                    },
                    NextStep::GiveWay(theirs) => {
                        end(parties, wish, PreferenceWrite::TheirsTaken { theirs }, &mut last).await?
                    }
                    NextStep::Nothing | NextStep::Done => {
                        end(parties, wish, PreferenceWrite::Written, &mut last).await?
                    }
                };
            }
        }
    }

    async fn put(
        &self,
        parties: &Parties,
        wish: Wish,
        form: PreferenceForm,
        write_unstable: bool,
        deadline: Option<Instant>,
    ) -> Result<Put, NoAccess> {
        let is_due = change(&parties.jobs, move |ledger| {
            ledger.mark_attempted(wish, form, write_unstable)
        })
        .await?;
        if !is_due {
            return Ok(Put::NotDue);
        }
        self.own_writes().insert((form, wish.enabled));
        let content = form.content(wish.enabled);
        let put = parties.homeserver.put_account_data(form.event_type(), &content);
        match until_deadline(deadline, put).await {
            Some(Ok(())) => {
                self.news.count_write();
                let wrote = change(&parties.jobs, move |ledger| {
                    ledger.mark_written(form, wish.enabled);
                    *ledger
                });
                Ok(Put::Written(wrote.await?))
            }
            Some(Err(error)) => {
                if !matches!(error.meaning(), Meaning::Passes | Meaning::ServerFault) {
                    change(&parties.jobs, move |ledger| ledger.mark_refused(form)).await?;
                }
                Ok(Put::Failed(error))
            }
            None => Ok(Put::OutOfTime),
        }
    }

    /// Asks the app which value counts.
    async fn ask_app(
        &self,
        parties: &Parties,
        wish: Wish,
        theirs: SharedPreference,
        patience: TimeLimit,
    ) -> Result<Asked, NoAccess> {
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
        about: Option<i64>,
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
            retry_after_ms: wait.map(|wait| wait.as_millis() as u64),
        })
    }

    fn own_writes(&self) -> std::sync::MutexGuard<'_, HashSet<(PreferenceForm, bool)>> {
        self.own_writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn end(
    parties: &Parties,
    wish: Wish,
    write: PreferenceWrite,
    last: &mut Option<EndedWish>,
) -> Result<Ledger, NoAccess> {
    let (ended, ledger) = change(&parties.jobs, move |ledger| (ledger.end_wish(wish.number), *ledger)).await?;
    if ended {
        *last = Some(EndedWish {
            number: wish.number,
            write,
        });
    }
    Ok(ledger)
}

fn is_choosing(intent: Intent) -> bool {
    matches!(intent, Intent::Choose(_))
}

/// Notes both readings. Returns the ledger, and the number of the wish that the policy made from them, if it made
/// one.
fn note(ledger: &mut Ledger, reading: Reading, intent: Intent) -> (Ledger, Option<i64>) {
    ledger.observe_all(reading);
    ledger.first_sight_is_told();
    let chosen = match intent {
        Intent::Choose(enabled) => ledger.choose(enabled),
        Intent::Made(number) => {
            ledger.expect_if_unknown(number);
            None
        }
        Intent::Flush => None,
    };
    (*ledger, chosen)
}

/// Whether nothing is left to do for this intent.
fn is_over(intent: Intent, ledger: Ledger) -> bool {
    match (intent, ledger.wish) {
        (Intent::Choose(_), _) => false,
        (_, None) => true,
        (Intent::Made(made), Some(wish)) => wish.number > made,
        (Intent::Flush, Some(_)) => false,
    }
}

/// Returns how the wish of number `about` has ended, which this turn dealt with last; `None` if it dealt with none.
fn write_of(about: Option<i64>, ledger: Ledger, last: Option<&EndedWish>) -> Option<PreferenceWrite> {
    let about = about?;
    match last {
        Some(last) if last.number == about => Some(last.write.clone()),
        Some(last) if last.number > about => Some(PreferenceWrite::Superseded),
        _ => ledger.wish.map(|_| PreferenceWrite::Superseded),
    }
}
