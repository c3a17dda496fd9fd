//! The state that all jobs of one client share: one slot for runs, one gate, and counts of active runs and requests.

use std::sync::{Arc, Weak};

use super::{
    cause::WorkSet,
    gate::Gate,
    in_flight::{AtWork, InFlight},
    outcome::JobEnd,
    slot::{Claim, RunHandle, RunSlot},
    stop::StopCause,
    waking::{Occasion, WakesUp, Waking},
};
use crate::{context::Context, until_shut_down::UntilShutDown, vault::Vault};

/// The jobs of one client.
pub(crate) struct Jobs {
    context: UntilShutDown<Context>,
    pub(super) vault: Vault,
    process_name: String,
    pub(crate) gate: Gate,
    slot: RunSlot,
    waking: Waking,
    /// Runs, each until its last thread has ended.
    pub(super) runs: InFlight,
    /// Requests to the server or the vault outside a run.
    pub(super) requests: InFlight,
}

impl Jobs {
    pub(crate) fn new(context: Arc<Context>, gate: Gate) -> Self {
        Self {
            vault: context.vault.clone(),
            process_name: context.process_name.clone(),
            context: UntilShutDown::new(context),
            gate,
            slot: RunSlot::default(),
            waking: Waking::default(),
            runs: InFlight::default(),
            requests: InFlight::default(),
        }
    }

    /// Returns the context that jobs work with, or `None` after the shutdown.
    pub(crate) fn context(&self) -> Option<Arc<Context>> {
        self.context.get()
    }

    /// Returns the run under way, if any.
    pub(crate) fn current(&self) -> Option<RunHandle> {
        self.slot.current()
    }

    /// Names the jobs that want to run again when a pause ends. Call it once, when all of them exist.
    pub(crate) fn set_jobs_to_wake(&self, jobs: Vec<Weak<dyn WakesUp>>) {
        self.waking.set(jobs);
    }

    /// Asks the app for a run of each job that has work to do.
    pub(crate) async fn ask_for_runs(&self, occasion: Occasion) {
        self.waking.ask_for_runs(occasion).await;
    }

    /// Cancels the wake-ups of all jobs.
    pub(crate) async fn cancel_wake_ups(&self) {
        self.waking.cancel_wake_ups().await;
    }

    /// Claims the slot for a run of a job that does these kinds of work.
    pub(crate) fn claim(&self, works: WorkSet) -> Result<Claim<'_>, JobEnd> {
        self.slot.claim(works, &self.gate, &self.process_name)
    }

    /// Counts a request outside a run until the returned guard is dropped.
    pub(crate) fn begin_request(&self) -> AtWork {
        self.requests.begin()
    }

    /// Ends the run under way, as if the time that the OS grants had run out.
    pub(crate) fn end_run(&self) {
        if let Some(run) = self.current() {
            run.stop.stop(StopCause::Paused);
        }
    }

    /// Waits until no run and no request is active, even one whose future was dropped. Does not end anything.
    pub(crate) async fn quiescent(&self) {
        self.runs.quiescent().await;
        self.requests.quiescent().await;
    }

    /// Waits until no work is active that the gate forbids and, if `requests_too`, no request either.
    pub(crate) async fn wait_until_allowed(&self, requests_too: bool) {
        let works = match self.current() {
            Some(run) => {
                tokio::select! {
                    () = run.wait_until_allowed() => {}
                    () = self.runs.quiescent() => {}
                }
                run.works
            }
            None => WorkSet::OF_JOBS,
        };
        if self.gate.now().allowed(works).is_empty() {
            self.runs.quiescent().await;
        }
        if requests_too {
            self.requests.quiescent().await;
        }
    }

    /// Ends the run under way, prevents new ones, and returns the context the first time it is called.
    pub(crate) fn shut_down(&self) -> Option<Arc<Context>> {
        self.gate.shut_down();
        self.end_run();
        self.context.shut_down()
    }
}
