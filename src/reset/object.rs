//! The reset as apps see it.
//!
//! Calls into the rest of the room are boxed: their futures are so deep that the compiler of a calling crate would give
//! up on them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use futures_util::FutureExt;

use super::{
    begin, delete,
    error::ResetError,
    parties::{Parties, ResetCrypto},
    records::{KeyLoss, ResetCause, ResetOutcome, ResetReadiness, ResetReport, ResetStatus},
    run::run,
    status::read_status,
    steps::Move,
    telling::ResetListener,
    wake_up::{ask_for_the_next, ask_now, cancel_wake_up},
};
use crate::{
    context::Context,
    download::KeyDownload,
    job::{AccessError, Jobs, Occasion, RunBudget, RunRequests, WakesUp},
    preference::KeyBackupPreference,
    until_shut_down::UntilShutDown,
    vault::Connection,
    wake_up::WakeUp,
};

/// Resets the backup without losing a key: creates one, moves it to a new key, deletes old versions, turns backups off.
/// Get it from `KeyBackupClient.reset()`.
///
/// Nothing here happens by itself. Each call says what it changes on the server, and the move is a job that is stored
/// in the vault: after `move_backup` or `create_backup`, call `run` at every opportunity, as for the download, until
/// it has completed. The old version stays on the server until `delete_version` is called.
///
/// ```text
/// readiness = reset.prepare_reset(KeyCompromised)         // show what it costs, and what would be lost
/// reset.move_backup(KeyCompromised, accepted = [])
/// report = reset.run(RunBudget())                         // again and again, until it has completed
/// reset.delete_version(report.status.old_version, accepted = [])
/// ```
#[derive(uniffi::Object)]
pub struct BackupReset {
    parties: UntilShutDown<Parties>,
    /// Held by calls that change what is stored of a reset, so that one ends before the next begins.
    turn: tokio::sync::Mutex<()>,
    requests: RunRequests,
    /// Whether the last run waits for somebody's decision.
    needs_decision: AtomicBool,
}

impl BackupReset {
    pub(crate) fn new(
        jobs: Arc<Jobs>,
        context: Arc<Context>,
        download: Arc<KeyDownload>,
        preference: Arc<KeyBackupPreference>,
        listener: Arc<dyn ResetListener>,
        crypto: Option<ResetCrypto>,
    ) -> Self {
        Self {
            parties: UntilShutDown::new(Arc::new(Parties {
                jobs,
                context,
                download,
                preference,
                listener,
                crypto,
            })),
            turn: tokio::sync::Mutex::default(),
            requests: RunRequests::default(),
            needs_decision: AtomicBool::new(false),
        }
    }

    /// Drops the callbacks. What is stored of a reset stays.
    pub(crate) fn shut_down(&self) {
        self.parties.shut_down();
    }

    /// Asks the app for a run, unless the last one waits for a decision that nobody has made.
    async fn ask_for_a_run(&self, parties: &Parties, occasion: Occasion) -> Option<WakeUp> {
        match occasion {
            Occasion::UserDecided => self.needs_decision.store(false, Ordering::SeqCst),
            Occasion::ConditionsChanged if self.needs_decision.load(Ordering::SeqCst) => return None,
            Occasion::ConditionsChanged => {}
        }
        ask_now(parties).await
    }

    fn parties(&self) -> Result<Arc<Parties>, AccessError> {
        self.parties.get().ok_or(AccessError::ShutDown)
    }
}

#[async_trait]
impl WakesUp for BackupReset {
    async fn ask_again(&self, occasion: Occasion) {
        let Some(parties) = self.parties.get() else { return };
        if let Some(occasion) = self.requests.note(occasion) {
            self.ask_for_a_run(&parties, occasion).await;
        }
    }

    async fn cancel_wake_up(&self) {
        if let Some(parties) = self.parties.get() {
            cancel_wake_up(&parties).await;
        }
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl BackupReset {
    /// Returns what a reset would mean: which way is right, what would be lost, what it costs. Makes one small request
    /// and changes nothing; without a network it answers from what the vault knows.
    ///
    /// # Errors
    /// `AccessError.ShutDown`, or an error of the vault.
    pub async fn prepare_reset(&self, cause: ResetCause) -> Result<ResetReadiness, AccessError> {
        let parties = self.parties()?;
        begin::prepare(&parties, cause).boxed().await
    }

    /// Begins to create a backup where the account has none. First makes sure that the preference says that backups
    /// are on (MSC4287). `run` does the rest: it keeps the new key in secret storage, creates the version, gives its
    /// key to the app's crypto, and uploads every key that this device has.
    ///
    /// # Errors
    /// Any `ResetError` except `LosesKeys`.
    pub async fn create_backup(&self) -> Result<(), ResetError> {
        let parties = self.parties()?;
        let _turn = self.turn.lock().await;
        begin::create(&parties).boxed().await?;
        self.ask_again(Occasion::UserDecided).await;
        Ok(())
    }

    /// Begins to move the backup to a new key. The vault must have every key of the old backup: where it has not,
    /// `ResetError.LosesKeys` says which are missing, and `accepted` can accept that. First makes sure that the
    /// preference says that backups are on. `run` does the rest. The old version is not changed, and stays until
    /// `delete_version` is called.
    ///
    /// After a reset has stopped (`ResetStatus.stopped`) this begins again, with the same new key.
    ///
    /// # Errors
    /// Any `ResetError`.
    pub async fn move_backup(&self, cause: ResetCause, accepted: Vec<KeyLoss>) -> Result<(), ResetError> {
        let parties = self.parties()?;
        let _turn = self.turn.lock().await;
        begin::move_to_a_new_key(&parties, cause, &accepted).boxed().await?;
        self.ask_again(Occasion::UserDecided).await;
        Ok(())
    }

    /// Takes the next steps of the reset, until it has completed, the budget is used up, or something prevents it.
    /// Throws no error. Like a run of the download, it can be paused and killed at any moment, and shares its pause
    /// causes and its policy; only one of the two is at work at a time. The host is asked for the wake-up that the
    /// next run needs (`WakeUpPurpose.Reset`).
    pub async fn run(&self, budget: RunBudget) -> ResetReport {
        let Some(parties) = self.parties.get() else {
            return ResetReport {
                outcome: ResetOutcome::Paused { causes: Vec::new() },
                status: None,
                wake_up: None,
            };
        };
        let under_way = self.requests.begin_run();
        let outcome = match &parties.crypto {
            Some(crypto) => run(&parties, crypto, budget).boxed().await,
            None => ResetOutcome::NothingToDo,
        };
        let status = read_status(&parties.jobs).await.ok().flatten();
        log::info!("run of a reset ended: {outcome:?}");
        self.needs_decision.store(outcome.needs_decision(), Ordering::SeqCst);
        let mut wake_up = ask_for_the_next(&parties, &outcome, status.as_ref()).await;
        drop(under_way);
        // Handles requests that came while the run was ending.
        if let Some(occasion) = self.requests.take()
            && (outcome.is_held() || occasion == Occasion::UserDecided)
        {
            wake_up = self.ask_for_a_run(&parties, occasion).await.or(wake_up);
        }
        ResetReport {
            outcome,
            status,
            wake_up,
        }
    }

    /// Gives a reset up that has changed nothing on the server yet.
    ///
    /// # Errors
    /// `ResetError.NotUnderWay` if there is none, or if the new version may exist already; then let it complete.
    pub async fn cancel(&self) -> Result<(), ResetError> {
        let parties = self.parties()?;
        let _turn = self.turn.lock().await;
        let cancel = |vault: &mut Connection| {
            vault.write(|tx| match tx.backup_move()?.map(Move::from) {
                Some(state) if state.can_be_cancelled() => tx.forget_move().map(|()| true),
                _ => Ok(false),
            })
        };
        if !parties.jobs.write(cancel).await? {
            return Err(ResetError::NotUnderWay);
        }
        cancel_wake_up(&parties).await;
        Ok(())
    }

    /// Returns how far the reset under way has come, or the last one; `None` if there was none. Needs no network.
    ///
    /// # Errors
    /// `AccessError.ShutDown`, or an error of the vault.
    pub async fn status(&self) -> Result<Option<ResetStatus>, AccessError> {
        read_status(&self.parties()?.jobs).await
    }

    /// Puts new secret storage around the same backup: for a user who has lost the recovery key, on a device that can
    /// open the backup. Nothing is uploaded and nothing deleted, and other devices go on backing up.
    ///
    /// # Errors
    /// `AccessError.Locked` if this device cannot open the backup; any other `ResetError`.
    pub async fn rotate_storage(&self) -> Result<(), ResetError> {
        let parties = self.parties()?;
        let _turn = self.turn.lock().await;
        begin::rotate_storage(&parties).boxed().await
    }

    /// Deletes an old backup version, by its number. The current version is never deleted. Reads the new version back
    /// once more if it has changed since it was proved, which may take as long as a download.
    ///
    /// # Errors
    /// `ResetError.NotProved` while the reset has not completed; `ResetError.LosesKeys` if keys would be lost that
    /// `accepted` does not name; any other `ResetError`.
    pub async fn delete_version(&self, version: String, accepted: Vec<KeyLoss>) -> Result<(), ResetError> {
        let parties = self.parties()?;
        let _turn = self.turn.lock().await;
        delete::delete_version(&parties, &version, &accepted).boxed().await
    }

    /// Turns backups off: writes the preference first (MSC4287), then deletes every backup version of the account. The
    /// vault keeps every key.
    ///
    /// # Errors
    /// `ResetError.LosesKeys` if keys would be lost that `accepted` does not name: nothing was changed then, unless
    /// they are in an older version that came to light when a newer one was deleted. Any other `ResetError`.
    pub async fn turn_off(&self, accepted: Vec<KeyLoss>) -> Result<(), ResetError> {
        let parties = self.parties()?;
        let _turn = self.turn.lock().await;
        delete::turn_off(&parties, &accepted).boxed().await
    }
}
