//! Reading the preference, and writing what is wished for: one at a time, asking the host where devices disagree.
//!
//! Every step is in the ledger before the next one begins, and the server is read again before anything is written, also
//! when a write is tried again: killed or dropped anywhere, the next attempt finds out what is left to do.

use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    PendingReason, PreferenceError, PreferenceForm, PreferenceWrite, SharedPreference,
    ask::{Patience, patiently, read_both, soon, within},
    host::{Asked, reschedule},
    ledger::{Ledger, NextStep, Seen, Wish},
    records::{asked_to_wait, retry_after},
    wire::{FormReading, Reading},
};
use crate::{
    blocking::blocking,
    client::Parts,
    homeserver::{Backoff, HomeserverError, Meaning},
    vault::VaultError,
};

/// What a write is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Intent {
    /// Whatever is wished for.
    Flush,
    /// The wish of this number, which has just been made.
    Made(i64),
    /// To make a wish for the policy, if nobody has chosen by then.
    Choose(bool),
}

/// Reads and writes for one client.
#[derive(Default)]
pub(super) struct PreferenceWriter {
    /// Held while the server is read and written; how the last wish ended.
    pub(super) turn: tokio::sync::Mutex<Option<EndedWish>>,
    /// Held while the host is asked, or told: it is, once.
    pub(super) asking: tokio::sync::Mutex<()>,
    pub(super) telling: tokio::sync::Mutex<()>,
    /// What was written in this process. Read in a sync, it may be an echo that comes late.
    own_writes: Mutex<HashSet<(PreferenceForm, bool)>>,
    pub(super) writes_made: AtomicU64,
}

#[derive(Clone, Debug)]
pub(super) struct EndedWish {
    pub(super) number: i64,
    pub(super) write: PreferenceWrite,
}

/// How far an attempt came.
enum Turn {
    /// Nothing more is wished for; how what was meant has ended.
    Ended(Option<PreferenceWrite>),
    AskHost(Wish, SharedPreference),
    /// With the wish that it was about, if there was one.
    Failed(Option<i64>, HomeserverError),
    OutOfTime(Option<i64>),
}

/// How far one write came.
enum Put {
    Written(Ledger),
    /// Something has come in between.
    NotDue,
    Failed(HomeserverError),
    OutOfTime,
}

impl PreferenceWriter {
    /// Reads both forms and takes note. What is written, or comes by a sync, meanwhile does not mix with it.
    pub(super) async fn read(&self, parts: &Parts) -> Result<Ledger, PreferenceError> {
        let deadline = Patience::Interactive.deadline();
        let out_of_time = || PreferenceError::Unreachable { retry_after_ms: None };
        let _turn = within(deadline, self.turn.lock()).await.ok_or_else(out_of_time)?;
        loop {
            let before = change(parts, |ledger| ledger.seen).await?;
            let reading = within(deadline, patiently(|| read_both(&parts.homeserver))).await;
            let reading = reading.ok_or_else(out_of_time)??;
            let noted = change(parts, move |ledger| {
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

    /// Takes note of what a sync brings. Where it may be a late echo of our own, the server is asked what is true.
    pub(super) async fn observe(&self, parts: &Parts, seen: Seen) -> Result<(), VaultError> {
        let known = change(parts, |ledger| ledger.seen).await?;
        let may_be_an_echo = PreferenceForm::ALL.into_iter().any(|form| match seen.get(form) {
            Some(reading @ FormReading::Says(enabled)) => {
                known.get(form) != Some(reading) && self.own_writes().contains(&(form, enabled))
            }
            _ => false,
        });
        // Unless the server answers, what the sync says is the latest there is.
        if !may_be_an_echo || self.read(parts).await.is_err() {
            change(parts, move |ledger| ledger.observe(seen)).await?;
        }
        Ok(())
    }

    /// Writes what is wished for, until nothing is, or something is in the way.
    pub(super) async fn write(
        &self,
        parts: &Parts,
        write_unstable: bool,
        mut intent: Intent,
        patience: Patience,
    ) -> Result<Option<PreferenceWrite>, PreferenceError> {
        let mut deadline = patience.deadline();
        loop {
            let turn = self.turn(parts, write_unstable, &mut intent, deadline).await;
            self.tell_news(parts).await;
            let (about, reason, asked) = match turn {
                Ok(Turn::Ended(write)) => {
                    reschedule(parts, None, None).await;
                    return Ok(write);
                }
                Ok(Turn::AskHost(wish, theirs)) => match self.ask_host(parts, wish, theirs, patience).await {
                    Ok(Asked::Taken) => {
                        reschedule(parts, None, None).await;
                        return Ok(Some(PreferenceWrite::TheirsTaken { theirs }));
                    }
                    Ok(Asked::GoOn) => {
                        deadline = patience.deadline();
                        continue;
                    }
                    Ok(Asked::Later) => (Some(wish.number), PendingReason::ChangedMeanwhile { theirs }, None),
                    Err(_) => (Some(wish.number), PendingReason::Vault, None),
                },
                // Nothing was wished for, and nothing came of it.
                Ok(Turn::Failed(None, error)) if is_choosing(intent) => return Err(error.into()),
                Ok(Turn::OutOfTime(None)) if is_choosing(intent) => {
                    return Err(PreferenceError::Unreachable { retry_after_ms: None });
                }
                Err(error) if is_choosing(intent) => return Err(error.into()),
                Ok(Turn::Failed(about, error)) => (about, PendingReason::from(&error), asked_to_wait(&error)),
                Ok(Turn::OutOfTime(about)) => (about, PendingReason::OutOfTime, None),
                Err(_) => (None, PendingReason::Vault, None),
            };
            return Ok(self.put_off(parts, intent, about, reason, asked).await);
        }
    }

    async fn turn(
        &self,
        parts: &Parts,
        write_unstable: bool,
        intent: &mut Intent,
        deadline: Option<Instant>,
    ) -> Result<Turn, VaultError> {
        let mut about = match *intent {
            Intent::Made(number) => Some(number),
            Intent::Flush | Intent::Choose(_) => None,
        };
        let Some(mut last) = within(deadline, self.turn.lock()).await else {
            return Ok(Turn::OutOfTime(about));
        };
        let mut backoff = Backoff::default();
        'read: loop {
            let before = change(parts, |ledger| *ledger).await?;
            if let Some(end) = end_of(*intent, before, last.as_ref(), about) {
                return Ok(Turn::Ended(end));
            }
            about = before.wish.map(|wish| wish.number).or(about);
            let reading = match within(deadline, read_both(&parts.homeserver)).await {
                Some(Ok(reading)) => reading,
                Some(Err(error)) => match within(deadline, soon(&mut backoff, error)).await {
                    Some(Ok(())) => continue,
                    Some(Err(error)) => return Ok(Turn::Failed(about, error)),
                    None => return Ok(Turn::OutOfTime(about)),
                },
                None => return Ok(Turn::OutOfTime(about)),
            };
            let wanted = *intent;
            let noted = change(parts, move |ledger| {
                // A sync has brought something meanwhile: that may be newer.
                (ledger.seen == before.seen).then(|| note(ledger, reading, wanted))
            });
            let Some((mut ledger, chosen)) = noted.await? else {
                continue;
            };
            if let Intent::Choose(_) = intent {
                match chosen {
                    Some(number) => *intent = Intent::Made(number),
                    // Somebody else has chosen.
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
                    NextStep::Write(form) => match self.put(parts, wish, form, write_unstable, deadline).await? {
                        Put::Written(ledger) => ledger,
                        Put::NotDue => continue 'read,
                        Put::OutOfTime => return Ok(Turn::OutOfTime(about)),
                        Put::Failed(error) => match within(deadline, soon(&mut backoff, error)).await {
                            Some(Ok(())) => continue 'read,
                            Some(Err(error)) => return Ok(Turn::Failed(about, error)),
                            None => return Ok(Turn::OutOfTime(about)),
                        },
                    },
                    NextStep::GiveWay(theirs) => {
                        end(parts, wish, PreferenceWrite::TheirsTaken { theirs }, &mut last).await?
                    }
                    NextStep::Nothing | NextStep::Done => end(parts, wish, PreferenceWrite::Written, &mut last).await?,
                };
            }
        }
    }

    async fn put(
        &self,
        parts: &Parts,
        wish: Wish,
        form: PreferenceForm,
        write_unstable: bool,
        deadline: Option<Instant>,
    ) -> Result<Put, VaultError> {
        let is_due = change(parts, move |ledger| ledger.attempts(wish, form, write_unstable)).await?;
        if !is_due {
            return Ok(Put::NotDue);
        }
        self.own_writes().insert((form, wish.enabled));
        let content = form.content(wish.enabled);
        let put = parts.homeserver.put_account_data(form.event_type(), &content);
        match within(deadline, put).await {
            Some(Ok(())) => {
                self.writes_made.fetch_add(1, Ordering::SeqCst);
                let wrote = change(parts, move |ledger| {
                    ledger.wrote(form, wish.enabled);
                    *ledger
                });
                Ok(Put::Written(wrote.await?))
            }
            Some(Err(error)) => {
                if !matches!(error.meaning(), Meaning::Passes | Meaning::ServerFault) {
                    change(parts, move |ledger| ledger.was_refused(form)).await?;
                }
                Ok(Put::Failed(error))
            }
            None => Ok(Put::OutOfTime),
        }
    }

    /// Keeps the wish for later. `about` is the one that the attempt was for, if it got so far.
    async fn put_off(
        &self,
        parts: &Parts,
        intent: Intent,
        about: Option<i64>,
        reason: PendingReason,
        asked: Option<Duration>,
    ) -> Option<PreferenceWrite> {
        let tried = change(parts, move |ledger| {
            let wish = ledger
                .wish
                .filter(|wish| about.is_none_or(|about| about == wish.number))?;
            ledger.tries = ledger.tries.saturating_add(1);
            Some((wish.number, ledger.tries))
        });
        let (number, tries) = match tried.await {
            Ok(Some(tried)) => tried,
            // Another wish has taken its place, or somebody else has dealt with it.
            Ok(None) => {
                reschedule(parts, None, None).await;
                return matches!(intent, Intent::Made(_)).then_some(PreferenceWrite::Superseded);
            }
            Err(_) => (about.unwrap_or_default(), 1),
        };
        let wait = retry_after(&reason, asked, tries);
        reschedule(parts, Some(number), wait).await;
        Some(PreferenceWrite::Pending {
            reason,
            retry_after_ms: wait.map(|wait| wait.as_millis() as u64),
        })
    }

    fn own_writes(&self) -> std::sync::MutexGuard<'_, HashSet<(PreferenceForm, bool)>> {
        self.own_writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes the ledger in one transaction.
pub(super) async fn change<T: Send + 'static>(
    parts: &Parts,
    change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
) -> Result<T, VaultError> {
    let vault = parts.vault.clone();
    let work = move || {
        vault.connect()?.change_preference(|row| {
            let mut ledger = Ledger::from(*row);
            let result = change(&mut ledger);
            *row = ledger.into();
            result
        })
    };
    blocking(work).await.unwrap_or(Err(VaultError::Panicked))
}

async fn end(
    parts: &Parts,
    wish: Wish,
    write: PreferenceWrite,
    last: &mut Option<EndedWish>,
) -> Result<Ledger, VaultError> {
    let (ended, ledger) = change(parts, move |ledger| (ledger.end_wish(wish.number), *ledger)).await?;
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

/// What is known once both forms have been read, and the number of a wish that the policy has made by it.
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

/// Whether there is nothing to do, and what to answer then. `about` is the wish that this turn has dealt with last.
fn end_of(
    intent: Intent,
    ledger: Ledger,
    last: Option<&EndedWish>,
    about: Option<i64>,
) -> Option<Option<PreferenceWrite>> {
    let is_over = match (intent, ledger.wish) {
        (Intent::Choose(_), _) => false,
        (_, None) => true,
        (Intent::Made(made), Some(wish)) => wish.number > made,
        (Intent::Flush, Some(_)) => false,
    };
    is_over.then(|| match (about, last, ledger.wish) {
        (Some(about), Some(last), _) if last.number == about => Some(last.write.clone()),
        (Some(about), Some(last), _) if last.number > about => Some(PreferenceWrite::Superseded),
        (Some(_), _, Some(_)) => Some(PreferenceWrite::Superseded),
        _ => None,
    })
}
