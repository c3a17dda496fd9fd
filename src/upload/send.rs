//! Puts uploads into a backup version, one after the other, and makes sure before each one that nobody else has
//! changed the version.
//!
//! Some servers replace an entry without a look at it, so an entry of another device must be known before ours could
//! take its place. Before each upload the version is asked for: it must be ours, and be as our last upload left it.
//! If it is not, sending ends; the caller fetches what has come, and begins again.

use std::time::{Duration, Instant};

use super::{
    batch::BatchSize,
    outbox::{Outbox, OutgoingBatch},
};
use crate::{
    backup::version::VersionMark,
    blocking::blocking,
    crypto::CryptoError,
    homeserver::{GivenUp, Homeserver, HomeserverError, Meaning, Retry},
    ids::EntryId,
    job::{JobEnd, RunFailure, StopSignal},
    vault::VaultError,
};

/// The least wait before the next run, after a server that did not answer.
const LEAST_WAIT: Duration = Duration::from_secs(30);

/// The backup version that keys are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) version: String,
    pub(crate) public_key: [u8; 32],
}

/// Why sending has ended before everything was sent.
#[derive(Debug)]
pub(crate) enum SendEnd {
    /// The run has to end.
    Stopped,
    /// Somebody else has put keys into the version, or taken some out.
    Changed,
    /// The version is not the current one (any more).
    NotCurrent,
    /// The vault fails, or the server does not take the keys, now or at all.
    Job(JobEnd),
    /// The app's crypto does not do what it was asked to do.
    Crypto(CryptoError),
}

impl From<VaultError> for SendEnd {
    fn from(error: VaultError) -> Self {
        Self::Job(error.into())
    }
}

/// An upload that is about to be sent. Stored before it is, so that a later run finds out whether it had its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// The last entry that it covers.
    pub(crate) through: EntryId,
    /// By how much the server's count rises.
    pub(crate) new_keys: u64,
}

/// What an upload has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
    /// All entries up to this one have been sent, or need not be.
    pub(crate) through: EntryId,
    /// The mark of the version after the upload.
    pub(crate) mark: VersionMark,
    /// Whether everything has been sent.
    pub(crate) is_last: bool,
}

/// Sends what the vault has for one version.
pub(crate) struct Sender {
    homeserver: Homeserver,
    target: Target,
    stop: StopSignal,
    /// The mark of the version when the next upload is sent, unless somebody else changes it.
    mark: VersionMark,
    size: BatchSize,
    retry: Retry,
    /// `None` only if the thread that had it has panicked.
    outbox: Option<Outbox>,
    next: Option<OutgoingBatch>,
    after_next: Option<OutgoingBatch>,
    /// An upload that may have had its effect: its answer was lost, or the run that sent it was killed.
    in_doubt: Option<Announced>,
    /// Whether the server has refused the upload once.
    is_refused: bool,
}

impl Sender {
    /// `mark` is that of the version after our last upload, and `in_doubt` the upload that was announced after that.
    /// `time_left`: how long the run may still take.
    pub(crate) fn new(
        homeserver: Homeserver,
        target: Target,
        stop: StopSignal,
        outbox: Outbox,
        (mark, in_doubt): (VersionMark, Option<Announced>),
        time_left: Option<Duration>,
    ) -> Self {
        Self {
            homeserver,
            target,
            stop,
            mark,
            size: BatchSize::first(time_left),
            retry: Retry::with_network(None),
            outbox: Some(outbox),
            next: None,
            after_next: None,
            in_doubt,
            is_refused: false,
        }
    }

    /// Prepares the next upload, and returns what to store before it is sent.
    pub(crate) async fn announce(&mut self) -> Result<Announced, SendEnd> {
        if self.next.is_none() {
            self.next = match self.after_next.take() {
                Some(batch) => Some(batch),
                None => Some(self.prepare(self.in_doubt.map(|doubt| doubt.through)).await?),
            };
        }
        let batch = self.next.as_ref().expect("it was prepared");
        // What was found to need nothing is stored even now.
        let has_come_on = batch.batch.is_empty() && batch.through > batch.from;
        if self.stop.winds_down() && !has_come_on {
            return Err(SendEnd::Stopped);
        }
        Ok(self.in_doubt.unwrap_or(Announced {
            through: batch.through,
            new_keys: batch.batch.new_keys(),
        }))
    }

    /// Sends the upload that was announced, while the one after it is being prepared. If it turns out to be too large,
    /// announces a smaller one and returns `None`.
    pub(crate) async fn send(&mut self) -> Result<Option<Sent>, SendEnd> {
        let Some(batch) = self.next.take() else { return Ok(None) };
        if batch.batch.is_empty() {
            self.in_doubt = None;
            return Ok(Some(self.sent(&batch, 0)));
        }
        loop {
            let body = batch.batch.body();
            let bytes = body.len();
            let (homeserver, target, stop) = (self.homeserver.clone(), self.target.clone(), self.stop.clone());
            let attempt = Attempt {
                homeserver: &homeserver,
                target: &target,
                before: self.mark.clone(),
                in_doubt: self.in_doubt,
                new_keys: batch.batch.new_keys(),
                replaces: batch.batch.new_keys() < batch.batch.keys(),
            };
            let began = Instant::now();
            let (result, prepared) =
                tokio::join!(stop.unless_stopped(attempt.make(body)), self.prepare_another(&batch));
            prepared?;
            match result.ok_or(SendEnd::Stopped)?? {
                Attempted::Taken(mark) => {
                    self.retry.reset();
                    (self.in_doubt, self.is_refused) = (None, false);
                    self.mark = mark;
                    self.size.adapt_to_success(bytes, began.elapsed());
                    return Ok(Some(self.sent(&batch, bytes as u64)));
                }
                Attempted::Failed { error, in_doubt } => {
                    let is_smaller = self.size.adapt_to_failure(bytes, &error);
                    self.in_doubt = in_doubt.then_some(Announced {
                        through: batch.through,
                        new_keys: batch.batch.new_keys(),
                    });
                    let is_too_large = is_smaller && matches!(error, HomeserverError::RequestTooLarge);
                    // Asked again, the server says whether another version is current now.
                    let is_first_refusal = is_refusal(&error) && !std::mem::replace(&mut self.is_refused, true);
                    if !is_too_large && !is_first_refusal {
                        self.wait(error).await?;
                    }
                    if is_smaller && self.in_doubt.is_none() {
                        self.begin_again_at(batch.from);
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn sent(&self, batch: &OutgoingBatch, bytes: u64) -> Sent {
        Sent {
            keys: batch.batch.keys(),
            bytes,
            through: batch.through,
            mark: self.mark.clone(),
            is_last: batch.is_last,
        }
    }

    /// Prepares the upload after this one, unless it is there already.
    async fn prepare_another(&mut self, batch: &OutgoingBatch) -> Result<(), SendEnd> {
        if self.after_next.is_none() && !batch.is_last {
            self.after_next = Some(self.prepare(None).await?);
        }
        Ok(())
    }

    async fn prepare(&mut self, through: Option<EntryId>) -> Result<OutgoingBatch, SendEnd> {
        let panicked = || SendEnd::Job(VaultError::Panicked.into());
        let mut outbox = self.outbox.take().ok_or_else(panicked)?;
        let (bytes, stop) = (self.size.bytes(), self.stop.clone());
        let work = move || {
            let batch = match through {
                Some(through) => outbox.batch_through(through, &stop),
                None => outbox.next_batch(bytes, &stop),
            };
            (outbox, batch)
        };
        let (outbox, batch) = blocking(work).await.ok_or_else(panicked)?;
        self.outbox = Some(outbox);
        Ok(batch?)
    }

    fn begin_again_at(&mut self, from: EntryId) {
        (self.next, self.after_next) = (None, None);
        if let Some(outbox) = &mut self.outbox {
            outbox.rewind(from);
        }
    }

    /// Waits until a failed request may be made again.
    async fn wait(&mut self, error: HomeserverError) -> Result<(), SendEnd> {
        let stop = self.stop.clone();
        let waited = stop.unless_winding_down(self.retry.wait(error)).await;
        waited
            .ok_or(SendEnd::Stopped)?
            .map_err(|given_up| SendEnd::Job(end_of(&given_up)))
    }
}

/// Returns the end of a run after a request that was given up.
pub(crate) fn end_of(GivenUp { error, retry_after }: &GivenUp) -> JobEnd {
    match retry_after {
        Some(wait) => JobEnd::unreachable(error, (*wait).max(LEAST_WAIT)),
        None if matches!(error.meaning(), Meaning::NothingThere | Meaning::Refused) => {
            JobEnd::failed(RunFailure::RefusedByServer)
        }
        None => JobEnd::refused(error),
    }
}

/// One try to put an upload into the version.
struct Attempt<'a> {
    homeserver: &'a Homeserver,
    target: &'a Target,
    before: VersionMark,
    in_doubt: Option<Announced>,
    new_keys: u64,
    /// Whether it is meant to take the place of entries that are in the version.
    replaces: bool,
}

/// How a try ended that has not ended the sending.
enum Attempted {
    /// The server has taken it. The version has this mark, unless somebody else has changed it meanwhile.
    Taken(VersionMark),
    Failed {
        error: HomeserverError,
        /// Whether the upload may have had its effect all the same.
        in_doubt: bool,
    },
}

impl Attempt<'_> {
    async fn make(&self, body: Vec<u8>) -> Result<Attempted, SendEnd> {
        let now = match self.homeserver.current_version().await {
            Ok(info) if info.version != self.target.version => return Err(SendEnd::NotCurrent),
            Ok(info) if info.public_key != Some(self.target.public_key) => return Err(SendEnd::NotCurrent),
            Ok(info) => info.mark(),
            Err(HomeserverError::NotFound) => return Err(SendEnd::NotCurrent),
            Err(error) => {
                let in_doubt = self.in_doubt.is_some();
                return Ok(Attempted::Failed { error, in_doubt });
            }
        };
        if self
            .in_doubt
            .is_some_and(|doubt| has_grown_by(&self.before, &now, doubt.new_keys))
        {
            return Ok(Attempted::Taken(now));
        }
        if !self.is_unchanged(&now) {
            return Err(SendEnd::Changed);
        }
        match self.homeserver.put_keys(&self.target.version, body).await {
            Ok(after) => Ok(Attempted::Taken(VersionMark {
                // Not the answer's count: if that is another one, somebody else has put keys in, and the next look
                // shows it.
                count: now.count.map(|count| count + self.new_keys).or(after.count),
                etag: after.etag,
            })),
            Err(error) => {
                let in_doubt = may_have_had_its_effect(&error);
                Ok(Attempted::Failed { error, in_doubt })
            }
        }
    }

    /// Whether nobody else has changed the version. A key that was added moves the count. One that was replaced moves
    /// only the etag, and matters only to an upload that replaces, too.
    fn is_unchanged(&self, now: &VersionMark) -> bool {
        match (self.before.count, now.count) {
            (Some(before), Some(now_count)) => before == now_count && (!self.replaces || self.before.etag == now.etag),
            _ => self.before.etag == now.etag,
        }
    }
}

fn has_grown_by(before: &VersionMark, now: &VersionMark, keys: u64) -> bool {
    keys > 0 && before.count.is_some_and(|before| now.count == Some(before + keys))
}

/// Whether the server refuses the upload. Servers do so in several ways when the version is not the current one.
fn is_refusal(error: &HomeserverError) -> bool {
    matches!(
        error,
        HomeserverError::Forbidden | HomeserverError::NotFound | HomeserverError::Refused { .. }
    )
}

/// Whether the server may have taken an upload that failed with this error.
fn may_have_had_its_effect(error: &HomeserverError) -> bool {
    matches!(
        error,
        HomeserverError::Transport(_)
            | HomeserverError::ServerFault { .. }
            | HomeserverError::NotTheHomeserver
            | HomeserverError::WrongShape
            | HomeserverError::TooLarge
    )
}
