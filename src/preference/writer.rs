//! Reading the preference, and writing what is wished for: one at a time, asking the host where devices disagree.
//!
//! Every step is in the ledger before the next one begins, and the server is read again before anything is written, also
//! when a write is tried again: killed or dropped anywhere, the next attempt finds out what is left to do.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    PendingReason, PreferenceConflict, PreferenceError, PreferenceForm, PreferenceResolution, PreferenceWrite,
    SharedPreference,
    ask::{Patience, patiently, read_both, soon, within},
    ledger::{Ledger, NextStep, Seen, Wish},
    records::{asked_to_wait, retry_after},
    wire::FormReading,
};
use crate::{
    blocking::blocking,
    client::Parts,
    homeserver::{Backoff, HomeserverError},
    host::{WakeUp, WakeUpPurpose},
    vault::VaultError,
};

/// Before that a wake-up comes too early for a wish that is just being written.
const FIRST_WAKE_UP: Duration = Duration::from_secs(30);
/// How long the host has for what it is told.
const HOST_PATIENCE: Duration = Duration::from_secs(5);

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
    turn: tokio::sync::Mutex<Option<EndedWish>>,
    /// Held while the host is asked: it is asked once.
    asking: tokio::sync::Mutex<()>,
    /// What was written in this process. Read in a sync, it may be an echo that comes late.
    own_writes: Mutex<HashSet<(PreferenceForm, bool)>>,
}

#[derive(Clone, Debug)]
struct EndedWish {
    number: i64,
    write: PreferenceWrite,
}

/// How far an attempt came.
enum Turn {
    /// Nothing more is wished for; how what was meant has ended.
    Ended(Option<PreferenceWrite>),
    AskHost(Wish, SharedPreference),
    Failed(HomeserverError),
}

impl PreferenceWriter {
    /// Reads both forms and takes note. Nothing that is written meanwhile can mix with it.
    pub(super) async fn read(&self, parts: &Parts) -> Result<Ledger, PreferenceError> {
        let work = async {
            let _turn = self.turn.lock().await;
            let reading = patiently(|| read_both(&parts.homeserver)).await?;
            let ledger = change(parts, move |ledger| {
                ledger.observe_all(reading);
                *ledger
            });
            Ok(ledger.await?)
        };
        within(Patience::Interactive.deadline(), work)
            .await
            .unwrap_or(Err(PreferenceError::Unreachable { retry_after_ms: None }))
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
            let turn = within(deadline, self.turn(parts, write_unstable, &mut intent)).await;
            tell_news(parts).await;
            let (reason, asked) = match turn {
                Some(Ok(Turn::Ended(write))) => {
                    reschedule(parts, None, None).await;
                    return Ok(write);
                }
                Some(Ok(Turn::AskHost(wish, theirs))) => match self.ask_host(parts, wish, theirs, patience).await {
                    Ok(PreferenceResolution::TakeTheirs) => {
                        reschedule(parts, None, None).await;
                        return Ok(Some(PreferenceWrite::TheirsTaken { theirs }));
                    }
                    Ok(PreferenceResolution::KeepOurs) => {
                        deadline = patience.deadline();
                        continue;
                    }
                    Ok(PreferenceResolution::AskLater) => (PendingReason::ChangedMeanwhile { theirs }, None),
                    Err(_) => (PendingReason::Vault, None),
                },
                // Nothing was wished for, and nothing came of it.
                Some(Ok(Turn::Failed(error))) if matches!(intent, Intent::Choose(_)) => {
                    reschedule(parts, None, None).await;
                    return Err(error.into());
                }
                Some(Err(error)) if matches!(intent, Intent::Choose(_)) => return Err(error.into()),
                None if matches!(intent, Intent::Choose(_)) => {
                    reschedule(parts, None, None).await;
                    return Err(PreferenceError::Unreachable { retry_after_ms: None });
                }
                Some(Ok(Turn::Failed(error))) => (PendingReason::from(&error), asked_to_wait(&error)),
                Some(Err(_)) => (PendingReason::Vault, None),
                None => (PendingReason::OutOfTime, None),
            };
            return Ok(self.put_off(parts, intent, reason, asked).await);
        }
    }

    async fn turn(&self, parts: &Parts, write_unstable: bool, intent: &mut Intent) -> Result<Turn, VaultError> {
        let mut last = self.turn.lock().await;
        let mut backoff = Backoff::default();
        let mut flushed = None;
        'read: loop {
            let ledger = change(parts, |ledger| *ledger).await?;
            if let Some(end) = end_of(*intent, ledger, last.as_ref(), flushed) {
                return Ok(Turn::Ended(end));
            }
            let reading = match read_both(&parts.homeserver).await {
                Ok(reading) => reading,
                Err(error) => match soon(&mut backoff, error).await {
                    Ok(()) => continue,
                    Err(error) => return Ok(Turn::Failed(error)),
                },
            };
            let wanted = *intent;
            let (mut ledger, chosen) = change(parts, move |ledger| {
                ledger.observe_all(reading);
                ledger.first_sight_is_told();
                let chosen = match wanted {
                    Intent::Choose(enabled) => ledger.choose(enabled),
                    Intent::Made(number) => {
                        ledger.expect_if_unknown(number);
                        None
                    }
                    Intent::Flush => None,
                };
                (*ledger, chosen)
            })
            .await?;
            if let Intent::Choose(_) = intent {
                match chosen {
                    Some(number) => *intent = Intent::Made(number),
                    // Somebody else has chosen.
                    None => return Ok(Turn::Ended(None)),
                }
            }
            while let Some(wish) = ledger.wish {
                ledger = match ledger.next_step(write_unstable) {
                    NextStep::AskHost(theirs) => return Ok(Turn::AskHost(wish, theirs)),
                    NextStep::Write(form) => match self.put(parts, form, wish.enabled).await? {
                        Ok(ledger) => ledger,
                        Err(error) => match soon(&mut backoff, error).await {
                            Ok(()) => continue 'read,
                            Err(error) => return Ok(Turn::Failed(error)),
                        },
                    },
                    NextStep::GiveWay(theirs) => {
                        let write = PreferenceWrite::TheirsTaken { theirs };
                        end(parts, wish, write, &mut last).await?
                    }
                    NextStep::Nothing | NextStep::Done => end(parts, wish, PreferenceWrite::Written, &mut last).await?,
                };
                flushed = Some(wish.number);
            }
        }
    }

    async fn put(
        &self,
        parts: &Parts,
        form: PreferenceForm,
        enabled: bool,
    ) -> Result<Result<Ledger, HomeserverError>, VaultError> {
        change(parts, move |ledger| ledger.attempts(form, enabled)).await?;
        let put = parts
            .homeserver
            .put_account_data(form.event_type(), &form.content(enabled))
            .await;
        if let Err(error) = put {
            if PendingReason::from(&error) != PendingReason::Unreachable {
                change(parts, move |ledger| ledger.was_refused(form)).await?;
            }
            return Ok(Err(error));
        }
        self.own_writes().insert((form, enabled));
        let wrote = change(parts, move |ledger| {
            ledger.wrote(form, enabled);
            *ledger
        });
        Ok(Ok(wrote.await?))
    }

    /// Asks which value counts; no turn is held meanwhile.
    async fn ask_host(
        &self,
        parts: &Parts,
        wish: Wish,
        theirs: SharedPreference,
        patience: Patience,
    ) -> Result<PreferenceResolution, VaultError> {
        let Ok(_asking) = self.asking.try_lock() else {
            return Ok(PreferenceResolution::AskLater);
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
        let resolution = answer.unwrap_or(PreferenceResolution::AskLater);
        match resolution {
            PreferenceResolution::AskLater => {}
            PreferenceResolution::KeepOurs => {
                change(parts, move |ledger| ledger.expect(wish.number, theirs.value)).await?;
            }
            PreferenceResolution::TakeTheirs => {
                let mut last = self.turn.lock().await;
                let write = PreferenceWrite::TheirsTaken { theirs };
                end(parts, wish, write, &mut last).await?;
            }
        }
        Ok(resolution)
    }

    /// Keeps the wish for later.
    async fn put_off(
        &self,
        parts: &Parts,
        intent: Intent,
        reason: PendingReason,
        asked: Option<Duration>,
    ) -> Option<PreferenceWrite> {
        let tried = change(parts, |ledger| {
            ledger.wish.map(|wish| {
                ledger.tries = ledger.tries.saturating_add(1);
                (wish.number, ledger.tries)
            })
        });
        let (number, tries) = match tried.await {
            Ok(Some(tried)) => tried,
            // Somebody else has dealt with it.
            Ok(None) => return None,
            Err(_) => (0, 1),
        };
        let wait = retry_after(&reason, asked, tries);
        reschedule(parts, Some(number), wait).await;
        Some(match intent {
            Intent::Made(made) if number > made => PreferenceWrite::Superseded,
            _ => PreferenceWrite::Pending {
                reason,
                retry_after_ms: wait.map(|wait| wait.as_millis() as u64),
            },
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

/// Tells the host what it does not know yet, and notes that it does. Dropped in between, it is told again.
pub(super) async fn tell_news(parts: &Parts) {
    while let Ok(Some((notice, seen))) = change(parts, |ledger| ledger.news()).await {
        let told = within(
            Some(Instant::now() + HOST_PATIENCE),
            parts.host.on_preference_changed(notice),
        );
        if !matches!(told.await, Some(Ok(()))) {
            log::warn!("the app could not be told of a change of the preference");
        }
        if change(parts, move |ledger| ledger.has_told(seen)).await.is_err() {
            break;
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

/// Whether there is nothing to do, and what to answer then. `flushed` is the wish that this turn has dealt with last.
fn end_of(
    intent: Intent,
    ledger: Ledger,
    last: Option<&EndedWish>,
    flushed: Option<i64>,
) -> Option<Option<PreferenceWrite>> {
    let meant = match intent {
        Intent::Choose(_) => return None,
        Intent::Made(number) => Some(number),
        Intent::Flush => flushed,
    };
    let ended = match (meant, last) {
        (Some(meant), Some(last)) if last.number == meant => Some(last.write.clone()),
        (Some(meant), Some(last)) if last.number > meant => Some(PreferenceWrite::Superseded),
        _ => None,
    };
    match (ended, ledger.wish) {
        (ended, None) => Some(ended),
        (Some(ended), Some(_)) if matches!(intent, Intent::Made(_)) => Some(Some(ended)),
        _ => None,
    }
}
