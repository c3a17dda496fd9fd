//! What the host and the user say to a download: pause, resume, stop, which rooms first, what it may use.

use crate::{
    blocking::blocking,
    download::{DownloadPolicy, KeyDownload, StatusError, fetch::valid_room_ids, work_left::WorkLeft},
    job::{NextRun, PauseCause, UserWord, Work},
    vault::{Connection, UserIntent},
};

/// Rooms of one call that are moved to the front.
const MOST_WANTED_ROOMS: usize = 1_000;

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Holds the download for a cause, until `resume` with it; a run under way ends if nothing may go on, and goes on with
    /// the rest otherwise. Several causes can hold at once. Returns when what the cause stops is at rest, in a fraction of a
    /// second, whatever the server and the sink do; what the cause stops is in the docs of [`PauseCause`].
    ///
    /// # Errors
    /// A [`StatusError`] if the user's pause cannot be kept over a restart; it holds until then nevertheless.
    pub async fn pause(&self, cause: PauseCause) -> Result<(), StatusError> {
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

    /// The cause is gone. If it was the last one, a run under way goes on, or the host is asked for one.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be written, for the user's pause.
    pub async fn resume(&self, cause: PauseCause) -> Result<(), StatusError> {
        match cause {
            PauseCause::User => self.keep_intent(UserIntent::Download, false).await?,
            _ => self.jobs.gate.release(cause),
        }
        self.ask_for_a_run().await;
        Ok(())
    }

    /// Gives the download up: a run under way ends, what is in the vault stays, and no wake-up is asked for until `start`.
    /// Stays over restarts. Returns when all is at rest.
    ///
    /// # Errors
    /// A [`StatusError`] if that cannot be kept over a restart; it holds until then nevertheless.
    pub async fn stop(&self) -> Result<(), StatusError> {
        let kept = self.keep_intent(UserIntent::Stop, true).await;
        self.settle(None).await;
        if let Some(context) = self.jobs.context() {
            self.ask(&context, NextRun::Never, WorkLeft::default()).await;
        }
        kept
    }

    /// Takes up what was given up, or paused by the user, and asks the host for a run.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be written.
    pub async fn start(&self) -> Result<(), StatusError> {
        self.keep_intent(UserIntent::Download, true).await?;
        self.ask_for_a_run().await;
        Ok(())
    }

    /// Makes a run under way return, as paused by [`PauseCause::TimeExpiring`]. Returns at once, from any thread: for
    /// expiration handlers and for tasks that are cancelled. Without a run it does nothing. `await_quiescent` waits for the
    /// end.
    pub fn end_run(&self) {
        self.jobs.end_run();
    }

    /// Waits until no run and no request of this download is at work, also after a future of it was dropped: no database,
    /// lock, socket or busy thread. It does not end anything.
    pub async fn await_quiescent(&self) {
        self.jobs.quiescent().await;
    }

    /// Moves these rooms to the front, the first of them first: they are fetched, opened and delivered before all others, at
    /// once where a run is under way, and in the next one otherwise. At most 1,000 at a time.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be written: a run under way has them in front nevertheless.
    pub async fn prioritise_rooms(&self, room_ids: Vec<String>) -> Result<(), StatusError> {
        let mut rooms = valid_room_ids(room_ids);
        rooms.truncate(MOST_WANTED_ROOMS);
        self.wanted.want(&rooms);
        Ok(self
            .jobs
            .write(move |vault| vault.write(|tx| tx.prioritise(&rooms)))
            .await?)
    }

    /// Changes what the download may use; a run under way follows at once.
    pub fn set_policy(&self, policy: DownloadPolicy) {
        self.policy.set(policy, &self.jobs.gate);
        // With another limit it may be gone; if not, it is seen again.
        self.jobs.gate.release(PauseCause::DiskLimit);
    }
}

impl KeyDownload {
    /// Says what the user wants, durably. What was given up is only taken up by `start`.
    async fn keep_intent(&self, intent: UserIntent, also_when_stopped: bool) -> Result<(), StatusError> {
        self.jobs.gate.follow_user(UserWord {
            intent,
            also_when_stopped,
        });
        let gate = self.jobs.gate.clone();
        // In there, as the call may be given up while it is written.
        let write = move |vault: &mut Connection| {
            gate.write_user_words(|word| vault.keep_user_intent(word.intent, word.also_when_stopped))
        };
        Ok(self.jobs.write(write).await?)
    }

    /// Waits until nothing is at work that may not be.
    async fn settle(&self, cause: Option<PauseCause>) {
        self.jobs
            .obey(cause.is_some_and(|cause| cause.stops(Work::AskServer)))
            .await;
        // An open database holds a lock, and an app that is suspended with one is killed.
        if matches!(
            cause,
            Some(PauseCause::InBackground | PauseCause::TimeExpiring | PauseCause::StorageLocked)
        ) {
            let lookup = self.lookup.clone();
            blocking(move || lookup.close()).await;
        }
    }
}

/// Time that expires holds for the length of a call. Where that is given up, the run ends nevertheless.
struct OverOnDrop<'a>(&'a KeyDownload);

impl Drop for OverOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end_run();
        self.0.jobs.gate.release(PauseCause::TimeExpiring);
    }
}
