//! The thread that lives as long as any part of a run. It takes the vault, writes the run's heartbeat, and closes the
//! vault when the run is over.
//!
//! It depends neither on the speed of the stages nor on whether the future of the run still exists.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    in_flight::AtWork,
    outcome::{JobEnd, RunHolder},
    slot::RunHandle,
    stop::StopCause,
};
use crate::{
    context::Context,
    homeserver::Homeserver,
    vault::{BegunRun, HEARTBEAT_MS, Patience, SharedWriter, Vault, VaultError, Writer, WriterKeeper},
};

/// How long a run waits for a vault that another process is writing to.
const PATIENCE: Duration = Duration::from_secs(5);

/// The data that the thread starts with.
pub(super) struct Keeper {
    vault: Vault,
    homeserver: Homeserver,
    process_name: String,
    run: RunHandle,
    /// The longest wait for the vault.
    limit: Duration,
    at_work: AtWork,
}

impl Keeper {
    /// `slice` is the total time of the run.
    pub(super) fn new(context: &Context, run: &RunHandle, slice: Option<Duration>, at_work: AtWork) -> Self {
        Self {
            vault: context.vault.clone(),
            homeserver: context.homeserver.clone(),
            process_name: context.process_name.clone(),
            run: run.clone(),
            limit: slice.map_or(PATIENCE, |slice| PATIENCE.min(slice / 2)),
            at_work,
        }
    }

    /// Takes the vault, hands out its writer, and stays until nobody else holds that writer. Blocks.
    pub(super) fn keep(self, begun: oneshot::Sender<Result<SharedWriter, JobEnd>>) {
        let writer = match self.begin() {
            Ok(writer) => writer,
            Err(end) => return answer(begun, Err(end)),
        };
        let Self {
            vault,
            homeserver,
            run,
            at_work,
            ..
        } = self;
        let (shared, kept) = SharedWriter::new(vault, writer);
        let (stop, gate) = (run.stop.clone(), run.gate.clone());
        // The handle may hold the lent writer, which must be released when the future of the run is dropped.
        drop(run);
        answer(begun, Ok(shared));
        while kept.is_in_use_after(Duration::from_millis(HEARTBEAT_MS)) {
            let read = gate.begin_read();
            match kept.with(|writer| {
                writer.beat()?;
                writer.reader().user_intent()
            }) {
                // The user may have given a command in another process.
                Ok(intent) => read.end(intent),
                Err(VaultError::Overtaken) => stop.stop(StopCause::Abandoned),
                Err(error) => log::debug!("the heartbeat was not written: {error}"),
            }
        }
        close(kept);
        homeserver.close_idle();
        drop(at_work);
    }

    fn begin(&self) -> Result<Writer, JobEnd> {
        let (gate, works) = (&self.run.gate, self.run.works);
        let restraints = gate.now();
        if restraints.is_held(works) {
            return Err(JobEnd::held(&restraints));
        }
        self.read_intent().map_err(|error| self.end_by_vault(&error))?;
        let restraints = gate.now();
        if restraints.allowed(works).is_empty() {
            return Err(JobEnd::held(&restraints));
        }
        match self.take_vault() {
            Ok(BegunRun::Writer(writer)) => Ok(*writer),
            Ok(BegunRun::HeldBy(lease)) => Err(JobEnd::AlreadyRunning {
                by: RunHolder::of(&lease),
            }),
            Err(error) => Err(self.end_by_vault(&error)),
        }
    }

    /// Reads what the user wants: they may have paused or stopped the job in another process.
    fn read_intent(&self) -> Result<(), VaultError> {
        let read = self.run.gate.begin_read();
        read.end(self.vault.connect()?.user_intent()?);
        Ok(())
    }

    fn take_vault(&self) -> Result<BegunRun, VaultError> {
        let (gate, works, stop) = (self.run.gate.clone(), self.run.works, self.run.stop.clone());
        let patience = Patience {
            limit: self.limit,
            has_ended: Arc::new(move || stop.is_stopped() || gate.now().allowed(works).is_empty()),
        };
        self.vault.begin_run(&self.process_name, patience)
    }

    /// Returns the end of the run after a failure of the vault, which another run may hold.
    fn end_by_vault(&self, error: &VaultError) -> JobEnd {
        let lease = self.vault.connect().and_then(|connection| connection.lease());
        let by = lease.ok().flatten().as_ref().map(RunHolder::of);
        JobEnd::by_vault(error, by)
    }
}

fn close(kept: WriterKeeper) {
    if let Err(error) = kept.with(Writer::release) {
        // The lease expires by itself.
        log::debug!("the lease was not released: {error}");
    }
    if let Err(error) = kept.with(|writer| writer.empty_log()) {
        // The next writer empties the log.
        log::debug!("the write-ahead log was not emptied: {error}");
    }
}

fn answer<T>(sender: oneshot::Sender<T>, answer: T) {
    // If the future of the run was dropped, nobody receives this.
    drop(sender.send(answer));
}
