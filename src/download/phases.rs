//! The work of one run: a series of phases, in each of which the allowed stages overlap.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::mpsc;

use super::{
    chores,
    deliver::{DeliverEnd, DeliverStage},
    fetch::fetch_versions,
    inventory::Inventory,
    open::{OpenStage, PAGES_IN_FLIGHT},
    outcome::{Ends, Finished},
    phase::PhaseContext,
    run::DownloadRun,
    telling::{ArrivalHints, FetchActivity, tell_conflicts, telling},
    versions::Versions,
    work_left::{SinkUse, WorkLeft},
};
use crate::{
    blocking::blocking,
    job::{ActiveRun, JobEnd, PhaseEnd, StopCause, Work, in_writer},
    vault::{VaultError, Writer},
};

/// Does the work of a run, and reports its progress to the app.
pub(super) async fn work(mut turn: ActiveRun, download: DownloadRun) -> Result<Finished, JobEnd> {
    let (hints, receiver) = ArrivalHints::channel();
    let work = async {
        let result = phases(&mut turn, &download, hints).await;
        if let Err(error) = note_inventory(&turn, &download).await {
            log::debug!("the vault could not be read at the end of the run: {error}");
        }
        // Releases the vault before the last call to the app.
        drop(turn);
        result
    };
    telling(&*download.listener, &download.progress, receiver, work).await
}

async fn phases(turn: &mut ActiveRun, download: &DownloadRun, hints: ArrivalHints) -> Result<Finished, JobEnd> {
    prepare(turn, download).await?;
    chores::reopen(turn).await?;
    if !chores::forget_trimmed(turn).await? {
        return Err(turn.end());
    }
    loop {
        let (phase, begun) = PhaseContext::begin(turn, download, &hints).await?;
        let before = achieved(download);
        let ends = match turn.work(&begun, run_stages(&phase)).await {
            PhaseEnd::Over(ends) => ends,
            PhaseEnd::Changed(ends) => {
                ends.check_vault()?;
                continue;
            }
        };
        ends.check_vault()?;
        tell_conflicts(&*download.listener, &turn.writer).await?;
        chores::trim(&phase).await?;
        let (versions, left) = look(&phase).await?;
        if left.fetch.is_none() {
            chores::tidy(&phase).await?;
        }
        if left.fetch.is_some() && !phase.allows(Work::Fetch) && turn.run.may_do(Work::Fetch) {
            // The vault has room again: fetch in another phase.
            continue;
        }
        match turn.check() {
            // The last piece of work finished in time.
            Err(JobEnd::OutOfBudget) if left.is_nothing() && ends.has_fetched() => {}
            Err(end) => return Err(end),
            Ok(()) if achieved(download) != before && is_more_due(&phase, &ends, left) => continue,
            Ok(()) => {}
        }
        return ends.outcome(&versions, left, &turn.run);
    }
}

/// Returns how far the run is, and how often the set of decryption keys has grown. A phase that changes neither is
/// not repeated.
fn achieved(download: &DownloadRun) -> (u64, u64) {
    (download.progress.steps(), download.context.keys.changes())
}

/// Whether a phase that made progress left work that another phase may do.
fn is_more_due(phase: &PhaseContext, ends: &Ends, left: WorkLeft) -> bool {
    // A decryption key may have come after opening had ended, while the sink was taking its last batches.
    let can_open = left.open && phase.allows(Work::Open) && ends.delivered.is_done();
    // Entries that failed to open may have been replaced on the server since.
    let can_fetch = left.fetch.is_some() && phase.allows(Work::Fetch);
    ends.has_fetched() && (can_open || can_fetch)
}

/// Loads the decryption keys, and publishes the first figures and the inventory.
async fn prepare(turn: &ActiveRun, download: &DownloadRun) -> Result<(), VaultError> {
    let (keys, progress) = (download.context.keys.clone(), download.progress.clone());
    let prepare = move |writer: &mut Writer| {
        let reader = writer.reader();
        keys.load(reader)?;
        if let Some(version) = reader.current_version()? {
            progress.show(&version, reader.room_counts(version.id)?);
        }
        progress.follow(reader)
    };
    in_writer(&turn.writer, prepare).await?;
    note_inventory(turn, download).await
}

/// Publishes what the vault holds, while it is open.
async fn note_inventory(turn: &ActiveRun, download: &DownloadRun) -> Result<(), VaultError> {
    let (keys, has_sink) = (download.context.keys.clone(), download.context.sink.is_some());
    let policy = download.policy.now();
    let look = move |writer: &mut Writer| Inventory::of(writer.reader(), &keys, has_sink, &policy);
    let inventory = in_writer(&turn.writer, look).await?;
    download.inventory.send_replace(Some(inventory));
    Ok(())
}

/// Reads what is left after a phase.
async fn look(phase: &PhaseContext) -> Result<(Versions, WorkLeft), VaultError> {
    let keys = phase.context.keys.clone();
    let sink = SinkUse::of(phase.context.sink.is_some(), phase.trims());
    let look = move |writer: &mut Writer| {
        let reader = writer.reader();
        // Another process may have unlocked it meanwhile.
        keys.load(reader)?;
        let versions = Versions::of(reader, sink != SinkUse::None, |version| keys.has(version.id))?;
        let left = WorkLeft::in_vault(reader, &versions, sink)?;
        Ok((versions, left))
    };
    phase.in_vault(look).await
}

/// Runs the allowed stages side by side until each has ended.
async fn run_stages(phase: &PhaseContext) -> Ends {
    let fetches = phase.allows(Work::Fetch);
    let fetch_ended = Arc::new(AtomicBool::new(!fetches));
    let opens = phase.allows(Work::Open);
    let sink = phase.context.sink.as_ref().filter(|_| opens);
    let (deliveries, pages) = sink.map(|_| mpsc::channel(PAGES_IN_FLIGHT)).unzip();
    let open_stage = opens.then(|| OpenStage {
        phase: phase.clone(),
        deliveries,
        fetch_ended: fetch_ended.clone(),
    });
    let fetch = async {
        if !fetches {
            phase.download.progress.set_fetch(FetchActivity::Ended);
            return Ok(());
        }
        let end = Box::pin(fetch_versions(phase)).await;
        fetch_ended.store(true, Ordering::SeqCst);
        phase.run.wake.notify();
        end
    };
    let open = async {
        let Some(stage) = open_stage else { return Ok(()) };
        let opened = blocking(move || stage.work())
            .await
            .unwrap_or(Err(VaultError::Panicked));
        if opened.is_err() {
            phase.stop.stop(StopCause::Abandoned);
        }
        opened
    };
    let deliver = async {
        let (Some(sink), Some(pages)) = (sink, pages) else {
            return DeliverEnd::Done;
        };
        let stage = DeliverStage {
            phase: phase.clone(),
            sink: sink.clone(),
        };
        let end = stage.work(pages).await;
        // The pages still in the channel are gone now: wake the workers that wait for them.
        phase.run.wake.notify();
        end
    };
    let (fetched, opened, delivered) = tokio::join!(fetch, open, deliver);
    Ends {
        fetched,
        opened,
        delivered,
    }
}
