//! One segment of a run: takes the steps of a reset, one after the other, until it needs the download or is done.
//!
//! Every step finds out what is there before it does anything, so that a step that was cut off is simply begun again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    parties::ResetCrypto,
    records::{ResetProgress, ResetStep, ResetStop},
    steps::Move,
};
use crate::{
    backup::version::VersionInfo,
    context::Context,
    crypto::CryptoError,
    homeserver::{Homeserver, HomeserverError, Retry},
    job::{ActiveRun, BlockedReason, JobEnd, Phase, PhaseEnd, StopSignal, in_writer},
    upload::{SendEnd, end_of},
    vault::{Connection, SharedWriter, VaultError, VaultTx, Writer},
};

/// How a segment ended that did all it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentEnd {
    /// The server has to be read.
    NeedsDownload,
    /// The download before this segment did not read enough of the new version.
    NotReadBack,
    Completed,
    NothingToDo,
}

/// Why a segment ended before it could do all.
#[derive(Debug)]
pub(super) enum Halt {
    /// The phase or the run has ended.
    Stopped,
    Job(JobEnd),
    Halted(ResetStop),
    Crypto(CryptoError),
}

impl From<VaultError> for Halt {
    fn from(error: VaultError) -> Self {
        Self::Job(error.into())
    }
}

impl From<CryptoError> for Halt {
    fn from(error: CryptoError) -> Self {
        Self::Crypto(error)
    }
}

impl From<JobEnd> for Halt {
    fn from(end: JobEnd) -> Self {
        Self::Job(end)
    }
}

/// What the steps of one phase work with.
pub(super) struct Segment {
    pub(super) context: Arc<Context>,
    pub(super) crypto: ResetCrypto,
    pub(super) writer: SharedWriter,
    pub(super) stop: StopSignal,
    /// When the run must end, if it has a budget.
    deadline: Option<Instant>,
    /// Whether the download has just read what the server has.
    has_downloaded: bool,
    progress: Arc<watch::Sender<Option<ResetProgress>>>,
}

/// Takes steps in phases, as long as the app and the OS allow it.
pub(super) async fn work(
    mut turn: ActiveRun,
    context: Arc<Context>,
    crypto: ResetCrypto,
    has_downloaded: bool,
    progress: Arc<watch::Sender<Option<ResetProgress>>>,
) -> Result<SegmentEnd, Halt> {
    load_keys(&turn, &context).await?;
    loop {
        let phase: Phase = turn.begin_phase().await?;
        let segment = Segment {
            context: context.clone(),
            crypto: crypto.clone(),
            writer: turn.writer.clone(),
            stop: phase.stop.clone(),
            deadline: turn.deadline,
            has_downloaded,
            progress: progress.clone(),
        };
        match turn.work(&phase, Box::pin(segment.take_steps())).await {
            PhaseEnd::Changed(Err(Halt::Stopped)) => {}
            PhaseEnd::Over(Err(Halt::Stopped)) => return Err(turn.end().into()),
            PhaseEnd::Over(result) | PhaseEnd::Changed(result) => return result,
        }
    }
}

/// Changes how far a reset has come. If that makes the download read the new version back, it begins at the start of
/// the version, and the vault records what the server has of it.
pub(super) fn change_move(tx: &VaultTx<'_>, change: impl FnOnce(&mut Move)) -> Result<Move, VaultError> {
    let mut state = Move::from(tx.backup_move()?.ok_or(VaultError::Overtaken)?);
    let was_reading = state.reads_back();
    change(&mut state);
    match state.reads_back() {
        Some(version) if was_reading.is_none() => tx.begin_mirror(version)?,
        None if state.step == ResetStep::Done => tx.end_mirror()?,
        _ => {}
    }
    tx.keep_move(&(&state).into())?;
    Ok(state)
}

async fn load_keys(turn: &ActiveRun, context: &Context) -> Result<(), VaultError> {
    let keys = context.keys.clone();
    in_writer(&turn.writer, move |writer| keys.load(writer.reader())).await
}

impl Segment {
    async fn take_steps(self) -> Result<SegmentEnd, Halt> {
        loop {
            if self.stop.winds_down() {
                return Err(Halt::Stopped);
            }
            let Some(state) = self.state().await?.filter(Move::is_under_way) else {
                return Ok(SegmentEnd::NothingToDo);
            };
            match state.step {
                ResetStep::Begun => self.keep_secrets(&state).await?,
                ResetStep::SecretsKept => self.switch(state).await?,
                ResetStep::Created => self.publish(&state).await?,
                ResetStep::Published => self.tell_app(&state).await?,
                ResetStep::Adopted | ResetStep::ReadingBack if !self.has_downloaded => {
                    return Ok(SegmentEnd::NeedsDownload);
                }
                ResetStep::Adopted | ResetStep::ReadingBack => {
                    if !self.begin_to_send(&state).await? {
                        return Ok(SegmentEnd::NotReadBack);
                    }
                }
                ResetStep::Uploading => {
                    if self.upload(state).await? {
                        return Ok(SegmentEnd::NeedsDownload);
                    }
                }
                ResetStep::Proved => {
                    self.finish(state).await?;
                    return Ok(SegmentEnd::Completed);
                }
                ResetStep::Done => return Ok(SegmentEnd::NothingToDo),
            }
        }
    }

    /// Reads how far the reset has come.
    pub(super) async fn state(&self) -> Result<Option<Move>, VaultError> {
        let row = self.in_vault(|writer| writer.reader().backup_move()).await?;
        Ok(row.map(Move::from))
    }

    /// Changes how far the reset has come, in one transaction, and returns it as it is then.
    pub(super) async fn change(&self, change: impl FnOnce(&mut Move) + Send + 'static) -> Result<Move, VaultError> {
        let changed = self.in_vault(|writer| writer.write(|tx| change_move(tx, change)));
        let state = changed.await?;
        self.progress.send_if_modified(|progress| {
            let before = *progress;
            if let Some(progress) = progress {
                (progress.step, progress.sent, progress.stopped) = (state.step, state.sent, state.stopped);
            }
            *progress != before
        });
        Ok(state)
    }

    /// Stops the reset: somebody else has intervened.
    pub(super) async fn halt<T>(&self, why: ResetStop) -> Result<T, Halt> {
        log::warn!("the reset stops: {why:?}");
        self.change(move |state| state.mark_stopped(why)).await?;
        Err(Halt::Halted(why))
    }

    pub(super) async fn in_vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        in_writer(&self.writer, work).await
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        in_writer(&self.writer, move |writer| work(writer.reader())).await
    }

    /// Returns the server's current version; `None` if it has none.
    pub(super) async fn current_version(&self) -> Result<Option<VersionInfo>, Halt> {
        let homeserver = &self.context.homeserver;
        self.ask_for(|| homeserver.current_version()).await
    }

    /// Makes a small request, again and again as long as its failures pass. Returns `None` if nothing is there.
    pub(super) async fn ask_for<T, F: Future<Output = Result<T, HomeserverError>>>(
        &self,
        request: impl FnMut() -> F,
    ) -> Result<Option<T>, Halt> {
        let asked = self
            .stop
            .unless_stopped(Retry::with_network(None).request(request))
            .await;
        match asked.ok_or(Halt::Stopped)? {
            Ok(answer) => Ok(Some(answer)),
            Err(given_up) if given_up.error == HomeserverError::NotFound => Ok(None),
            Err(given_up) => Err(Halt::Job(end_of(&given_up))),
        }
    }

    /// Waits for the app's crypto, unless the run has to end.
    pub(super) async fn wait_for_app<T>(&self, call: impl Future<Output = Result<T, CryptoError>>) -> Result<T, Halt> {
        Ok(self.stop.unless_stopped(call).await.ok_or(Halt::Stopped)??)
    }

    /// Returns how long the run may still take; `None` if it has no limit.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    pub(super) fn homeserver(&self) -> &Homeserver {
        &self.context.homeserver
    }
}

impl From<SendEnd> for Halt {
    fn from(end: SendEnd) -> Self {
        match end {
            SendEnd::Stopped => Self::Stopped,
            SendEnd::Job(end) => Self::Job(end),
            SendEnd::Crypto(error) => Self::Crypto(error),
            SendEnd::NotCurrent => Self::Halted(ResetStop::Overtaken),
            SendEnd::Changed => Self::Job(JobEnd::blocked(BlockedReason::BackupChanging, None)),
        }
    }
}
