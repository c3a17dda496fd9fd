//! One run of a reset: segments of steps, and the download between them.
//!
//! The download is the one way in which this crate reads a backup, so a reset reads with it, too: what the old version
//! got before it was frozen, and everything that was sent. Each segment and each download takes the vault and gives it
//! back, so never do two of them work at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    parties::{Parties, ResetCrypto, WORKS},
    records::{ResetOutcome, ResetProgress},
    segment::{self, Halt, SegmentEnd},
    status::read_status,
    telling::telling,
    wake_up::ask_at_the_beginning,
};
use crate::{
    crypto::CryptoError,
    download::{RunOutcome, RunReport},
    job::{self, BlockedReason, JobEnd, RunBudget, RunFailure},
};

/// Downloads in one run. Others may go on changing the backup for as long as they like.
const MOST_DOWNLOADS: usize = 12;
/// With less time than this, nothing begins.
const LEAST_TIME: Duration = Duration::from_millis(500);

/// Takes every step that can be taken now, and tells the app how far it is.
pub(super) async fn run(parties: &Parties, crypto: &ResetCrypto, budget: RunBudget) -> ResetOutcome {
    let status = match read_status(&parties.jobs).await {
        Ok(None) => return ResetOutcome::NothingToDo,
        Ok(status) => status,
        Err(_) => None,
    };
    let (progress, reports) = watch::channel(status.as_ref().map(ResetProgress::from));
    let work = take_turns(parties, crypto, budget, Arc::new(progress));
    tokio::select! {
        outcome = telling(&*parties.listener, reports, work) => outcome,
        never = ask_at_the_beginning(parties, status.as_ref()) => match never {},
    }
}

async fn take_turns(
    parties: &Parties,
    crypto: &ResetCrypto,
    budget: RunBudget,
    progress: Arc<watch::Sender<Option<ResetProgress>>>,
) -> ResetOutcome {
    let began = Instant::now();
    let mut downloads = 0;
    let mut report = None;
    loop {
        let Some(left) = time_left(budget, began) else {
            return JobEnd::OutOfBudget.into();
        };
        match one_segment(parties, crypto, left, report.is_some(), progress.clone()).await {
            Ok(SegmentEnd::Completed) => return ResetOutcome::Completed,
            Ok(SegmentEnd::NothingToDo) => return ResetOutcome::NothingToDo,
            Ok(SegmentEnd::NotReadBack) => return after_a_useless(report),
            Ok(SegmentEnd::NeedsDownload) if downloads >= MOST_DOWNLOADS => {
                return JobEnd::blocked(BlockedReason::BackupChanging, None).into();
            }
            Ok(SegmentEnd::NeedsDownload) => {}
            Err(halt) => return halt.into(),
        }
        let Some(left) = time_left(budget, began) else {
            return JobEnd::OutOfBudget.into();
        };
        downloads += 1;
        let download = parties.download.run(left).await;
        if let Some(outcome) = ends_the_run(&download.outcome) {
            return outcome;
        }
        report = Some(download);
    }
}

async fn one_segment(
    parties: &Parties,
    crypto: &ResetCrypto,
    budget: RunBudget,
    has_downloaded: bool,
    progress: Arc<watch::Sender<Option<ResetProgress>>>,
) -> Result<SegmentEnd, Halt> {
    let claim = parties.jobs.claim(WORKS)?;
    let (context, crypto) = (parties.context.clone(), crypto.clone());
    let work = |turn| async move { Ok(segment::work(turn, context, crypto, has_downloaded, progress).await) };
    Box::pin(job::run(&parties.jobs, &parties.context, &claim.run, budget, work)).await?
}

/// Returns what is left of a budget; `None` if that is too little to begin anything.
fn time_left(budget: RunBudget, began: Instant) -> Option<RunBudget> {
    let Some(most) = budget.max_duration else {
        return Some(budget);
    };
    let left = Duration::from(most).checked_sub(began.elapsed())?;
    (left >= LEAST_TIME).then_some(RunBudget {
        max_duration: Some(left.into()),
    })
}

/// Returns the outcome of a run whose download ended because nothing may be done now. What else a download could not
/// do, for an old version or the sink, keeps nothing from being sent.
fn ends_the_run(outcome: &RunOutcome) -> Option<ResetOutcome> {
    match outcome {
        RunOutcome::AlreadyRunning { .. }
        | RunOutcome::Paused { .. }
        | RunOutcome::Stopped
        | RunOutcome::OutOfBudget => Some(of_download(outcome.clone())),
        RunOutcome::Failed {
            reason:
                RunFailure::NotSignedIn { .. }
                | RunFailure::Tls
                | RunFailure::DiskFull
                | RunFailure::Overtaken
                | RunFailure::VaultGone
                | RunFailure::VaultDamaged
                | RunFailure::Internal,
        } => Some(of_download(outcome.clone())),
        _ => None,
    }
}

/// Returns the outcome of a run whose download did not read enough.
fn after_a_useless(report: Option<RunReport>) -> ResetOutcome {
    report.map_or(ResetOutcome::NothingToDo, |report| of_download(report.outcome))
}

fn of_download(outcome: RunOutcome) -> ResetOutcome {
    match outcome {
        RunOutcome::AlreadyRunning { by } => ResetOutcome::AlreadyRunning { by },
        RunOutcome::Paused { causes } => ResetOutcome::Paused { causes },
        RunOutcome::Stopped => ResetOutcome::Stopped,
        RunOutcome::OutOfBudget => ResetOutcome::OutOfBudget,
        RunOutcome::Blocked { reason, retry_after } => ResetOutcome::Blocked { reason, retry_after },
        RunOutcome::NeedsUnlock { versions } => ResetOutcome::NeedsUnlock { versions },
        RunOutcome::Failed { reason } => ResetOutcome::Failed { reason },
        // The new version has changed while it was read.
        RunOutcome::Completed { .. } | RunOutcome::Short { .. } => {
            JobEnd::blocked(BlockedReason::BackupChanging, None).into()
        }
    }
}

impl From<Halt> for ResetOutcome {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Stopped => JobEnd::OutOfBudget.into(),
            Halt::Job(end) => end.into(),
            Halt::Halted(why) => Self::Halted { why },
            Halt::Crypto(CryptoError::Refused { reason }) => Self::CryptoRefuses { reason },
            Halt::Crypto(CryptoError::Unavailable { .. }) => {
                JobEnd::blocked(BlockedReason::CryptoUnavailable, None).into()
            }
        }
    }
}
