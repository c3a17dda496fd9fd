//! The download as apps see it: the one run, its outcome, and its progress.

mod controls;
mod known_versions;
mod lists;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt;

use super::{
    DownloadPolicy, DownloadStage, DownloadStatus, DownloadSummary, RunOutcome, RunReport, VersionState, VersionStatus,
    inventory::Inventory,
    outcome::Finished,
    phases,
    run::{DownloadRun, PolicyCell},
    telling::{DownloadListener, Progress},
    versions::Versions,
    wanted_rooms::WantedRooms,
    work_left::WorkLeft,
};
use crate::{
    context::Context,
    decryption_keys::DecryptionKeys,
    job::{
        self, AFTER_A_KILL, AccessError, JobEnd, Jobs, NextRun, Occasion, RunBudget, RunHolder, RunRequests, WakesUp,
        Work, WorkSet,
    },
    locked::locked,
    lookup::Lookup,
    until_shut_down::UntilShutDown,
    vault::{Connection, LeaseRow},
    wake_up::{WakeUp, WakeUpPurpose},
};

/// The kinds of work that a download does.
const WORKS: WorkSet = WorkSet::of(&[Work::Fetch, Work::Open]);

/// The download of one account's key backup. Get it from `KeyBackupClient.download()`.
///
/// The host schedules, and this object remembers: call `run` at every opportunity, from a worker or a background
/// task, and it continues where the last run ended. It asks for its next opportunity with `JobHost.schedule_wake_up`.
#[derive(uniffi::Object)]
pub struct KeyDownload {
    jobs: Arc<Jobs>,
    listener: UntilShutDown<dyn DownloadListener>,
    lookup: Arc<Lookup>,
    keys: Arc<DecryptionKeys>,
    has_sink: bool,
    keeps_secrets: bool,
    policy: PolicyCell,
    wanted: WantedRooms,
    /// The figures of the current run, or of the last one.
    progress: Mutex<Arc<Progress>>,
    requests: RunRequests,
}

impl KeyDownload {
    pub(crate) fn new(
        jobs: Arc<Jobs>,
        context: &Context,
        listener: Arc<dyn DownloadListener>,
        policy: DownloadPolicy,
        lookup: Arc<Lookup>,
    ) -> Self {
        let has_sink = context.sink.is_some();
        Self {
            jobs,
            listener: UntilShutDown::new(listener),
            lookup,
            keys: context.keys.clone(),
            has_sink,
            keeps_secrets: context.vault.keeps_secrets(),
            policy: PolicyCell::new(policy),
            wanted: WantedRooms::default(),
            progress: Mutex::new(Arc::new(Progress::new(has_sink, context.keys.clone()))),
            requests: RunRequests::default(),
        }
    }

    /// Reacts to a new decryption key: a run under way opens the entries that it passed over. Without a run, asks the
    /// app for one of each job that has work to do.
    pub(crate) async fn keys_have_changed(&self) {
        if let Some(run) = self.jobs.current() {
            run.wake.notify();
        }
        self.jobs.ask_for_runs(Occasion::UserDecided).await;
    }

    /// Reacts to new entries of a room in the vault: a run under way opens and delivers them before all others.
    /// Without a run, asks the app for one.
    pub(crate) async fn room_arrived(&self, room_id: &str) {
        if let Some(run) = self.jobs.current() {
            self.wanted.open_first(room_id.to_owned());
            run.wake.notify();
        }
        self.ask_for_a_run().await;
    }

    /// Drops the callbacks. After this, no run can start.
    pub(crate) fn shut_down(&self) {
        self.listener.shut_down();
    }

    /// Asks the app for a run as soon as possible, if there is work to do and no pause holds all of it when the OS
    /// wakes the app.
    pub(crate) async fn ask_for_a_run(&self) {
        if self.requests.note(Occasion::ConditionsChanged).is_some() {
            self.ask_now().await;
        }
    }

    async fn ask_now(&self) -> Option<WakeUp> {
        let (context, read_intent) = (self.jobs.context()?, self.jobs.gate.begin_read());
        let Inventory { left, intent, .. } = self.inventory().await.ok()?;
        read_intent.end(intent);
        if left.is_nothing() || !self.jobs.gate.now().allows_when_woken(WORKS) {
            return None;
        }
        self.ask(&context, NextRun::After(Duration::ZERO), left).await
    }

    async fn ask(&self, context: &Context, next: NextRun, left: WorkLeft) -> Option<WakeUp> {
        let conditions = self.policy.now().conditions();
        let purpose = WakeUpPurpose::Download;
        next.ask(&*context.wake_ups, purpose, left.remaining(), &conditions)
            .await
    }

    async fn inventory(&self) -> Result<Inventory, AccessError> {
        let (keys, has_sink, policy) = (self.keys.clone(), self.has_sink, self.policy.now());
        let read = move |vault: &mut Connection| Inventory::of(vault, &keys, has_sink, &policy);
        self.jobs.read(read).await
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Fetches, opens and delivers keys until everything is done, the budget is used up, or something prevents it.
    /// Returns a report of how the run ended, and throws no error. Once it has returned, the run uses no database,
    /// socket or thread any more, and the host has been asked for the wake-up that the next run needs.
    ///
    /// Only one run can be under way, over all clients and processes that use the vault. Any other call returns
    /// `RunOutcome.AlreadyRunning`, which names the holder. The future is safe to drop: work under way then ends by
    /// itself (`await_quiescent` waits for that), and nothing is lost. Cancelling a Swift task does not cancel the
    /// run: call `end_run`.
    pub async fn run(&self, budget: RunBudget) -> RunReport {
        let under_way = self.requests.begin_run();
        let (result, run) = self.run_once(budget).await;
        // Use what was read while the vault was open: after the run it is closed.
        let seen = run.as_ref().and_then(|run| run.inventory.borrow().clone());
        let inventory = match seen {
            Some(inventory) => Some(inventory),
            None => self.inventory().await.ok(),
        };
        // If the vault cannot be read, any amount of work may be left.
        let left = inventory.as_ref().map_or(WorkLeft::UNKNOWN, |inventory| inventory.left);
        let mut wake_up = self.ask_for_the_next(&result, left).await;
        drop(under_way);
        // The run has not seen requests that came while it was ending.
        if self.requests.take().is_some() {
            wake_up = self.ask_now().await.or(wake_up);
        }
        let every_key_is_here = match (&result, &inventory) {
            (Ok(finished), Some(inventory)) => finished.is_every_key_here(&inventory.versions),
            _ => false,
        };
        let summary = inventory.map(|inventory| inventory.summary).unwrap_or_default();
        let outcome = RunOutcome::from(result);
        log::info!(
            "run ended: {outcome:?}; {} of {} keys fetched, {} opened, {} delivered, {} failed",
            summary.fetched,
            summary.total,
            summary.opened,
            summary.delivered,
            summary.failed
        );
        let progress = run.as_ref().map(|run| &run.progress);
        RunReport {
            outcome,
            summary,
            bytes_downloaded: progress.map_or(0, |progress| progress.now().bytes_downloaded),
            decrypted: progress.map_or(0, |progress| progress.decrypted()),
            every_key_is_here,
            wake_up,
        }
    }

    /// Returns what is in the vault, without using the network, whether or not a run is under way.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be read.
    pub async fn status(&self) -> Result<DownloadStatus, AccessError> {
        let (keys, has_sink, read_intent) = (self.keys.clone(), self.has_sink, self.jobs.gate.begin_read());
        let read = move |connection: &mut Connection| {
            let known = Versions::of(connection, has_sink, |version| keys.can_open(version))?;
            let statuses = known.all.iter().map(|version| VersionStatus::of(version, &known));
            let versions: Vec<_> = statuses.collect();
            let current = known.all.iter().position(|version| known.is_current(version));
            let lease = connection.lease()?.filter(LeaseRow::is_live);
            let intent = connection.user_intent()?;
            Ok((
                DownloadSummary::of(connection, &known)?,
                versions,
                current,
                lease,
                intent,
            ))
        };
        let (summary, versions, current, lease, intent) = self.jobs.read(read).await?;
        read_intent.end(intent);
        let restraints = self.jobs.gate.now();
        let current = current.map(|position| &versions[position]);
        Ok(DownloadStatus {
            stage: self.stage(),
            fetch_complete: current.is_some_and(|version| version.state == VersionState::Complete),
            unlocked: current.is_some_and(|version| version.unlocked),
            restart_needs_recovery_key: !self.keeps_secrets,
            causes: restraints.causes().iter().collect(),
            stopped: restraints.is_stopped(),
            running: lease.as_ref().map(RunHolder::of),
            versions,
            summary,
        })
    }

    /// Tells the download that the app's crypto store is a new one: the next run delivers every key again. A run
    /// under way ends as `RunOutcome.Failed` with `RunFailure.Overtaken`. Opening a vault for another device id has
    /// the same effect, without this call.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be written.
    pub async fn crypto_store_was_replaced(&self) -> Result<(), AccessError> {
        self.jobs.write(Connection::deliver_again).await?;
        self.ask_for_a_run().await;
        Ok(())
    }
}

#[async_trait]
impl WakesUp for KeyDownload {
    async fn ask_again(&self, _: Occasion) {
        self.ask_for_a_run().await;
    }

    async fn cancel_wake_up(&self) {
        if let Some(context) = self.jobs.context() {
            self.ask(&context, NextRun::Never, WorkLeft::default()).await;
        }
    }
}

impl KeyDownload {
    /// Returns how a run ended, and the run itself if there was one.
    async fn run_once(&self, budget: RunBudget) -> (Result<Finished, JobEnd>, Option<DownloadRun>) {
        let claim = match self.jobs.claim(WORKS) {
            Ok(claim) => claim,
            Err(end) => return (Err(end), None),
        };
        // Read after the claim: a shutdown before it would not have ended this run.
        let (Some(context), Some(listener)) = (self.jobs.context(), self.listener.get()) else {
            return (Err(JobEnd::Paused { causes: Vec::new() }), None);
        };
        // Dropped before the claim, because the next run loads the keys again.
        let _keys = ClearOnDrop(self.keeps_secrets.then(|| self.keys.clone()));
        let run = DownloadRun::new(context.clone(), listener, self.policy.clone(), self.wanted.clone());
        *locked(&self.progress) = run.progress.clone();
        let download = run.clone();
        // Boxed without its type, so that a calling crate need not look into this deeply nested future.
        let work = job::run(&self.jobs, &context, &claim.run, budget, |turn| {
            phases::work(turn, download)
        })
        .boxed();
        let result = tokio::select! {
            result = work => result,
            never = self.ask_at_the_beginning(&context, &run) => match never {},
        };
        (result, Some(run))
    }

    /// Asks for a wake-up at the beginning of a run, because the process may be killed before the run ends.
    async fn ask_at_the_beginning(&self, context: &Context, run: &DownloadRun) -> Infallible {
        let mut inventory = run.inventory.subscribe();
        let left = match inventory.wait_for(Option::is_some).await {
            Ok(inventory) => inventory.as_ref().map(|inventory| inventory.left).unwrap_or_default(),
            Err(_) => WorkLeft::default(),
        };
        if !left.is_nothing() {
            self.ask(context, NextRun::After(AFTER_A_KILL), left).await;
        }
        std::future::pending().await
    }

    async fn ask_for_the_next(&self, result: &Result<Finished, JobEnd>, left: WorkLeft) -> Option<WakeUp> {
        let context = self.jobs.context()?;
        let next = match result {
            Ok(finished) => finished.next_run(left),
            Err(end) => end.next_run(),
        };
        self.ask(&context, next, left).await
    }

    fn stage(&self) -> DownloadStage {
        match self.jobs.current() {
            Some(_) => locked(&self.progress).stage(),
            None => DownloadStage::Resting,
        }
    }
}

/// Drops the decryption keys in memory when a run ends. The next run reads them from the sealed vault.
struct ClearOnDrop(Option<Arc<DecryptionKeys>>);

impl Drop for ClearOnDrop {
    fn drop(&mut self) {
        if let Some(keys) = &self.0 {
            keys.clear();
        }
    }
}
