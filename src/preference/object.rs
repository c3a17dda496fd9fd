//! The preference as apps see it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    AccountDataEvent, DecisionReason, DeterminedPolicy, PendingPreference, PendingReason, PreferenceForm,
    PreferencePolicy, PreferenceValue, PreferenceWrite, SharedPreference, SignInDecision, UndeterminedPolicy,
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
    job::{AccessError, Jobs, RunBudget},
    until_shut_down::UntilShutDown,
};

/// Reads and writes the user's backup preference: whether they want room keys backed up, as all their clients share
/// it (MSC4287). Get it from `KeyBackupClient.preference()`.
///
/// The preference is about *backing up* only: an existing backup may be restored from, whatever the preference says.
/// This object does not switch backups on or off; the app acts on the results and notices.
///
/// Every call may be cancelled: what was stored by then stays, and `pending` returns it. Open only one client for
/// each vault.
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
    /// Decides what to do about backups on this device after the user has signed in. Call it before the app joins an
    /// existing backup, and before it creates one.
    ///
    /// Reads both forms of the preference, and whether a backup exists. If the policy makes the choice, reads both
    /// forms once more and writes the choice; if the policy leaves backups off, writes nothing. Only the homeserver's
    /// answer that there is no value counts as no value. A choice that the user made on this device and that is not
    /// yet written is written in this call; if another device has chosen the opposite, the host is asked. Takes at
    /// most about 20 seconds, plus the time that the host takes to answer.
    ///
    /// # Errors
    /// Any `AccessError`: nothing is decided or written then. Leave backups as they are, and call this again.
    pub async fn decide_at_sign_in(&self) -> Result<SignInDecision, AccessError> {
        let (parties, part) = self.take_part()?;
        self.unless_closed(self.decide(&parties, part)).await
    }

    /// Stores the user's choice to turn backups on or off, and writes it to account data. The choice is in the vault
    /// before the first request, and the last choice counts. Takes at most about 10 seconds, plus the time that the
    /// host takes to resolve a conflict.
    ///
    /// Delete or create a backup only after `PreferenceWrite.Written`. In Kotlin:
    ///
    /// ```kotlin
    /// when (preference.setEnabled(false)) {
    ///     is PreferenceWrite.Written -> deleteBackup()
    ///     is PreferenceWrite.Pending -> showThatItIsPending() // `flush` writes it later
    ///     else -> showCurrentValue() // another choice took its place
    /// }
    /// ```
    ///
    /// # Errors
    /// `AccessError.NotConfigured`, `AccessError.ShutDown`, or an error of the vault: the choice is not stored then. A
    /// failure of the network is not an error here: the result is `PreferenceWrite.Pending`.
    pub async fn set_enabled(&self, enabled: bool) -> Result<PreferenceWrite, AccessError> {
        let (parties, part) = self.take_part()?;
        self.unless_closed(async {
            schedule_first(&parties).await;
            let number = match change(&parties.jobs, move |ledger| ledger.wish(enabled)).await {
                Ok(number) => number,
                Err(error) => {
                    reschedule(&parties, None, None).await;
                    return Err(error);
                }
            };
            let intent = Intent::Made(number);
            let write = self
                .writer
                .write(&parties, part.write_unstable, intent, TimeLimit::Interactive);
            // `None`: another client on the same vault has dealt with the wish.
            Ok(write.await?.unwrap_or(PreferenceWrite::Superseded))
        })
        .await
    }

    /// Writes the pending choice. Call it on a wake-up for `WakeUpPurpose.PreferenceWrite`, when the network is back,
    /// and when the app starts. Returns `None`, without a request, if no choice is pending. Without a limit in
    /// `budget` it takes at most two minutes; the app's own callbacks may add some seconds.
    ///
    /// # Errors
    /// `AccessError.NotConfigured`, `AccessError.ShutDown`, or an error of the vault.
    pub async fn flush(&self, budget: RunBudget) -> Result<Option<PreferenceWrite>, AccessError> {
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

    /// Returns the choice that is not yet written, if there is one. Needs no network, and also works with
    /// `PreferencePolicy.OptOut`.
    ///
    /// # Errors
    /// `AccessError.ShutDown`, or an error of the vault.
    pub async fn pending(&self) -> Result<Option<PendingPreference>, AccessError> {
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

    /// Returns the account's value as this device last saw it; `None` if it has never seen it. Needs no network, and
    /// also works with `PreferencePolicy.OptOut`.
    ///
    /// # Errors
    /// `AccessError.ShutDown`, or an error of the vault.
    pub async fn last_seen(&self) -> Result<Option<SharedPreference>, AccessError> {
        Ok(read_ledger(&self.parties()?.jobs).await?.seen.shared())
    }

    /// Reads the account's value from the server. Also reports a change to the host
    /// (`JobHost.on_preference_changed`). Does not switch backups on or off. Takes at most about 10 seconds.
    ///
    /// # Errors
    /// Any `AccessError`.
    pub async fn refresh(&self) -> Result<SharedPreference, AccessError> {
        let (parties, _) = self.take_part()?;
        self.unless_closed(async {
            let ledger = self.writer.read(&parties).await?;
            change(&parties.jobs, Ledger::first_sight_is_told).await?;
            self.writer.news.tell(&parties).await;
            ledger.seen.shared().ok_or(AccessError::Internal)
        })
        .await
    }

    /// Processes account data from a sync. Pass all events of one sync response in one call, and one response after
    /// the other. Ignores events of other types, and content that is not JSON. Reports a change to the host
    /// (`JobHost.on_preference_changed`), but not the echo of our own write; makes a request only if an event could
    /// be either. Does not switch backups on or off.
    ///
    /// # Errors
    /// `AccessError.NotConfigured`, `AccessError.ShutDown`, or an error of the vault.
    pub async fn account_data_arrived(&self, events: Vec<AccountDataEvent>) -> Result<(), AccessError> {
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

    /// Ends every call, and drops the callbacks. An unwritten wish stays pending.
    pub(crate) fn shut_down(&self) {
        self.closed.send_replace(true);
        self.parties.shut_down();
    }

    async fn unless_closed<T>(&self, work: impl Future<Output = Result<T, AccessError>>) -> Result<T, AccessError> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`: the wait cannot fail.
            _ = closed.wait_for(|closed| *closed) => Err(AccessError::ShutDown),
            result = work => result,
        }
    }

    fn parties(&self) -> Result<Arc<Parties>, AccessError> {
        self.parties.get().ok_or(AccessError::ShutDown)
    }

    fn take_part(&self) -> Result<(Arc<Parties>, Part), AccessError> {
        match self.policy {
            PreferencePolicy::OptOut => Err(AccessError::NotConfigured),
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

    async fn decide(&self, parties: &Parties, part: Part) -> Result<SignInDecision, AccessError> {
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
                    // No wish was made, so no wake-up is needed.
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
                // Another choice took its place: decide again, from what is known now.
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
            preference: ledger.seen.shared().ok_or(AccessError::Internal)?,
            backup_exists,
            write,
        })
    }
}

impl Part {
    fn decide(self, ledger: Ledger) -> Result<Decision, AccessError> {
        let shared = ledger.seen.shared().ok_or(AccessError::Internal)?;
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
