//! How the host and the user control a download: pause, resume, stop, which rooms come first, what it may use.

use crate::{
    blocking::blocking,
    download::{DownloadPolicy, KeyDownload, fetch::valid_room_ids},
    job::{AccessError, Occasion, PauseCause, UserCommand, Work},
    vault::{Connection, UserIntent},
};

/// Maximum number of rooms that one call can move to the front.
const MOST_WANTED_ROOMS: usize = 1_000;

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Pauses the download for a cause, until `resume` is called with the same cause. Several causes can hold at
    /// once. A run under way ends if they leave nothing to do; otherwise it continues with the work that they allow.
    /// The table in `docs/background-execution.md` shows what each cause stops. `PauseCause.TimeExpiring` holds only
    /// until this call returns.
    ///
    /// Returns once everything that the cause stops has stopped: in a fraction of a second, whatever the server and
    /// the sink do.
    ///
    /// # Errors
    /// Fails with an `AccessError` if a pause by the user (`PauseCause.User`) cannot be stored in the vault. It then
    /// holds until the process ends.
    pub async fn pause(&self, cause: PauseCause) -> Result<(), AccessError> {
        let kept = match cause {
            PauseCause::User => self.keep_intent(UserIntent::Pause, false).await,
            _ => {
                self.jobs.gate.hold(cause);
                Ok(())
            }
        };
        let _guard = (cause == PauseCause::TimeExpiring).then(|| OverOnDrop(self));
        self.settle(Some(cause)).await;
        kept
    }

    /// Ends the pause for a cause. If no other cause holds the download, a run under way continues, or the host is
    /// asked for a run with `JobHost.schedule_wake_up`. This includes a reset under way, unless it waits for somebody's
    /// decision, and an upload that was held since the client was opened. A download that was stopped stays stopped: it
    /// needs `start`.
    ///
    /// # Errors
    /// Fails with an `AccessError` if `cause` is `PauseCause.User` and the vault cannot be written.
    pub async fn resume(&self, cause: PauseCause) -> Result<(), AccessError> {
        match cause {
            PauseCause::User => self.keep_intent(UserIntent::Download, false).await?,
            _ => self.jobs.gate.release(cause),
        }
        let occasion = match cause {
            PauseCause::User => Occasion::UserDecided,
            _ => Occasion::ConditionsChanged,
        };
        self.jobs.ask_for_runs(occasion).await;
        Ok(())
    }

    /// Gives up the download until `start` is called, also after a restart of the app, and with it resets and uploads.
    /// A run under way ends, and the host is asked to cancel the wake-ups of all of them. What is in the vault stays.
    /// Returns once nothing is running any more.
    ///
    /// # Errors
    /// Fails with an `AccessError` if this cannot be stored in the vault. It then holds until the process ends.
    pub async fn stop(&self) -> Result<(), AccessError> {
        let kept = self.keep_intent(UserIntent::Stop, true).await;
        self.settle(None).await;
        self.jobs.cancel_wake_ups().await;
        kept
    }

    /// Starts the download again after `stop`, or after a pause by the user, and asks the host for a run with
    /// `JobHost.schedule_wake_up`. This includes a reset under way, and what an upload has left since the client was
    /// opened.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be written.
    pub async fn start(&self) -> Result<(), AccessError> {
        self.keep_intent(UserIntent::Download, true).await?;
        self.jobs.ask_for_runs(Occasion::UserDecided).await;
        Ok(())
    }

    /// Ends a run under way, which returns as paused by `PauseCause.TimeExpiring`. Does nothing if no run is under
    /// way. Returns at once, from any thread: call it from expiration handlers and when a task is cancelled.
    /// `await_quiescent` waits until the run has ended.
    pub fn end_run(&self) {
        self.jobs.end_run();
    }

    /// Waits until no run and no request of this download is active, not even one whose future was dropped: no
    /// database is open, no lock or socket is held, and no thread is busy. Does not end anything itself.
    pub async fn await_quiescent(&self) {
        self.jobs.quiescent().await;
    }

    /// Moves rooms to the front, the first one foremost: their keys are fetched, opened and delivered before all
    /// others, at once if a run is under way, otherwise in the next run. Takes at most 1,000 rooms in one call, and
    /// ignores the rest.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be written. A run under way still moves the rooms to the front.
    pub async fn prioritise_rooms(&self, room_ids: Vec<String>) -> Result<(), AccessError> {
        let mut rooms = valid_room_ids(room_ids);
        rooms.truncate(MOST_WANTED_ROOMS);
        self.wanted.want(&rooms);
        self.jobs
            .write(move |vault| vault.write(|tx| tx.prioritise(&rooms)))
            .await
    }

    /// Changes what the download may use. A run under way follows at once.
    pub fn set_policy(&self, policy: DownloadPolicy) {
        self.policy.set(policy, &self.jobs.gate);
        // The vault may be below the new limit. If it is not, the cause is set again.
        self.jobs.gate.release(PauseCause::DiskLimit);
    }
}

impl KeyDownload {
    /// Stores what the user wants in the vault. A stopped download changes only if `restarts_stopped` is set.
    async fn keep_intent(&self, intent: UserIntent, restarts_stopped: bool) -> Result<(), AccessError> {
        self.jobs.gate.follow_user(UserCommand {
            intent,
            restarts_stopped,
        });
        let gate = self.jobs.gate.clone();
        // Inside the write, because the caller may drop this future while it is in progress.
        let write = move |vault: &mut Connection| {
            gate.write_user_commands(|word| vault.keep_user_intent(word.intent, word.restarts_stopped))
        };
        self.jobs.write(write).await
    }

    /// Waits until no work runs that `cause` stops; `None` stands for `stop`.
    async fn settle(&self, cause: Option<PauseCause>) {
        self.jobs
            .wait_until_allowed(cause.is_some_and(|cause| cause.stops(Work::AskServer)))
            .await;
        // An open database holds a lock, and the OS kills an app that it suspends with one.
        if matches!(
            cause,
            Some(PauseCause::InBackground | PauseCause::TimeExpiring | PauseCause::StorageLocked)
        ) {
            let lookup = self.lookup.clone();
            blocking(move || lookup.close()).await;
        }
    }
}

/// Releases `PauseCause::TimeExpiring` when the call ends. Ends the run even if the call was dropped.
struct OverOnDrop<'a>(&'a KeyDownload);

impl Drop for OverOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end_run();
        self.0.jobs.gate.release(PauseCause::TimeExpiring);
    }
}
