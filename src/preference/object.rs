//! The preference as apps see it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    AccountDataEvent, DecisionReason, DeterminedPolicy, PendingPreference, PreferenceError, PreferenceForm,
    PreferencePolicy, PreferenceWrite, SharedPreference, SignInDecision, UndeterminedPolicy,
    ask::{Patience, backup_exists},
    decision::{Decision, decide},
    ledger::{Ledger, NextStep},
    wire::{FormReading, Reading},
    writer::{PreferenceWriter, change, schedule},
};
use crate::{blocking::blocking, client::Parts, download::RunBudget, vault::VaultError};

/// Before that a wake-up comes too early for a wish that is just being written.
const FIRST_WAKE_UP: Duration = Duration::from_secs(30);

/// Whether the user wants room keys to be backed up, as all their clients share it (MSC4287). Get it from
/// `KeyBackupClient.preference()`.
///
/// It decides about *backing up* only: a backup that exists may be restored from whatever it says. It switches nothing by
/// itself; the app acts on what it is told.
#[derive(uniffi::Object)]
pub struct KeyBackupPreference {
    parts: Mutex<Option<Arc<Parts>>>,
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
    /// backup as well as before it creates one. Takes at most some 20 seconds.
    ///
    /// Reads both forms and whether a backup exists. Where the policy chooses, it reads once more and writes the choice;
    /// what it leaves off it does not write. Only an answer of the homeserver that there is no value counts as none.
    ///
    /// # Errors
    /// A [`PreferenceError`]: then nothing is decided, and nothing written. Leave backups as they are and ask again.
    pub async fn decide_at_sign_in(&self) -> Result<SignInDecision, PreferenceError> {
        let (parts, part) = self.take_part()?;
        let ((mut preference, ledger), backup_exists) =
            tokio::try_join!(self.writer.read(&parts), backup_exists(&parts.homeserver))?;
        let wish = ledger.wish.map(|wish| wish.enabled);
        let mut decision = part.decide(preference, wish);
        let mut write = None;
        if decision.reason == DecisionReason::ChosenByPolicy {
            // Another client may be choosing at this moment.
            let (now, ledger) = self.writer.read(&parts).await?;
            preference = now;
            decision = part.decide(now, ledger.wish.map(|wish| wish.enabled));
            if let Some(enabled) = decision.write {
                write = Some(self.wish(&parts, part, enabled, Some(ledger.seen.reading())).await?);
            }
        } else if decision.write.is_some() {
            let pending = self
                .writer
                .write(&parts, part.write_unstable, None, None, Patience::Interactive);
            write = pending.await?;
        }
        if let Some(PreferenceWrite::TheirsTaken { theirs }) = write {
            preference = theirs;
            decision = part.decide(theirs, None);
        }
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
            preference,
            backup_exists,
            write,
        })
    }

    /// The user turns backups on or off on this device. The wish is durable when this returns, or when the process dies
    /// before that; the last one counts. Takes at most some 10 seconds, and as long as the host takes to answer a conflict.
    ///
    /// Delete or create a backup only after [`PreferenceWrite::Written`].
    ///
    /// # Errors
    /// [`PreferenceError::OptedOut`], `Vault` or `ShutDown`: then the wish is not kept. What is wrong with the network is
    /// no error here, but [`PreferenceWrite::Pending`].
    pub async fn set_enabled(&self, enabled: bool) -> Result<PreferenceWrite, PreferenceError> {
        let (parts, part) = self.take_part()?;
        self.wish(&parts, part, enabled, None).await
    }

    /// Writes a wish that is pending: call it on a wake-up, when the network is back, and when the app starts. `None` if
    /// there is none; then no request is made.
    ///
    /// # Errors
    /// [`PreferenceError::OptedOut`], `Vault` or `ShutDown`.
    pub async fn flush(&self, budget: RunBudget) -> Result<Option<PreferenceWrite>, PreferenceError> {
        let (parts, part) = self.take_part()?;
        let deadline = budget
            .max_duration_ms
            .and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
        if self.ledger(&parts).await?.wish.is_none() {
            schedule(&parts, None).await;
            return Ok(None);
        }
        let patience = Patience::Until(deadline);
        let write = self.writer.write(&parts, part.write_unstable, None, None, patience);
        Ok(write.await?)
    }

    /// The wish that is not yet written, if there is one. Without network.
    ///
    /// # Errors
    /// [`PreferenceError::Vault`] or `ShutDown`.
    pub async fn pending(&self) -> Result<Option<PendingPreference>, PreferenceError> {
        let ledger = self.ledger(&*self.parts()?).await?;
        Ok(ledger.wish.map(|wish| PendingPreference {
            enabled: wish.enabled,
            tries: ledger.tries,
            changed_meanwhile: match ledger.next_step(true) {
                NextStep::AskHost(theirs) => Some(theirs),
                _ => None,
            },
        }))
    }

    /// The account's value as it was seen last on this device; `None` if it never was. Without network.
    ///
    /// # Errors
    /// [`PreferenceError::Vault`] or `ShutDown`.
    pub async fn last_seen(&self) -> Result<Option<SharedPreference>, PreferenceError> {
        Ok(self.ledger(&*self.parts()?).await?.seen.shared())
    }

    /// Reads the account's value now. It switches nothing; a change is told to the host as well. Takes at most some 10
    /// seconds.
    ///
    /// # Errors
    /// A [`PreferenceError`].
    pub async fn refresh(&self) -> Result<SharedPreference, PreferenceError> {
        let (parts, _) = self.take_part()?;
        Ok(self.writer.read(&parts).await?.0)
    }

    /// Takes note of account data that a sync has brought: pass all events of one answer at once; other types and what is
    /// no JSON are passed over. It switches nothing; a change is told to the host, our own echo is not.
    ///
    /// # Errors
    /// [`PreferenceError::OptedOut`], `Vault` or `ShutDown`.
    pub async fn account_data_arrived(&self, events: Vec<AccountDataEvent>) -> Result<(), PreferenceError> {
        let (parts, _) = self.take_part()?;
        let readings: Vec<_> = events.iter().filter_map(reading_of).collect();
        if !readings.is_empty() {
            self.writer.observe(&parts, &readings).await?;
        }
        Ok(())
    }
}

impl KeyBackupPreference {
    pub(crate) fn new(parts: Arc<Parts>, policy: PreferencePolicy) -> Self {
        Self {
            parts: Mutex::new(Some(parts)),
            policy,
            writer: PreferenceWriter::default(),
        }
    }

    /// Drops the callbacks. What is being written comes to its end; what is not, stays pending.
    pub(crate) fn shut_down(&self) {
        if let Ok(mut parts) = self.parts.lock() {
            parts.take();
        }
    }

    fn parts(&self) -> Result<Arc<Parts>, PreferenceError> {
        let parts = self.parts.lock().ok().and_then(|parts| parts.clone());
        parts.ok_or(PreferenceError::ShutDown)
    }

    fn take_part(&self) -> Result<(Arc<Parts>, Part), PreferenceError> {
        match self.policy {
            PreferencePolicy::OptOut => Err(PreferenceError::OptedOut),
            PreferencePolicy::TakePart {
                determined,
                undetermined,
                write_unstable,
            } => Ok((
                self.parts()?,
                Part {
                    determined,
                    undetermined,
                    write_unstable,
                },
            )),
        }
    }

    async fn wish(
        &self,
        parts: &Parts,
        part: Part,
        enabled: bool,
        fresh: Option<Reading>,
    ) -> Result<PreferenceWrite, PreferenceError> {
        let number = change(parts, move |ledger| ledger.wish(enabled)).await?;
        // Before anything can go wrong: a process that is killed from here on is woken for it.
        schedule(parts, Some(FIRST_WAKE_UP)).await;
        let write = self
            .writer
            .write(parts, part.write_unstable, Some(number), fresh, Patience::Interactive);
        // None: somebody else has dealt with it, through another client on the same vault.
        Ok(write.await?.unwrap_or(PreferenceWrite::Superseded))
    }

    async fn ledger(&self, parts: &Parts) -> Result<Ledger, PreferenceError> {
        let vault = parts.vault.clone();
        let row = blocking(move || vault.connect()?.preference()).await;
        Ok(row.unwrap_or(Err(VaultError::Panicked))?.into())
    }
}

impl Part {
    fn decide(self, shared: SharedPreference, wish: Option<bool>) -> Decision {
        decide(self.determined, self.undetermined, shared, wish)
    }
}

fn reading_of(event: &AccountDataEvent) -> Option<(PreferenceForm, FormReading)> {
    let form = PreferenceForm::ALL
        .into_iter()
        .find(|form| form.event_type() == event.event_type)?;
    let content = serde_json::from_str(&event.content_json).ok()?;
    Some((form, form.read(Some(&content))))
}
