//! One run: it takes the vault, works in phases, and leaves nothing behind.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};

use super::{
    RunBudget,
    gate::{Allowed, Control},
    in_flight::{Activity, AtWork},
    keeper::Keeper,
    stop::{StopCause, StopSignal, Wake},
};
use crate::{
    blocking::blocking,
    client::Parts,
    clock::wall_ms,
    download::{
        RunHolder, RunOutcome,
        current_version::CurrentVersion,
        inventory::Inventory,
        outcome::{paused, vault_outcome},
        phases::{StopOnDrop, phases},
        telling::{
            listener::{ArrivalHints, telling},
            progress::Tally,
        },
        wanted_rooms::Priority,
    },
    homeserver::Homeserver,
    vault::{Patience, SharedWriter, Vault, VaultError, Writer},
};

/// What a run keeps of its budget for its own end.
const FOR_THE_END: Duration = Duration::from_millis(250);
/// How long a run waits for a vault that somebody else is writing to.
const PATIENCE: Duration = Duration::from_secs(5);

/// A run under way: what others may see of it, and how they end it.
#[derive(Clone)]
pub(crate) struct RunHandle {
    pub(crate) stop: StopSignal,
    pub(crate) wake: Wake,
    pub(crate) tally: Arc<Tally>,
    pub(crate) control: Control,
    pub(crate) priority: Priority,
    /// The version that the server has said is current, in this run.
    pub(crate) current: CurrentVersion,
    /// Milliseconds since 1970.
    pub(crate) since_ms: i64,
    /// What the vault has: at the beginning, and once more at the end.
    pub(crate) inventory: Arc<watch::Sender<Option<Inventory>>>,
    /// The writer, while there is one: whoever else in this process writes does so in turn with the run.
    lent: Arc<Mutex<Option<SharedWriter>>>,
    /// What may be at work now.
    pub(crate) phase: Arc<watch::Sender<Allowed>>,
}

impl RunHandle {
    pub(crate) fn new(has_sink: bool, control: Control, priority: Priority) -> Self {
        let wake = Wake::default();
        Self {
            stop: StopSignal::new(wake.clone()),
            wake,
            tally: Arc::new(Tally::new(has_sink)),
            control,
            priority,
            current: CurrentVersion::default(),
            since_ms: wall_ms(),
            inventory: Arc::default(),
            lent: Arc::default(),
            phase: Arc::new(watch::Sender::new(Allowed {
                fetch: true,
                open: true,
            })),
        }
    }

    /// The writer of the run, for a piece of work beside it.
    pub(crate) fn lent_writer(&self) -> Option<SharedWriter> {
        self.lent.lock().ok()?.clone()
    }

    /// Lends the writer until the loan is dropped, also with the future of the run: whoever holds this handle then must
    /// not keep the vault open.
    fn lend(&self, writer: &SharedWriter) -> Loan<'_> {
        if let Ok(mut lent) = self.lent.lock() {
            *lent = Some(writer.clone());
        }
        Loan(self)
    }

    /// Waits until nothing is at work that may not be.
    pub(crate) async fn obeys(&self) {
        let (mut phase, mut restraints) = (self.phase.subscribe(), self.control.changes());
        loop {
            if phase
                .borrow_and_update()
                .is_within(restraints.borrow_and_update().allowed())
            {
                return;
            }
            tokio::select! {
                _ = phase.changed() => {}
                _ = restraints.changed() => {}
            }
        }
    }
}

/// The writer is lent as long as this lives.
struct Loan<'a>(&'a RunHandle);

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if let Ok(mut lent) = self.0.lent.lock() {
            lent.take();
        }
    }
}

/// The moments at which a run with a budget ends.
#[derive(Clone, Copy)]
struct Slice {
    began: Instant,
    limit: Duration,
}

impl Slice {
    fn new(budget: RunBudget) -> Option<Self> {
        Some(Self {
            began: Instant::now(),
            limit: Duration::from_millis(budget.max_duration_ms?),
        })
    }

    /// Everything stops.
    fn end(self) -> Option<Instant> {
        let time = self.limit.saturating_sub(FOR_THE_END).max(self.limit / 2);
        self.began.checked_add(time)
    }

    /// Nothing new is begun: what is under way may come to its end, and is not done in vain.
    fn wind_down(self) -> Option<Instant> {
        let notice = (self.limit / 10).clamp(Duration::from_millis(50), Duration::from_secs(1));
        self.end()?.checked_sub(notice)
    }
}

/// Runs to an end; then nothing of it is at work. Dropped in flight, it ends by itself, and `activity` tells when.
pub(crate) async fn run(parts: &Parts, handle: &RunHandle, activity: &Activity, budget: RunBudget) -> RunOutcome {
    let _guard = StopOnDrop(handle.stop.clone());
    let slice = Slice::new(budget);
    let (began, beginning) = oneshot::channel();
    let keeper = tokio::task::spawn_blocking({
        let (vault, homeserver) = (parts.vault.clone(), parts.homeserver.clone());
        let (process_name, handle, at_work) = (parts.process_name.clone(), handle.clone(), activity.begin());
        let limit = slice.map_or(PATIENCE, |slice| PATIENCE.min(slice.limit / 2));
        move || keep(vault, homeserver, &process_name, handle, limit, at_work, began)
    });
    let (hints, hints_receiver) = ArrivalHints::channel();
    let outcome = match beginning.await {
        Ok(Ok(writer)) => {
            let work = async {
                let loan = handle.lend(&writer);
                let phases = phases(parts, handle, hints, slice.and_then(Slice::end), &writer);
                let outcome = in_time(handle, slice, phases).await;
                if let Err(error) = take_stock(parts, handle, &writer).await {
                    log::debug!("what there is at the end could not be read: {error}");
                }
                drop((loan, writer));
                outcome
            };
            telling(&parts.host, &handle.tally, hints_receiver, work).await
        }
        Ok(Err(outcome)) => outcome,
        Err(_) => vault_outcome(&VaultError::Panicked, None),
    };
    if keeper.await.is_err() {
        log::error!("the end of a run panicked");
    }
    outcome
}

/// Takes the vault, hands out its writer, and stays until nobody has that any more. Blocks.
fn keep(
    vault: Vault,
    homeserver: Homeserver,
    process_name: &str,
    handle: RunHandle,
    limit: Duration,
    at_work: AtWork,
    began: oneshot::Sender<Result<SharedWriter, RunOutcome>>,
) {
    if handle.control.now().is_held() {
        return answer(began, Err(paused(&handle.control.now())));
    }
    let (stop, control) = (handle.stop.clone(), handle.control.clone());
    let patience = Patience {
        limit,
        has_ended: Arc::new(move || stop.is_stopped() || control.now().allowed().nothing()),
    };
    let epoch = handle.control.intent_epoch();
    let taken = vault
        .connect()
        .and_then(|connection| connection.user_intent())
        .and_then(|intent| {
            handle.control.follow_read(intent, epoch);
            if handle.control.now().allowed().nothing() {
                return Ok(Err(paused(&handle.control.now())));
            }
            let taken = vault.begin_run(process_name, patience)?;
            Ok(taken.map_err(|lease| RunOutcome::AlreadyRunning {
                by: RunHolder::of(&lease),
            }))
        });
    let writer = match taken {
        Ok(Ok(writer)) => writer,
        Ok(Err(outcome)) => return answer(began, Err(outcome)),
        Err(error) => {
            let lease = vault.connect().and_then(|connection| connection.lease());
            let by = lease.ok().flatten().as_ref().map(RunHolder::of);
            return answer(began, Err(vault_outcome(&error, by)));
        }
    };
    let (shared, keeper) = SharedWriter::new(vault, writer);
    let (stop, control) = (handle.stop.clone(), handle.control.clone());
    // It may lend the writer, which is to be given up when the run's future is gone.
    drop(handle);
    answer(began, Ok(shared));
    let keeper = Keeper {
        writer: keeper,
        stop,
        control,
        homeserver,
        at_work,
    };
    keeper.work();
}

fn answer<T>(sender: oneshot::Sender<T>, answer: T) {
    // A run whose future was dropped does not hear it.
    drop(sender.send(answer));
}

/// Does `work`, and ends it when the slice does.
async fn in_time<T>(handle: &RunHandle, slice: Option<Slice>, work: impl Future<Output = T>) -> T {
    let until = async |moment: Option<Instant>| match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    };
    let clock = async {
        until(slice.and_then(Slice::wind_down)).await;
        handle.stop.wind_down();
        until(slice.and_then(Slice::end)).await;
        handle.stop.stop(StopCause::OutOfBudget);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = work => result,
        () = clock => unreachable!("it waits for ever"),
    }
}

/// Reads the keys, and tells what there is.
pub(crate) async fn prepare(parts: &Parts, handle: &RunHandle, writer: &SharedWriter) -> Result<(), VaultError> {
    let (keys, tally) = (parts.keys.clone(), handle.tally.clone());
    in_writer(writer, move |writer| {
        let reader = writer.reader();
        keys.load(reader)?;
        if let Some(version) = reader.current_version()? {
            let rooms = reader.room_counts(version.id)?;
            tally.begin(&version, rooms);
        }
        Ok(())
    })
    .await?;
    take_stock(parts, handle, writer).await
}

/// Notes what there is, while the vault is open.
async fn take_stock(parts: &Parts, handle: &RunHandle, writer: &SharedWriter) -> Result<(), VaultError> {
    let (keys, has_sink) = (parts.keys.clone(), parts.sink.is_some());
    let policy = *handle.control.now().policy();
    let look = move |writer: &mut Writer| Inventory::of(writer.reader(), &keys, has_sink, &policy);
    let inventory = in_writer(writer, look).await?;
    handle.inventory.send_replace(Some(inventory));
    Ok(())
}

/// One piece of work with the vault.
pub(crate) async fn in_writer<T: Send + 'static>(
    writer: &SharedWriter,
    work: impl FnOnce(&mut Writer) -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    let writer = writer.clone();
    let result = blocking(move || writer.with(work)).await;
    result.unwrap_or(Err(VaultError::Panicked))
}
