//! The preference as apps see it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    AccountDataEvent, DecisionReason, DeterminedPolicy, PendingPreference, PendingReason, PreferenceError,
    PreferenceForm, PreferencePolicy, PreferenceValue, PreferenceWrite, SharedPreference, SignInDecision,
    UndeterminedPolicy,
    ask::{TimeLimit, backup_exists},
    decision::{ChosenHere, Decision, choices_differ, decide},
    ledger::{Ledger, NextStep, Seen},
    parties::{Parties, PreferenceListener},
    stored::{change, read_ledger},
    wake_up::{reschedule, schedule_first},
    writer::{Intent, PreferenceWriter},
};
use crate::{
    context::Context,
    job::{Jobs, RunBudget},
    until_shut_down::UntilShutDown,
};

/// Whether the user wants room keys to be backed up, as all their clients share it (MSC4287). Get it from
/// `KeyBackupClient.preference()`.
///
/// It decides about *backing up* only: a backup that exists may be restored from whatever it says. It switches nothing by
/// itself; the app acts on what it is told.
///
/// Every call may be dropped: what was durable by then stays, and `pending` tells of it. Open one client for a vault.
#[derive(uniffi::Object)]
pub struct KeyBackupPreference {
    parties: UntilShutDown<Parties>,
    closed: watch::Sender<bool>,
    policy: PreferencePolicy,
    writer: PreferenceWriter,
}

#[derive(Clone, Copy)]
struct Part {
    determined: DeterminedPolicy,
    undetermined: UndeterminedPolicy,
    write_unstable: bool,
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupPreference {
    /// What to do about backups on this device, now that the user has signed in. Ask before the app joins an existing
    /// backup as well as before it creates one.
    ///
    /// Reads both forms and whether a backup exists. Where the policy chooses, it reads once more and writes the choice;
    /// what it leaves off it does not write. Only an answer of the homeserver that there is no value counts as none. A
    /// choice of the user on this device that is still to be written is written on the way, and the host is asked if
    /// another device has chosen the opposite. Takes at most some 20 seconds, and as long as the host takes to answer.
    ///
    /// # Errors
    /// A [`PreferenceError`]: then nothing is decided, and nothing written. Leave backups as they are and ask again.
    pub async fn decide_at_sign_in(&self) -> Result<SignInDecision, PreferenceError> {
        let (parties, part) = self.take_part()?;
        self.unless_closed(self.decide(&parties, part)).await
    }

    /// The user turns backups on or off on this device. The wish is durable before anything is asked of the network, and
    /// the last one counts. Takes at most some 10 seconds, and as long as the host takes to answer a conflict.
    ///
    /// Delete or create a backup only after [`PreferenceWrite::Written`].
    ///
    /// # Errors
    /// [`PreferenceError::OptedOut`], `ShutDown`, or what is wrong with the vault: then the wish is not kept. What is wrong
    /// with the network is no error here, but [`PreferenceWrite::Pending`].
    pub async fn set_enabled(&self, enabled: bool) -> Result<PreferenceWrite, PreferenceError> {
        let (parties, part) = self.take_part()?;
        self.unless_closed(async {
            schedule_first(&parties).await;
            let number = match change(&parties.jobs, move |ledger| ledger.wish(enabled)).await {
                Ok(number) => number,
                Err(error) => {
                    reschedule(&parties, None, None).await;
                    return Err(error.into());
                }
            };
            let intent = Intent::Made(number);
            let write = self
                .writer
                .write(&parties, part.write_unstable, intent, TimeLimit::Interactive);
            // None: somebody else has dealt with it, through another client on the same vault.
            Ok(write.await?.unwrap_or(PreferenceWrite::Superseded))
        })
        .await
    }

    /// Writes a wish that is pending: call it on a wake-up, when the network is back, and when the app starts. `None` if
    /// there is none; then no request is made. Without a limit in the budget it takes at most two minutes; the app's own
    /// callbacks may add some seconds.
    ///
    /// # Errors
    /// [`PreferenceError::OptedOut`], `ShutDown`, or what is wrong with the vault.
    pub async fn flush(&self, budget: RunBudget) -> Result<Option<PreferenceWrite>, PreferenceError> {
        let (parties, part) = self.take_part()?;
        let patience = TimeLimit::of(budget);
        self.unless_closed(async {
            if read_ledger(&parties.jobs).await?.wish.is_none() {
                reschedule(&parties, None, None).await;
                return Ok(None);
            }
            self.writer
                .write(&parties, part.write_unstable, Intent::Flush, patience)
                .await
        })
        .await
    }

    /// The wish that is not yet written, if there is one. Without network, and also for an app that takes no part.
    ///
    /// # Errors
    /// [`PreferenceError::ShutDown`], or what is wrong with the vault.
    pub async fn pending(&self) -> Result<Option<PendingPreference>, PreferenceError> {
        let ledger = read_ledger(&self.parties()?.jobs).await?;
        Ok(ledger.wish.map(|wish| PendingPreference {
            enabled: wish.enabled,
            tries: ledger.tries,
            changed_meanwhile: match ledger.next_step(true) {
                NextStep::AskHost(theirs) => Some(theirs),
                _ => None,
            },
        }))
    }

    /// The account's value as it was seen last on this device; `None` if it never was. Without network, and also for an
    /// app that takes no part.
    ///
    /// # Errors
    /// [`PreferenceError::ShutDown`], or what is wrong with the vault.
    pub async fn last_seen(&self) -> Result<Option<SharedPreference>, PreferenceError> {
        Ok(read_ledger(&self.parties()?.jobs).await?.seen.shared())
    }

    /// Reads the account's value now. It switches nothing; a change is told to the host as well. Takes at most some 10
    /// seconds.
    ///
    /// # Errors
    /// A [`PreferenceError`].
    pub async fn refresh(&self) -> Result<SharedPreference, PreferenceError> {
        let (parties, _) = self.take_part()?;
        self.unless_closed(async {
            let ledger = self.writer.read(&parties).await?;
            change(&parties.jobs, Ledger::first_sight_is_told).await?;
            self.writer.news.tell(&parties).await;
            ledger.seen.shared().ok_or(PreferenceError::Internal)
        })
        .await
    }

    /// Takes note of account data that a sync has brought: pass all events of one answer at once, and one answer after the
    /// other. Other types, and what is no JSON, are passed over. It switches nothing; a change is told to the host, our own
    /// echo is not. Makes a request only where it could be either.
    ///
    /// # Errors
    /// [`PreferenceError::OptedOut`], `ShutDown`, or what is wrong with the vault.
    pub async fn account_data_arrived(&self, events: Vec<AccountDataEvent>) -> Result<(), PreferenceError> {
        let (parties, _) = self.take_part()?;
        let seen = seen_in(&events);
        if seen == Seen::default() {
            return Ok(());
        }
        self.unless_closed(async {
            self.writer.observe(&parties, seen).await?;
            self.writer.news.tell(&parties).await;
            Ok(())
        })
        .await
    }
}

impl KeyBackupPreference {
    pub(crate) fn new(
        jobs: Arc<Jobs>,
        context: &Context,
        listener: Arc<dyn PreferenceListener>,
        policy: PreferencePolicy,
    ) -> Self {
        Self {
            parties: UntilShutDown::new(Arc::new(Parties::new(jobs, context, listener))),
            closed: watch::Sender::new(false),
            policy,
            writer: PreferenceWriter::default(),
        }
    }

    /// Ends every call, and drops the callbacks. A wish stays pending.
    pub(crate) fn shut_down(&self) {
        self.closed.send_replace(true);
        self.parties.shut_down();
    }

    async fn unless_closed<T>(
        &self,
        work: impl Future<Output = Result<T, PreferenceError>>,
    ) -> Result<T, PreferenceError> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`: the wait cannot fail.
            _ = closed.wait_for(|closed| *closed) => Err(PreferenceError::ShutDown),
            result = work => result,
        }
    }

    fn parties(&self) -> Result<Arc<Parties>, PreferenceError> {
        self.parties.get().ok_or(PreferenceError::ShutDown)
    }

    fn take_part(&self) -> Result<(Arc<Parties>, Part), PreferenceError> {
        match self.policy {
            PreferencePolicy::OptOut => Err(PreferenceError::OptedOut),
            PreferencePolicy::TakePart {
                determined,
                undetermined,
                write_unstable,
            } => Ok((
                self.parties()?,
                Part {
                    determined,
                    undetermined,
                    write_unstable,
                },
            )),
        }
    }

    async fn decide(&self, parties: &Parties, part: Part) -> Result<SignInDecision, PreferenceError> {
        let (read, exists) = tokio::join!(self.writer.read(parties), backup_exists(&parties.homeserver));
        let (mut ledger, backup_exists) = (read?, exists?);
        let mut decision = part.decide(ledger)?;
        let mut write = None;
        if let Some(enabled) = decision.write {
            let intent = match decision.reason {
                DecisionReason::ChosenByPolicy if ledger.wish.is_none() => {
                    schedule_first(parties).await;
                    Intent::Choose(enabled)
                }
                _ => Intent::Flush,
            };
            let written = self
                .writer
                .write(parties, part.write_unstable, intent, TimeLimit::Interactive);
            write = match written.await {
                Ok(write) => write,
                Err(error) => {
                    // There is no wish to be woken for.
                    reschedule(parties, None, None).await;
                    return Err(error);
                }
            };
            ledger = read_ledger(&parties.jobs).await?;
            match &write {
                Some(PreferenceWrite::Written)
                    if ledger.seen.shared().map(|shared| shared.value) == Some(PreferenceValue::of(enabled)) => {}
                Some(PreferenceWrite::Pending {
                    reason: PendingReason::ChangedMeanwhile { theirs },
                    ..
                }) => decision = choices_differ(*theirs),
                Some(PreferenceWrite::Pending { .. }) if ledger.wish.map(|wish| wish.enabled) == Some(enabled) => {}
                // It came to nothing: what is there now counts.
                _ => decision = part.decide(ledger)?,
            }
        }
        change(&parties.jobs, Ledger::first_sight_is_told).await?;
        self.writer.news.tell(parties).await;
        let Decision {
            backups,
            reason,
            ask_user,
            ..
        } = decision;
        Ok(SignInDecision {
            backups,
            reason,
            ask_user,
            preference: ledger.seen.shared().ok_or(PreferenceError::Internal)?,
            backup_exists,
            write,
        })
    }
}

impl Part {
    fn decide(self, ledger: Ledger) -> Result<Decision, PreferenceError> {
        let shared = ledger.seen.shared().ok_or(PreferenceError::Internal)?;
        let chosen_here = ledger.wish.map(|wish| ChosenHere {
            enabled: wish.enabled,
            by_user: wish.by_user,
        });
        Ok(decide(self.determined, self.undetermined, shared, chosen_here))
    }
}

fn seen_in(events: &[AccountDataEvent]) -> Seen {
    let mut seen = Seen::default();
    for event in events {
        let form = PreferenceForm::ALL
            .into_iter()
            .find(|form| form.event_type() == event.event_type);
        if let Some(form) = form
            && let Ok(content) = serde_json::from_str(&event.content_json)
        {
            seen.set(form, Some(form.read(Some(&content))));
        }
    }
    seen
}
