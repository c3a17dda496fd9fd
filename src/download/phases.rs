//! A run is a row of phases: in each a set of stages may work, and works until it ends, is stopped, or others may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::{mpsc, watch};

use super::{
    DownloadPolicy, RunOutcome,
    deliver::{DeliverEnd, DeliverStage},
    fetch::{FetchEnd, fetch_versions},
    open::{OpenStage, PAGES_IN_FLIGHT},
    outcome::{Ends, Versions, paused, vault_outcome},
    telling::{
        listener::{ArrivalHints, tell_conflicts},
        progress::FetchActivity,
    },
    work_left::WorkLeft,
};
use crate::{
    blocking::blocking,
    client::Parts,
    job::{
        PauseCause,
        gate::{Allowed, Restraints},
        run::{RunHandle, in_writer, prepare},
        stop::{StopCause, StopSignal},
    },
    vault::{SharedWriter, VaultError, Writer},
};

/// One phase of a run.
pub(crate) struct Phase<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) run: &'a RunHandle,
    pub(crate) writer: &'a SharedWriter,
    pub(crate) stop: StopSignal,
    pub(crate) policy: DownloadPolicy,
    pub(crate) deadline: Option<Instant>,
    allowed: Allowed,
    hints: ArrivalHints,
}

impl Phase<'_> {
    /// One piece of work with the vault.
    pub(crate) async fn vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, FetchEnd> {
        in_writer(self.writer, work).await.map_err(FetchEnd::Vault)
    }
}

/// Stops what is left of a run whose future was dropped.
pub(crate) struct StopOnDrop(pub(crate) StopSignal);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(StopCause::Abandoned);
    }
}

pub(crate) async fn phases(
    parts: &Parts,
    handle: &RunHandle,
    hints: ArrivalHints,
    deadline: Option<Instant>,
    writer: &SharedWriter,
) -> RunOutcome {
    if let Err(error) = prepare(parts, handle, writer).await {
        return vault_outcome(&error, None);
    }
    if let Err(error) = reopen(handle, writer).await {
        return vault_outcome(&error, None);
    }
    match refetch(handle, writer).await {
        Ok(true) => {}
        Ok(false) => return stopped(handle, &handle.control.now()).unwrap_or(RunOutcome::OutOfBudget),
        Err(error) => return vault_outcome(&error, None),
    }
    let mut changes = handle.control.changes();
    loop {
        if let Err(error) = look_at_the_disk(handle, writer).await {
            return vault_outcome(&error, None);
        }
        let restraints = *changes.borrow_and_update();
        if let Some(outcome) = stopped(handle, &restraints) {
            return outcome;
        }
        let phase = Phase {
            parts,
            run: handle,
            writer,
            stop: StopSignal::new(handle.wake.clone()),
            policy: *restraints.policy(),
            deadline,
            allowed: restraints.allowed(),
            hints: hints.clone(),
        };
        writer.fold_for_limit(phase.policy.max_vault_bytes);
        handle.phase.send_replace(phase.allowed);
        let before = (handle.tally.settled(), parts.keys.changes());
        let Some(ends) = one_phase(&phase, &mut changes, &restraints).await else {
            continue;
        };
        if let Some(error) = ends.vault_error() {
            return vault_outcome(error, None);
        }
        let keys = parts.keys.clone();
        let has_sink = parts.sink.is_some();
        let look = move |writer: &mut Writer| {
            let reader = writer.reader();
            // Another process may have unlocked it meanwhile.
            keys.load(reader)?;
            let versions = Versions::of(reader, |version| keys.has(version.id))?;
            let left = versions.left(reader, has_sink)?;
            Ok((versions, left))
        };
        let (versions, left) = match in_writer(writer, look).await {
            Ok(found) => found,
            Err(error) => return vault_outcome(&error, None),
        };
        if let Err(error) = tell_conflicts(&parts.host, writer).await {
            return vault_outcome(&error, None);
        }
        let left = match trim(&phase, left).await {
            Ok(left) => left,
            Err(error) => return vault_outcome(&error, None),
        };
        if left.fetch.is_some() && !phase.allowed.fetch && handle.control.now().allowed().fetch {
            // There is room again.
            continue;
        }
        let has_fetched = matches!(ends.fetch, None | Some(FetchEnd::Complete));
        match stopped(handle, &restraints) {
            // The last piece of work came to its end in time.
            Some(RunOutcome::OutOfBudget) if left.is_nothing() && has_fetched => {}
            Some(outcome) => return outcome,
            // The key came when nobody looked for it any more, while the sink took the last batches.
            None if left.open
                && phase.allowed.open
                && has_fetched
                && ends.delivered.is_done()
                && (handle.tally.settled(), parts.keys.changes()) != before =>
            {
                continue;
            }
            // What has failed to open may have been replaced on the server since it came.
            None if left.fetch.is_some()
                && phase.allowed.fetch
                && has_fetched
                && (handle.tally.settled(), parts.keys.changes()) != before =>
            {
                continue;
            }
            None => {}
        }
        let restraints = *changes.borrow();
        return ends.outcome(&versions, left, &restraints);
    }
}

/// Takes delivered entries out of the vault, where the policy wants that, and sees whether there is room for more.
async fn trim(phase: &Phase<'_>, left: WorkLeft) -> Result<WorkLeft, VaultError> {
    let trims = phase.policy.trim_delivered && phase.allowed.open && phase.parts.sink.is_some();
    let mut goes_on = trims && in_writer(phase.writer, |writer| writer.reader().can_trim()).await?;
    while goes_on && !phase.run.stop.winds_down() && phase.run.control.now().allowed().open {
        goes_on = in_writer(phase.writer, Writer::trim_step).await?;
    }
    if let Some(most) = phase.policy.max_vault_bytes {
        // With some distance, or it would be reached again at once.
        let enough = most / 10 * 9;
        if !in_writer(phase.writer, move |writer| writer.reader().takes_more_than(enough)).await? {
            phase.run.control.release(PauseCause::DiskLimit);
        }
    }
    Ok(WorkLeft {
        open: left.open || goes_on,
        ..left
    })
}

/// The outcome of a run that is to end now.
fn stopped(handle: &RunHandle, restraints: &Restraints) -> Option<RunOutcome> {
    match handle.stop.cause() {
        Some(StopCause::Paused) => return Some(ended_or_paused(&handle.control.now())),
        Some(StopCause::OutOfBudget) => return Some(RunOutcome::OutOfBudget),
        Some(StopCause::PhaseOver | StopCause::Abandoned) => {
            return Some(vault_outcome(&VaultError::Overtaken, None));
        }
        None => {}
    }
    if handle.stop.winds_down() {
        return Some(RunOutcome::OutOfBudget);
    }
    restraints.allowed().nothing().then(|| paused(restraints))
}

/// The outcome of a run that somebody has ended: for a cause, or because its time was up.
fn ended_or_paused(restraints: &Restraints) -> RunOutcome {
    match paused(restraints) {
        RunOutcome::Paused { causes } if causes.is_empty() && !restraints.is_shut_down() => RunOutcome::Paused {
            causes: vec![PauseCause::TimeExpiring],
        },
        outcome => outcome,
    }
}

/// Has opened anew what an older version of the crate did not know. The next run goes on where this one ends.
async fn reopen(handle: &RunHandle, writer: &SharedWriter) -> Result<(), VaultError> {
    let mut goes_on = in_writer(writer, |writer| writer.reader().has_to_reopen()).await?;
    while goes_on && !handle.stop.winds_down() && !handle.control.now().allowed().nothing() {
        goes_on = in_writer(writer, Writer::reopen_step).await?;
    }
    Ok(())
}

/// Forgets what has been trimmed, where it is needed again. False if the run ends before all of it is.
async fn refetch(handle: &RunHandle, writer: &SharedWriter) -> Result<bool, VaultError> {
    let mut goes_on = in_writer(writer, |writer| writer.reader().has_to_refetch()).await?;
    while goes_on && !handle.stop.winds_down() && !handle.control.now().allowed().nothing() {
        goes_on = in_writer(writer, Writer::refetch_step).await?;
    }
    Ok(!goes_on)
}

/// Whether the vault has as much as it may have.
async fn look_at_the_disk(handle: &RunHandle, writer: &SharedWriter) -> Result<(), VaultError> {
    if let Some(most) = handle.control.now().policy().max_vault_bytes
        && in_writer(writer, move |writer| writer.reader().takes_more_than(most)).await?
    {
        handle.control.hold(PauseCause::DiskLimit);
    }
    Ok(())
}

/// Lets the stages work until they end, are stopped, or others are to work: `None` then.
async fn one_phase(
    phase: &Phase<'_>,
    changes: &mut watch::Receiver<Restraints>,
    restraints: &Restraints,
) -> Option<Ends> {
    let _guard = StopOnDrop(phase.stop.clone());
    let stages = overlapping(phase);
    tokio::pin!(stages);
    let others = async {
        let differs = |now: &Restraints| now.allowed() != restraints.allowed() || now.policy() != restraints.policy();
        // The sender lives as long as the run: the wait cannot fail.
        let _ = changes.wait_for(differs).await;
    };
    tokio::select! {
        ends = &mut stages => Some(ends),
        () = winding_down(phase) => unreachable!("it waits for ever"),
        () = phase.run.stop.stopped() => {
            phase.stop.stop(phase.run.stop.cause().unwrap_or(StopCause::Abandoned));
            Some(stages.await)
        }
        () = others => {
            phase.stop.stop(StopCause::PhaseOver);
            let ends = stages.await;
            ends.vault_error().is_some().then_some(ends)
        }
    }
}

async fn winding_down(phase: &Phase<'_>) {
    if phase
        .run
        .stop
        .unless_winding_down(std::future::pending::<()>())
        .await
        .is_none()
    {
        phase.stop.wind_down();
    }
    std::future::pending().await
}

async fn overlapping(phase: &Phase<'_>) -> Ends {
    let Phase { parts, run, .. } = phase;
    let fetch_ended = Arc::new(AtomicBool::new(!phase.allowed.fetch));
    let sink = parts.sink.as_ref().filter(|_| phase.allowed.open);
    let (deliveries, pages) = sink.map(|_| mpsc::channel(PAGES_IN_FLIGHT)).unzip();
    let open = phase.allowed.open.then(|| OpenStage {
        vault: parts.vault.clone(),
        writer: phase.writer.clone(),
        keys: parts.keys.clone(),
        policy: phase.policy,
        priority: run.priority.clone(),
        tally: run.tally.clone(),
        hints: phase.hints.clone(),
        stop: phase.stop.clone(),
        wake: run.wake.clone(),
        deliveries,
        current: run.current.clone(),
        fetch_ended: fetch_ended.clone(),
    });
    let fetch = async {
        if !phase.allowed.fetch {
            run.tally.fetch_is(FetchActivity::Ended);
            return None;
        }
        let end = Box::pin(fetch_versions(phase)).await;
        fetch_ended.store(true, Ordering::SeqCst);
        run.wake.notify();
        Some(end)
    };
    let open = async {
        let Some(open) = open else { return Ok(()) };
        let opened = blocking(move || open.work()).await.unwrap_or(Err(VaultError::Panicked));
        if opened.is_err() {
            phase.stop.stop(StopCause::Abandoned);
        }
        opened
    };
    let deliver = async {
        match (sink, pages) {
            (Some(sink), Some(pages)) => {
                let stage = DeliverStage {
                    sink: sink.clone(),
                    writer: phase.writer.clone(),
                    tally: run.tally.clone(),
                    hints: phase.hints.clone(),
                    stop: phase.stop.clone(),
                    wake: run.wake.clone(),
                };
                let end = stage.work(pages).await;
                // Pages that nobody takes any more are gone: who waited for them need not.
                run.wake.notify();
                end
            }
            _ => DeliverEnd::Done,
        }
    };
    let (fetch, opened, delivered) = tokio::join!(fetch, open, deliver);
    Ends {
        fetch,
        opened,
        delivered,
    }
}
