//! One run of a job: takes the vault, works with it, and leaves nothing behind.

use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::{
    budget::{RunBudget, Slice, in_time},
    gate::Restraints,
    jobs::Jobs,
    keeper::Keeper,
    outcome::{JobEnd, RunFailure},
    slot::{RunHandle, WriterLoan},
    stop::{StopCause, StopOnDrop},
};
use crate::{context::Context, vault::SharedWriter};

/// A run that has the vault for as long as this value lives.
pub(crate) struct ActiveRun {
    pub(crate) run: RunHandle,
    pub(crate) writer: SharedWriter,
    /// The moment at which everything stops, in a run with a budget.
    pub(crate) deadline: Option<Instant>,
    pub(super) restraints: watch::Receiver<Restraints>,
    _loan: WriterLoan,
}

impl ActiveRun {
    /// Fails with how the run ends, if it has to end now.
    pub(crate) fn check(&self) -> Result<(), JobEnd> {
        match self.run.stop.cause() {
            Some(StopCause::Paused) => Err(JobEnd::ended(&self.run.gate.now())),
            Some(StopCause::OutOfBudget) => Err(JobEnd::OutOfBudget),
            Some(StopCause::PhaseOver | StopCause::Abandoned) => Err(JobEnd::failed(RunFailure::Overtaken)),
            None if self.run.stop.winds_down() => Err(JobEnd::OutOfBudget),
            None => Ok(()),
        }
    }

    /// Returns how a run that cannot do more now ends.
    pub(crate) fn end(&self) -> JobEnd {
        let restraints = self.run.gate.now();
        match self.check() {
            Err(end) => end,
            Ok(()) if restraints.allowed(self.run.works).is_empty() => JobEnd::held(&restraints),
            Ok(()) => JobEnd::OutOfBudget,
        }
    }

    /// Whether the next small step of a longer piece of work may begin now.
    pub(crate) fn may_go_on(&self) -> bool {
        !self.run.stop.winds_down() && !self.run.gate.now().allowed(self.run.works).is_empty()
    }
}

/// Runs `work` with the vault, and returns when no part of the run is active any more. If the future is dropped, the
/// run ends by itself; `Jobs::runs` shows when.
pub(crate) async fn run<T, W: Future<Output = Result<T, JobEnd>>>(
    jobs: &Jobs,
    context: &Context,
    run: &RunHandle,
    budget: RunBudget,
    work: impl FnOnce(ActiveRun) -> W,
) -> Result<T, JobEnd> {
    jobs.gate.forget_bytes_left();
    // An earlier run, whose future was dropped, may still be ending.
    jobs.runs.quiescent().await;
    let _guard = StopOnDrop(run.stop.clone());
    let slice = Slice::begin(budget);
    let (begun, beginning) = oneshot::channel();
    let keeper = Keeper::new(context, run, slice.map(|slice| slice.limit), jobs.runs.begin());
    let keeper = tokio::task::spawn_blocking(move || keeper.keep(begun));
    let result = match beginning.await {
        Ok(Ok(writer)) => {
            let turn = ActiveRun {
                run: run.clone(),
                _loan: run.lend(&writer),
                writer,
                deadline: slice.and_then(Slice::end),
                restraints: jobs.gate.changes(),
            };
            in_time(&run.stop, slice, work(turn)).await
        }
        Ok(Err(end)) => Err(end),
        Err(_) => Err(JobEnd::failed(RunFailure::Internal)),
    };
    if keeper.await.is_err() {
        log::error!("the thread that keeps the vault of a run panicked");
    }
    result
}
