//! Reading the preference, and writing what is wished for: one at a time, asking the host where devices disagree.
//!
//! Every step is in the ledger before the next one begins, and what the server says is read again before anything is
//! written: killed anywhere, the next attempt finds out what is left to do.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    PendingReason, PreferenceConflict, PreferenceError, PreferenceForm, PreferenceNotice, PreferenceResolution,
    PreferenceWrite, SharedPreference,
    ask::{Patience, patiently, read_both, within},
    echo::OwnWrites,
    ledger::{Ledger, NextStep, Seen, Wish},
    records::{asked_to_wait, retry_after},
    wire::{FormReading, Reading},
};
use crate::{
    blocking::blocking,
    client::Parts,
    homeserver::HomeserverError,
    host::{WakeUp, WakeUpPurpose},
    vault::VaultError,
};

/// Reads and writes for one client.
#[derive(Default)]
pub(super) struct PreferenceWriter {
    /// Held while the server is read and written; how the last wish ended.
    turn: tokio::sync::Mutex<Option<EndedWish>>,
    own_writes: Mutex<OwnWrites>,
}

#[derive(Clone, Debug)]
struct EndedWish {
    number: i64,
    write: PreferenceWrite,
}

/// How far an attempt came.
enum Turn {
    /// Nothing is wished for any more.
    Ended(Option<PreferenceWrite>),
    AskHost(Wish, SharedPreference),
    Failed(HomeserverError),
}

impl PreferenceWriter {
    /// Reads both forms, takes note, and tells the host of a change. Nothing that is written meanwhile can mix with it.
    pub(super) async fn read(&self, parts: &Parts) -> Result<(SharedPreference, Ledger), PreferenceError> {
        let work = async {
            let _turn = self.turn.lock().await;
            let reading = patiently(|| read_both(&parts.homeserver)).await?;
            for form in PreferenceForm::ALL {
                self.own_writes().takes(form, reading.form(form));
            }
            let (notice, ledger) = change(parts, move |ledger| (ledger.observe(reading.into()), *ledger)).await?;
            Ok::<_, PreferenceError>((reading.shared(), notice, ledger))
        };
        let (shared, notice, ledger) = within(Patience::Interactive.deadline(), work)
            .await
            .unwrap_or(Err(PreferenceError::Unreachable { retry_after_ms: None }))?;
        // What is seen for the first time is told by what this call leads to.
        if let Some(notice) = notice.filter(|notice| notice.before.is_some()) {
            tell(parts, notice).await;
        }
        Ok((shared, ledger))
    }

    /// Takes note of what a sync brings, and tells the host of a change. Our own echo is none.
    pub(super) async fn observe(
        &self,
        parts: &Parts,
        readings: &[(PreferenceForm, FormReading)],
    ) -> Result<(), VaultError> {
        let mut seen = Seen::default();
        for (form, reading) in readings {
            if !self.own_writes().takes(*form, *reading) {
                seen.set(*form, *reading);
            }
        }
        if let Some(notice) = change(parts, move |ledger| ledger.observe(seen)).await? {
            tell(parts, notice).await;
        }
        Ok(())
    }

    /// Writes what is wished for, until nothing is, or something is in the way. `made` is the wish that this is about, if
    /// it has just been made; `fresh` is what the server says, if it has just been read.
    pub(super) async fn write(
        &self,
        parts: &Parts,
        write_unstable: bool,
        made: Option<i64>,
        mut fresh: Option<Reading>,
        patience: Patience,
    ) -> Result<Option<PreferenceWrite>, VaultError> {
        loop {
            let mut notices = Vec::new();
            let turn = self.turn(parts, write_unstable, made, fresh.take(), &mut notices);
            let turn = within(patience.deadline(), turn).await;
            for notice in notices {
                tell(parts, notice).await;
            }
            let (reason, asked) = match turn.transpose()? {
                Some(Turn::Ended(write)) => {
                    schedule(parts, None).await;
                    return Ok(write);
                }
                Some(Turn::AskHost(wish, theirs)) => match self.ask_host(parts, wish, theirs, patience).await? {
                    Some(end) => (end, None),
                    None => continue,
                },
                Some(Turn::Failed(error)) => (PendingReason::from(&error), asked_to_wait(&error)),
                None => (PendingReason::OutOfTime, None),
            };
            let tries = change(parts, |ledger| {
                ledger.tries = ledger.tries.saturating_add(1);
                ledger.tries
            })
            .await?;
            let wait = retry_after(&reason, asked, tries);
            schedule(parts, wait).await;
            return Ok(Some(PreferenceWrite::Pending {
                reason,
                retry_after_ms: wait.map(|wait| wait.as_millis() as u64),
            }));
        }
    }

    async fn turn(
        &self,
        parts: &Parts,
        write_unstable: bool,
        made: Option<i64>,
        fresh: Option<Reading>,
        notices: &mut Vec<PreferenceNotice>,
    ) -> Result<Turn, VaultError> {
        let mut last = self.turn.lock().await;
        if let Some(write) = answer_for(made, last.as_ref()) {
            return Ok(Turn::Ended(Some(write)));
        }
        let reading = match fresh {
            Some(reading) => reading,
            None => match patiently(|| read_both(&parts.homeserver)).await {
                Ok(reading) => reading,
                Err(error) => return Ok(Turn::Failed(error)),
            },
        };
        let (notice, mut ledger) = change(parts, move |ledger| {
            let notice = ledger.observe(reading.into());
            if let Some(wish) = ledger.wish
                && Some(wish.number) == made
                && wish.base.is_none()
            {
                // Never seen before: what is there now was there when the wish was made, a moment ago.
                ledger.expect(wish.number, reading.shared().value);
            }
            (notice, *ledger)
        })
        .await?;
        notices.extend(notice);
        loop {
            let step = ledger.next_step(write_unstable);
            let Some(wish) = ledger.wish else {
                let ended = last.as_ref().map(|ended| ended.write.clone());
                return Ok(Turn::Ended(answer_for(made, last.as_ref()).or(ended)));
            };
            ledger = match step {
                NextStep::Nothing | NextStep::Done => {
                    let ledger = end(parts, wish).await?;
                    *last = Some(EndedWish {
                        number: wish.number,
                        write: PreferenceWrite::Written,
                    });
                    ledger
                }
                NextStep::AskHost(theirs) => return Ok(Turn::AskHost(wish, theirs)),
                NextStep::Write(form) => {
                    self.own_writes().is_writing(form, wish.enabled);
                    let content = form.content(wish.enabled);
                    let put = || parts.homeserver.put_account_data(form.event_type(), &content);
                    if let Err(error) = patiently(put).await {
                        return Ok(Turn::Failed(error));
                    }
                    change(parts, move |ledger| {
                        ledger.wrote(form, wish.enabled);
                        *ledger
                    })
                    .await?
                }
            };
        }
    }

    /// Asks which value counts; no turn is held meanwhile. Gives the reason for which the wish stays pending, if it does.
    async fn ask_host(
        &self,
        parts: &Parts,
        wish: Wish,
        theirs: SharedPreference,
        patience: Patience,
    ) -> Result<Option<PendingReason>, VaultError> {
        let conflict = PreferenceConflict {
            ours: wish.enabled,
            theirs,
        };
        let deadline = match patience {
            Patience::Interactive => None,
            Patience::Until(deadline) => deadline,
        };
        let answer = within(deadline, parts.host.resolve_preference_conflict(conflict)).await;
        match answer.and_then(Result::ok).unwrap_or(PreferenceResolution::AskLater) {
            PreferenceResolution::AskLater => Ok(Some(PendingReason::ChangedMeanwhile { theirs })),
            PreferenceResolution::KeepOurs => {
                change(parts, move |ledger| ledger.expect(wish.number, theirs.value)).await?;
                Ok(None)
            }
            PreferenceResolution::TakeTheirs => {
                let mut last = self.turn.lock().await;
                end(parts, wish).await?;
                *last = Some(EndedWish {
                    number: wish.number,
                    write: PreferenceWrite::TheirsTaken { theirs },
                });
                Ok(None)
            }
        }
    }

    fn own_writes(&self) -> std::sync::MutexGuard<'_, OwnWrites> {
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

/// Asks the host to be woken for a wish; `None` if there is none any more.
pub(super) async fn schedule(parts: &Parts, wait: Option<Duration>) {
    let wake_up = wait.map(|wait| WakeUp {
        not_before_ms: wait.as_millis() as u64,
        needs_network: true,
        needs_unmetered: false,
        needs_charging: false,
        expected_bytes: 4_096,
    });
    let asked = parts.host.schedule_wake_up(WakeUpPurpose::PreferenceWrite, wake_up);
    if asked.await.is_err() {
        log::warn!("the app takes no wake-up for the preference");
    }
}

async fn end(parts: &Parts, wish: Wish) -> Result<Ledger, VaultError> {
    change(parts, move |ledger| {
        ledger.end_wish(wish.number);
        *ledger
    })
    .await
}

async fn tell(parts: &Parts, notice: PreferenceNotice) {
    if parts.host.on_preference_changed(notice).await.is_err() {
        log::warn!("the app could not be told of a change of the preference");
    }
}

/// What to answer the maker of a wish, if that has ended.
fn answer_for(made: Option<i64>, last: Option<&EndedWish>) -> Option<PreferenceWrite> {
    let (made, last) = (made?, last?);
    match last.number {
        number if number < made => None,
        number if number == made => Some(last.write.clone()),
        _ => Some(PreferenceWrite::Superseded),
    }
}
