//! What the stages of one phase share.

use std::{sync::Arc, time::Instant};

use super::{
    DownloadPolicy,
    run::DownloadRun,
    telling::{ArrivalHints, DownloadListener},
};
use crate::{
    context::Context,
    job::{ActiveRun, JobEnd, RunHandle, StopSignal, Work, WorkSet, in_writer},
    vault::{SharedWriter, VaultError, Writer},
};

/// One phase of a download. Cheap to clone: each stage has its own.
#[derive(Clone)]
pub(crate) struct PhaseContext {
    pub(crate) context: Arc<Context>,
    pub(crate) listener: Arc<dyn DownloadListener>,
    pub(crate) download: DownloadRun,
    pub(crate) run: RunHandle,
    pub(crate) writer: SharedWriter,
    pub(crate) stop: StopSignal,
    pub(crate) policy: DownloadPolicy,
    /// When the run must end, if it has a budget.
    pub(crate) deadline: Option<Instant>,
    pub(crate) hints: ArrivalHints,
    allowed: WorkSet,
    /// Whether the backup is being moved, which needs every key.
    is_moving: bool,
}

impl PhaseContext {
    /// Begins the next phase of a run. Fails with the end of the run if no work may go on.
    pub(super) async fn begin(
        turn: &mut ActiveRun,
        download: &DownloadRun,
        hints: &ArrivalHints,
    ) -> Result<(Self, crate::job::Phase), JobEnd> {
        let phase = turn.begin_phase().await?;
        let is_moving = in_writer(&turn.writer, |writer| writer.reader().has_move_under_way()).await?;
        let shared = Self {
            context: download.context.clone(),
            listener: download.listener.clone(),
            download: download.clone(),
            run: turn.run.clone(),
            writer: turn.writer.clone(),
            stop: phase.stop.clone(),
            policy: download.policy.now(),
            deadline: turn.deadline,
            hints: hints.clone(),
            allowed: phase.allowed,
            is_moving,
        };
        Ok((shared, phase))
    }

    pub(crate) fn allows(&self, work: Work) -> bool {
        self.allowed.has(work)
    }

    /// Whether delivered entries leave the vault in this phase.
    pub(crate) fn trims(&self) -> bool {
        self.policy.trim_delivered && !self.is_moving && self.context.sink.is_some() && self.allows(Work::Open)
    }

    /// Runs one piece of work with the vault's writer.
    pub(crate) async fn in_vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        in_writer(&self.writer, work).await
    }
}
