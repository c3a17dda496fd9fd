//! The place of the one run of a client, and what others may do with the run that has it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::{
    cause::{Work, WorkSet},
    gate::Gate,
    outcome::{JobEnd, RunHolder},
    stop::{StopSignal, Wake},
};
use crate::{clock::wall_ms, vault::SharedWriter};

/// A run under way: what others may see of it, and how they end it.
#[derive(Clone)]
pub(crate) struct RunHandle {
    pub(crate) stop: StopSignal,
    /// Wakes the threads of the run that have nothing to do.
    pub(crate) wake: Wake,
    /// The kinds of work that the job does.
    pub(super) works: WorkSet,
    pub(crate) gate: Gate,
    /// The kinds of work that may be going on now.
    working: Arc<watch::Sender<WorkSet>>,
    /// Milliseconds since 1970.
    pub(super) since_ms: i64,
    /// The run's writer, while it has one: whoever else in this process writes does so in turn with the run.
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

    /// Returns the run's writer, for a piece of work beside it.
    pub(super) fn lent_writer(&self) -> Option<SharedWriter> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lends the writer until the loan is dropped, also with the future of the run: whoever still holds this handle then
    /// must not keep the vault open.
    pub(super) fn lend(&self, writer: &SharedWriter) -> Loan {
        *self.lent.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer.clone());
        Loan(self.clone())
    }

    /// Whether the run may do this kind of work now.
    pub(crate) fn may_do(&self, work: Work) -> bool {
        self.gate.now().allowed(self.works).has(work)
    }

    /// Says which kinds of work may be going on from here on.
    pub(super) fn set_working(&self, works: WorkSet) {
        self.working.send_replace(works);
    }

    /// Waits until no work is going on that is not allowed.
    pub(super) async fn obeys(&self) {
        let (mut working, mut restraints) = (self.working.subscribe(), self.gate.changes());
        loop {
            let allowed = restraints.borrow_and_update().allowed(self.works);
            if working.borrow_and_update().is_within(allowed) {
                return;
            }
            // Neither sender ends before `self` does: a wait that fails cannot repeat for ever.
            tokio::select! {
                _ = working.changed() => {}
                _ = restraints.changed() => {}
            }
        }
    }
}

/// The writer is lent as long as this lives.
pub(super) struct Loan(RunHandle);

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.lent.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The place of the one run.
#[derive(Default)]
pub(super) struct RunSlot(Mutex<Option<RunHandle>>);

impl RunSlot {
    pub(super) fn current(&self) -> Option<RunHandle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the place for a run of a job that does these kinds of work.
    pub(super) fn claim(&self, works: WorkSet, gate: &Gate, process_name: &str) -> Result<Claim<'_>, JobEnd> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

/// The place of a run, given back when this is dropped.
pub(crate) struct Claim<'a> {
    slot: &'a RunSlot,
    pub(crate) run: RunHandle,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.slot.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
