//! The thread that lasts as long as anything of a run: it takes the vault, shows that the run is alive, and closes the vault
//! after it.
//!
//! It is independent of how fast a stage gets on, and of whether the future of the run still exists.

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

/// How long a run waits for a vault that somebody else is writing to.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the thread begins with.
pub(super) struct Keeper {
    vault: Vault,
    homeserver: Homeserver,
    process_name: String,
    run: RunHandle,
    /// How long to wait for the vault at most.
    limit: Duration,
    at_work: AtWork,
}

impl Keeper {
    /// `slice` is the time that the run has in all.
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

    /// Takes the vault, hands out its writer, and stays until nobody has that any more. Blocks.
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
        // It may lend the writer, which is to be given up when the run's future is gone.
        drop(run);
        answer(begun, Ok(shared));
        while kept.is_in_use_after(Duration::from_millis(HEARTBEAT_MS)) {
            let epoch = gate.intent_epoch();
            match kept.with(|writer| {
                writer.beat()?;
                writer.reader().user_intent()
            }) {
                // The user may have said it to another process.
                Ok(intent) => gate.follow_read(intent, epoch),
                Err(VaultError::Overtaken) => stop.stop(StopCause::Abandoned),
                Err(error) => log::debug!("no sign of life: {error}"),
            }
        }
        close(kept);
        homeserver.close_idle();
        drop(at_work);
    }

    fn begin(&self) -> Result<Writer, JobEnd> {
        let (gate, works) = (&self.run.gate, self.run.works);
        if gate.now().is_held(works) {
            return Err(JobEnd::held(&gate.now()));
        }
        match self.take_vault() {
            Ok(Some(BegunRun::Writer(writer))) => Ok(*writer),
            Ok(Some(BegunRun::HeldBy(lease))) => Err(JobEnd::AlreadyRunning {
                by: RunHolder::of(&lease),
            }),
            Ok(None) => Err(JobEnd::held(&gate.now())),
            Err(error) => {
                let lease = self.vault.connect().and_then(|connection| connection.lease());
                let by = lease.ok().flatten().as_ref().map(RunHolder::of);
                Err(JobEnd::by_vault(&error, by))
            }
        }
    }

    /// Takes the vault, unless the user has said elsewhere that nothing is to be done: `None` then.
    fn take_vault(&self) -> Result<Option<BegunRun>, VaultError> {
        let (gate, works) = (self.run.gate.clone(), self.run.works);
        let epoch = gate.intent_epoch();
        let intent = self.vault.connect()?.user_intent()?;
        gate.follow_read(intent, epoch);
        if gate.now().allowed(works).is_empty() {
            return Ok(None);
        }
        let stop = self.run.stop.clone();
        let patience = Patience {
            limit: self.limit,
            has_ended: Arc::new(move || stop.is_stopped() || gate.now().allowed(works).is_empty()),
        };
        self.vault.begin_run(&self.process_name, patience).map(Some)
    }
}

fn close(kept: WriterKeeper) {
    if let Err(error) = kept.with(Writer::release) {
        // It runs out by itself.
        log::debug!("the vault was not given back: {error}");
    }
    if let Err(error) = kept.with(|writer| writer.empty_log()) {
        // Whoever writes next makes it no longer.
        log::debug!("the log was not folded: {error}");
    }
}

fn answer<T>(sender: oneshot::Sender<T>, answer: T) {
    // A run whose future was dropped does not hear it.
    drop(sender.send(answer));
}
