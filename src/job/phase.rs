//! Splits a run into phases. In each phase a fixed set of kinds of work may go on, until the work is done, is
//! stopped, or the set changes. To the stages of a job, a pause, a resume, a new policy and a full vault all look the
//! same: the phase ends.

use super::{
    cause::{PauseCause, WorkSet},
    gate::Restraints,
    outcome::JobEnd,
    run::ActiveRun,
    stop::{StopCause, StopOnDrop, StopSignal},
    vault_access::in_writer,
};
use crate::vault::Writer;

/// One phase of a run.
#[derive(Clone)]
pub(crate) struct Phase {
    pub(crate) allowed: WorkSet,
    pub(crate) stop: StopSignal,
    begun_under: Restraints,
}

/// How the stages of a phase ended.
pub(crate) enum PhaseEnd<E> {
    /// By themselves, or because the run ends.
    Over(E),
    /// Because the allowed work or the policy changed: a new phase must begin.
    Changed(E),
}

impl ActiveRun {
    /// Begins the next phase. Fails with how the run ends if no work may go on.
    pub(crate) async fn begin_phase(&mut self) -> Result<Phase, JobEnd> {
        let conditions = *self.run.gate.now().conditions();
        let is_full = move |writer: &mut Writer| conditions.is_vault_full(writer.reader());
        if conditions.has_vault_limit() && in_writer(&self.writer, is_full).await? {
            self.run.gate.hold(PauseCause::DiskLimit);
        }
        let restraints = *self.restraints.borrow_and_update();
        self.check()?;
        let allowed = restraints.allowed(self.run.works);
        if allowed.is_empty() {
            return Err(JobEnd::held(&restraints));
        }
        self.writer.fold_for_limit(restraints.conditions().max_vault_bytes);
        self.run.set_working(allowed);
        Ok(Phase {
            allowed,
            stop: StopSignal::new(self.run.wake.clone()),
            begun_under: restraints,
        })
    }

    /// Runs the stages of a phase until they end. Stops them when the run ends or a new phase must begin.
    pub(crate) async fn work<E>(&mut self, phase: &Phase, stages: impl Future<Output = E>) -> PhaseEnd<E> {
        let _guard = StopOnDrop(phase.stop.clone());
        tokio::pin!(stages);
        let works = self.run.works;
        let is_over = |now: &Restraints| now.needs_new_phase(&phase.begun_under, works);
        let run_stop = &self.run.stop;
        let over = async {
            // The sender lives as long as the run, so the wait cannot fail.
            let _ = self.restraints.wait_for(is_over).await;
        };
        tokio::select! {
            ends = &mut stages => PhaseEnd::Over(ends),
            never = wind_down(run_stop, &phase.stop) => match never {},
            () = run_stop.stopped() => {
                phase.stop.stop(run_stop.cause().unwrap_or(StopCause::Abandoned));
                PhaseEnd::Over(stages.await)
            }
            () = over => {
                phase.stop.stop(StopCause::PhaseOver);
                PhaseEnd::Changed(stages.await)
            }
        }
    }
}

/// Tells the phase to wind down as soon as the run winds down.
async fn wind_down(run: &StopSignal, phase: &StopSignal) -> std::convert::Infallible {
    if run.unless_winding_down(std::future::pending::<()>()).await.is_none() {
        phase.wind_down();
    }
    std::future::pending().await
}
