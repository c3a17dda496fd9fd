//! The download as apps see it: the one run, what it leads to, and how far it is.

mod controls;
mod known_versions;
mod lists;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    DownloadPolicy, DownloadStage, DownloadStatus, DownloadSummary, RunHolder, RunOutcome, RunReport, StatusError,
    VersionState, VersionStatus,
    inventory::Inventory,
    outcome::Versions,
    wanted_rooms::Priority,
    work_left::{WakeUpChange, WorkLeft, at_the_end},
};
use crate::{
    blocking::blocking,
    client::{Parts, WakeUp, WakeUpPurpose},
    decryption_keys::DecryptionKeys,
    job::{
        RunBudget,
        gate::Control,
        in_flight::Activity,
        run::{RunHandle, run},
        stop::StopCause,
    },
    lookup::Lookup,
    vault::{BUSY_TIMEOUT, Connection, LeaseRow, SharedWriter, Vault, VaultError},
};

/// How long the host may take to note a wake-up before the run returns without it.
const WAKE_UP_PATIENCE: Duration = Duration::from_secs(2);

/// The download of one account's key backup. Get it from `KeyBackupClient.download()`.
///
/// The host schedules, this remembers: call `run` whenever there is an opportunity, from a worker or a background task,
/// and it goes on where the last one ended. What it waits for it says through `JobHost.schedule_wake_up`.
#[derive(uniffi::Object)]
pub struct KeyDownload {
    parts: Mutex<Option<Arc<Parts>>>,
    vault: Vault,
    keys: Arc<DecryptionKeys>,
    pub(super) lookup: Arc<Lookup>,
    process_name: String,
    has_sink: bool,
    pub(crate) control: Control,
    pub(crate) priority: Priority,
    pub(super) runs: Activity,
    /// Requests beside a run.
    pub(crate) requests: Activity,
    current: Mutex<Option<RunHandle>>,
    /// A run was asked for while one was under way: its end looks again.
    asked_meanwhile: AtomicBool,
}

impl KeyDownload {
    pub(crate) fn new(parts: Arc<Parts>, policy: DownloadPolicy, lookup: Arc<Lookup>) -> Self {
        Self {
            vault: parts.vault.clone(),
            keys: parts.keys.clone(),
            lookup,
            process_name: parts.process_name.clone(),
            has_sink: parts.sink.is_some(),
            parts: Mutex::new(Some(parts)),
            control: Control::new(policy),
            priority: Priority::default(),
            runs: Activity::default(),
            requests: Activity::default(),
            current: Mutex::new(None),
            asked_meanwhile: AtomicBool::new(false),
        }
    }

    /// A key has come: a run that is under way opens what it passed over; without one the host is asked for a run.
    pub(crate) async fn keys_changed(&self) {
        if let Some(run) = self.current() {
            run.wake.notify();
        }
        self.ask_for_a_run().await;
    }

    /// Ends a run and drops the callbacks: nothing can be run any more.
    pub(crate) fn shut_down(&self) {
        self.control.shut_down();
        if let Some(run) = self.current() {
            run.stop.stop(StopCause::Paused);
        }
        if let Ok(mut parts) = self.parts.lock() {
            parts.take();
        }
    }

    pub(crate) fn current(&self) -> Option<RunHandle> {
        self.current.lock().ok()?.clone()
    }

    pub(crate) fn parts(&self) -> Option<Arc<Parts>> {
        self.parts.lock().ok()?.clone()
    }

    /// One piece of work with the vault that reads, beside a run.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, StatusError> {
        self.in_vault(None, work).await
    }

    /// The same for what writes: in turn with a run that is under way here, which leaves hardly a gap to others. `work` is
    /// done again where another process was writing.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, StatusError> {
        let lent = self.current().and_then(|run| run.lent_writer());
        self.in_vault(lent, work).await
    }

    async fn in_vault<T: Send + 'static>(
        &self,
        lent: Option<SharedWriter>,
        work: impl Fn(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, StatusError> {
        if self.parts().is_none() {
            return Err(StatusError::ShutDown);
        }
        let (vault, at_work) = (self.vault.clone(), self.requests.begin());
        // Also when the future is dropped, it is at work until it ends.
        let result = blocking(move || {
            let result = match lent {
                Some(writer) => in_turn(&writer, &work),
                None => vault.connect().and_then(|mut connection| work(&mut connection)),
            };
            drop(at_work);
            result
        });
        Ok(result.await.unwrap_or(Err(VaultError::Panicked))?)
    }

    /// Asks the host for a run as soon as it can, if there is anything to do and nothing holds all of it.
    pub(crate) async fn ask_for_a_run(&self) {
        self.asked_meanwhile.store(true, Ordering::SeqCst);
        if self.current().is_none() {
            self.ask_now().await;
        }
    }

    /// The same once no run is under way, if there was reason to.
    async fn ask_now(&self) -> Option<WakeUp> {
        if !self.asked_meanwhile.swap(false, Ordering::SeqCst) {
            return None;
        }
        let (parts, epoch) = (self.parts()?, self.control.intent_epoch());
        let Inventory { left, intent, .. } = self.inventory().await.ok()?;
        self.control.follow_read(intent, epoch);
        let restraints = self.control.now();
        if left.is_nothing() || restraints.allowed().nothing() {
            return None;
        }
        let wake_up = left.wake_up(Duration::ZERO, restraints.policy());
        tell(&parts, Some(wake_up)).await;
        Some(wake_up)
    }

    async fn inventory(&self) -> Result<Inventory, StatusError> {
        let (keys, has_sink) = (self.keys.clone(), self.has_sink);
        let policy = *self.control.now().policy();
        self.read(move |connection| Inventory::of(connection, &keys, has_sink, &policy))
            .await
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Fetches, opens and delivers until everything is done, the budget is used up, or something is in the way. Returns
    /// how it ended; there is no error to catch. When it has returned, no database, socket or thread of it is busy, and the
    /// host has been asked for the wake-up that the next run needs.
    ///
    /// Only one run at a time, over all clients and processes: others are told whose it is. Safe to drop: what was under
    /// way ends by itself (`await_quiescent` tells when), and nothing is lost. Cancelling a Swift task does not cancel it:
    /// call `end_run`.
    pub async fn run(&self, budget: RunBudget) -> RunReport {
        let run = self.run_once(budget).await;
        let (outcome, handle) = match run {
            Ok((outcome, handle)) => (outcome, Some(handle)),
            Err(outcome) => (outcome, None),
        };
        // Read while the vault was open: nothing is, once the run has ended.
        let seen = handle.as_ref().and_then(|run| run.inventory.borrow().clone());
        let inventory = match seen {
            Some(inventory) => Some(inventory),
            None => self.inventory().await.ok(),
        };
        // Where the vault cannot be read, there may be anything left.
        let left = inventory.as_ref().map_or(WorkLeft::UNKNOWN, |inventory| inventory.left);
        let wake_up = self.ask_for_the_next(&outcome, left).await;
        // What came while the run was ending it has not seen.
        let wake_up = self.ask_now().await.or(wake_up);
        let every_key_is_here = inventory
            .as_ref()
            .is_some_and(|inventory| inventory.versions.have_every_key(&outcome));
        let summary = inventory.map(|inventory| inventory.summary).unwrap_or_default();
        log::info!(
            "run ended: {outcome:?}; {} of {} keys fetched, {} opened, {} delivered, {} failed",
            summary.fetched,
            summary.total,
            summary.opened,
            summary.delivered,
            summary.failed
        );
        RunReport {
            outcome,
            summary,
            bytes_downloaded: handle.as_ref().map_or(0, |run| run.tally.progress().bytes_downloaded),
            decrypted: handle.as_ref().map_or(0, |run| run.tally.decrypted()),
            every_key_is_here,
            wake_up,
        }
    }

    /// What is in the vault, with no network, whether or not a run is under way.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn status(&self) -> Result<DownloadStatus, StatusError> {
        let (keys, epoch) = (self.keys.clone(), self.control.intent_epoch());
        let read = move |connection: &mut Connection| {
            let known = Versions::of(connection, |version| keys.can_open(version))?;
            let versions: Vec<_> = known
                .all
                .iter()
                .map(|version| {
                    let unlocked = known.unlocked.contains(&version.id);
                    let status = VersionStatus::of(version, known.current, unlocked);
                    (Some(version.id) == known.current, status)
                })
                .collect();
            let lease = connection.lease()?.filter(LeaseRow::is_live);
            let intent = connection.user_intent()?;
            Ok((DownloadSummary::of(connection, &known)?, versions, lease, intent))
        };
        let (summary, versions, lease, intent) = self.read(read).await?;
        self.control.follow_read(intent, epoch);
        let restraints = self.control.now();
        let current = versions
            .iter()
            .find(|(is_current, _)| *is_current)
            .map(|(_, version)| version);
        Ok(DownloadStatus {
            stage: self.current().map_or(DownloadStage::Resting, |run| run.tally.stage()),
            fetch_complete: current.is_some_and(|version| version.state == VersionState::Complete),
            unlocked: current.is_some_and(|version| version.unlocked),
            restart_needs_recovery_key: !self.vault.keeps_secrets(),
            causes: restraints.causes().iter().collect(),
            stopped: restraints.is_stopped(),
            running: lease.as_ref().map(RunHolder::of),
            versions: versions.into_iter().map(|(_, version)| version).collect(),
            summary,
        })
    }

    /// The app's crypto store is a new one: the next run delivers everything again. A run that is under way ends as overtaken.
    /// A vault that is opened for another device id does this by itself.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be written.
    pub async fn crypto_store_was_replaced(&self) -> Result<(), StatusError> {
        self.write(Connection::deliver_again).await?;
        self.ask_for_a_run().await;
        Ok(())
    }
}

impl KeyDownload {
    /// How it ended, and the run, where there was one.
    async fn run_once(&self, budget: RunBudget) -> Result<(RunOutcome, RunHandle), RunOutcome> {
        let claim = RunClaim::new(self).map_err(|by| RunOutcome::AlreadyRunning { by })?;
        // Only now: a shutdown before the claim would not have ended this run.
        let Some(parts) = self.parts() else {
            return Err(RunOutcome::Paused { causes: Vec::new() });
        };
        self.control.a_run_begins();
        // A run whose future was dropped may still be ending.
        self.runs.quiescent().await;
        let handle = claim.run.clone();
        // Boxed: nested as deep as it is, its layout is more than a caller's compiler wants to see.
        let work = Box::pin(run(&parts, &handle, &self.runs, budget));
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = self.ask_at_the_beginning(&parts, &handle) => unreachable!("it waits for ever"),
        };
        Ok((outcome, handle))
    }

    /// Asks for a wake-up at the beginning: the process may be killed before the run can ask for another.
    async fn ask_at_the_beginning(&self, parts: &Parts, run: &RunHandle) {
        let mut inventory = run.inventory.subscribe();
        let left = match inventory.wait_for(Option::is_some).await {
            Ok(inventory) => inventory.as_ref().map(|inventory| inventory.left).unwrap_or_default(),
            Err(_) => WorkLeft::default(),
        };
        if let Some(wake_up) = left.at_the_beginning(self.control.now().policy()) {
            tell(parts, Some(wake_up)).await;
        }
        std::future::pending().await
    }

    async fn ask_for_the_next(&self, outcome: &RunOutcome, left: WorkLeft) -> Option<WakeUp> {
        let parts = self.parts()?;
        match at_the_end(outcome, left, self.control.now().policy()) {
            WakeUpChange::Keep => None,
            WakeUpChange::Cancel => {
                tell(&parts, None).await;
                None
            }
            WakeUpChange::Ask(wake_up) => {
                tell(&parts, Some(wake_up)).await;
                Some(wake_up)
            }
        }
    }
}

/// Tells the host which wake-up to keep. A host that does not come back must not hold a run.
pub(super) async fn tell(parts: &Parts, wake_up: Option<WakeUp>) {
    let call = parts.host.schedule_wake_up(WakeUpPurpose::Download, wake_up);
    // What it throws is its own business: the app then calls by itself.
    let _ = tokio::time::timeout(WAKE_UP_PATIENCE, call).await;
}

/// Does `work` in turn with a run, for as long as any other writer is waited for. Blocks.
fn in_turn<T>(
    writer: &SharedWriter,
    work: &impl Fn(&mut Connection) -> Result<T, VaultError>,
) -> Result<T, VaultError> {
    let began = Instant::now();
    loop {
        match writer.with(|writer| work(writer.beside())) {
            Err(VaultError::Busy) if began.elapsed() < BUSY_TIMEOUT => {}
            result => return result,
        }
    }
}

/// The place of the one run; given back also when the future is dropped.
struct RunClaim<'a> {
    download: &'a KeyDownload,
    run: RunHandle,
}

impl<'a> RunClaim<'a> {
    fn new(download: &'a KeyDownload) -> Result<Self, RunHolder> {
        let holder = |since_ms| RunHolder::here(&download.process_name, since_ms);
        let mut current = download.current.lock().map_err(|_| holder(0))?;
        if let Some(run) = &*current {
            return Err(holder(run.since_ms));
        }
        let run = RunHandle::new(download.has_sink, download.control.clone(), download.priority.clone());
        *current = Some(run.clone());
        Ok(Self { download, run })
    }
}

impl Drop for RunClaim<'_> {
    fn drop(&mut self) {
        if let Ok(mut current) = self.download.current.lock() {
            current.take();
            if self.download.vault.keeps_secrets() {
                self.download.keys.clear();
            }
        }
    }
}

impl From<VaultError> for StatusError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Busy | VaultError::Overtaken => Self::Busy,
            VaultError::Inaccessible | VaultError::DiskFull => Self::Inaccessible,
            VaultError::Gone => Self::Gone,
            VaultError::Corrupt | VaultError::Unsealable | VaultError::Sqlite(_) => Self::Damaged,
            VaultError::Panicked => Self::Internal,
        }
    }
}
