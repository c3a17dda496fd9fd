//! The slot for the one run of a client, and the handle through which others see and end the run in it.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{
    cause::{Work, WorkSet},
    gate::Gate,
    outcome::{JobEnd, RunHolder},
    stop::{StopSignal, Wake},
};
use crate::locked::locked;
use crate::{clock::wall_ms, vault::SharedWriter};

/// A handle to a run under way: what others may see of it, and how they end it.
#[derive(Clone)]
pub(crate) struct RunHandle {
    pub(crate) stop: StopSignal,
    /// Wakes the idle threads of the run.
    pub(crate) wake: Wake,
    /// The kinds of work that the job does.
    pub(super) works: WorkSet,
    pub(crate) gate: Gate,
    /// The kinds of work that may be active now.
    working: Arc<watch::Sender<WorkSet>>,
    /// When the run began, in milliseconds since 1970.
    pub(super) since_ms: i64,
    /// The writer of the run, while it has one. All other writes in this process go through it, so that they take
    /// turns with the run.
    lent: Arc<Mutex<Option<SharedWriter>>>,
}

impl RunHandle {
    fn new(works: WorkSet, gate: Gate) -> Self {
        let wake = Wake::default();
        Self {
            stop: StopSignal::new(wake.clone()),
            wake,
            works,
            gate,
            working: Arc::new(watch::Sender::new(works)),
            since_ms: wall_ms(),
            lent: Arc::default(),
        }
    }

    /// Returns the writer of the run, for a write from outside it.
    pub(super) fn lent_writer(&self) -> Option<SharedWriter> {
        locked(&self.lent).clone()
    }

    /// Lends the writer until the loan is dropped, which also happens when the future of the run is dropped: a handle
    /// that lives on must not keep the vault open.
    pub(super) fn lend(&self, writer: &SharedWriter) -> WriterLoan {
        *locked(&self.lent) = Some(writer.clone());
        WriterLoan(self.clone())
    }

    /// Whether the run may do this kind of work now.
    pub(crate) fn may_do(&self, work: Work) -> bool {
        self.gate.now().allowed(self.works).has(work)
    }

    /// Fails with how the run ends if it may not do all of these kinds of work now.
    pub(crate) fn check_allowed(&self, works: WorkSet) -> Result<(), JobEnd> {
        let restraints = self.gate.now();
        match works.is_within(restraints.allowed(self.works)) {
            true => Ok(()),
            false => Err(JobEnd::held(&restraints)),
        }
    }

    /// Records which kinds of work may be active from now on.
    pub(super) fn set_working(&self, works: WorkSet) {
        self.working.send_replace(works);
    }

    /// Waits until no forbidden work is active.
    pub(super) async fn wait_until_allowed(&self) {
        let (mut working, mut restraints) = (self.working.subscribe(), self.gate.changes());
        loop {
            let allowed = restraints.borrow_and_update().allowed(self.works);
            if working.borrow_and_update().is_within(allowed) {
                return;
            }
            // Neither sender is dropped before `self`, so a failing wait cannot turn this into a busy loop.
            tokio::select! {
                _ = working.changed() => {}
                _ = restraints.changed() => {}
            }
        }
    }
}

/// Keeps the writer lent for as long as it lives.
pub(super) struct WriterLoan(RunHandle);

impl Drop for WriterLoan {
    fn drop(&mut self) {
        locked(&self.0.lent).take();
    }
}

/// The slot for the one run.
#[derive(Default)]
pub(super) struct RunSlot(Mutex<Option<RunHandle>>);

impl RunSlot {
    pub(super) fn current(&self) -> Option<RunHandle> {
        locked(&self.0).clone()
    }

    /// Claims the slot for a run of a job that does these kinds of work.
    pub(super) fn claim(&self, works: WorkSet, gate: &Gate, process_name: &str) -> Result<Claim<'_>, JobEnd> {
        let mut current = locked(&self.0);
        if let Some(run) = &*current {
            return Err(JobEnd::AlreadyRunning {
                by: RunHolder::here(process_name, run.since_ms),
            });
        }
        let run = RunHandle::new(works, gate.clone());
        *current = Some(run.clone());
        Ok(Claim { slot: self, run })
    }
}

/// A claimed slot, which is freed when this is dropped.
pub(crate) struct Claim<'a> {
    slot: &'a RunSlot,
    pub(crate) run: RunHandle,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        locked(&self.slot.0).take();
    }
}
