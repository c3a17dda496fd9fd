//! Pages that have been opened, on their way into the vault and to the sink: several share a transaction.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    queue::{PageQueue, PageSeat, Passed},
    settle_copies::{SettledCopy, settle_copy},
};
use crate::{
    backup::RoomKey,
    download::{ArrivedRoomKeys, phase::Phase},
    vault::{Judged, OpenedCopies, Outcome, VaultError},
};

/// Entries of a transaction: 20 ms.
const COMMIT_ENTRIES: usize = 8_000;
/// How long a page waits for company.
const COMMIT_AGE: Duration = Duration::from_millis(250);

/// One page, opened as far as it goes.
pub(crate) struct FinishedPage {
    pub(crate) opened: OpenedPage,
    /// Entry, version and outcome of each that was not opened before.
    pub(crate) outcomes: Vec<(i64, i64, Outcome)>,
    /// Entries that were opened before, and turn out to be of no use.
    pub(crate) unusable: Vec<i64>,
    pub(crate) hints: Vec<ArrivedRoomKeys>,
    pub(crate) for_the_sink: bool,
    /// Broken off by the end of the run: it keeps its place, and the next run claims what is left of it.
    pub(crate) interrupted: bool,
}

/// Opened keys on their way to the sink.
pub(crate) struct OpenedPage {
    /// `None` where it was claimed before its turn.
    pub(crate) number: Option<u64>,
    /// Entry and version of each key.
    pub(crate) entries: Vec<(i64, i64)>,
    pub(crate) keys: Vec<RoomKey>,
    /// With the queue that the page came from, to settle it there.
    pub(crate) queue: PageSeat,
}

/// Where pages wait for each other.
pub(crate) struct FinishedPages<'a> {
    phase: &'a Phase,
    deliveries: Option<&'a mpsc::Sender<OpenedPage>>,
    queue: Arc<PageQueue>,
    waiting: Mutex<WaitingPages>,
}

#[derive(Default)]
struct WaitingPages {
    pages: Vec<FinishedPage>,
    entries: usize,
    since: Option<Instant>,
}

impl<'a> FinishedPages<'a> {
    pub(crate) fn new(
        phase: &'a Phase,
        deliveries: Option<&'a mpsc::Sender<OpenedPage>>,
        queue: Arc<PageQueue>,
    ) -> Self {
        Self {
            phase,
            deliveries,
            queue,
            waiting: Mutex::default(),
        }
    }

    /// Takes a page, and commits if enough are waiting. A page for the sink waits for nothing. Blocks.
    pub(crate) fn add(&self, page: FinishedPage) -> Result<(), VaultError> {
        let is_due = {
            let mut waiting = self.waiting.lock().map_err(|_| VaultError::Panicked)?;
            let is_urgent = page.for_the_sink || page.interrupted;
            waiting.entries += page.outcomes.len();
            waiting.pages.push(page);
            let since = *waiting.since.get_or_insert_with(Instant::now);
            is_urgent || waiting.entries >= COMMIT_ENTRIES || since.elapsed() >= COMMIT_AGE
        };
        if is_due { self.commit() } else { Ok(()) }
    }

    /// Commits what waits, and sends it on. Blocks.
    pub(crate) fn commit(&self) -> Result<(), VaultError> {
        let WaitingPages { mut pages, .. } = mem::take(&mut *self.waiting.lock().map_err(|_| VaultError::Panicked)?);
        if pages.is_empty() {
            return Ok(());
        }
        let outcomes: Vec<_> = pages.iter_mut().flat_map(|page| page.outcomes.drain(..)).collect();
        let unusable: Vec<i64> = pages.iter_mut().flat_map(|page| page.unusable.drain(..)).collect();
        let ended: Vec<Option<u64>> = pages
            .iter()
            .filter(|page| !page.interrupted)
            .map(|page| page.opened.number)
            .collect();
        let copies = self.phase.writer.with(|writer| {
            // The mark is read and moved under the writer's lock: it never passes a page that is not committed.
            let through = self.queue.mark_with(&ended, Passed::Opened);
            let copies = writer.commit_opened(&outcomes, through)?;
            writer.mark_unusable(&unusable)?;
            for page in &ended {
                self.queue.settle(*page, Passed::Opened);
            }
            self.phase.download.progress.follow(writer.reader())?;
            Ok(copies)
        })?;
        let (judged, left_out) = self.settle(copies)?;
        for page in pages {
            self.send_on(page, &judged, &left_out);
        }
        Ok(())
    }

    /// Compares what fingerprints do not tell. Gives what became of copies, and those that nobody gets.
    fn settle(&self, copies: OpenedCopies) -> Result<(Vec<Judged>, Vec<i64>), VaultError> {
        let OpenedCopies {
            mut judged,
            gone: mut left_out,
            unsettled,
        } = copies;
        if !unsettled.is_empty() {
            let connection = self.phase.context.vault.connect()?;
            for entry in unsettled {
                match settle_copy(self.phase, &connection, entry)? {
                    SettledCopy::Judged(one) => judged.push(one),
                    SettledCopy::NotForTheSink => left_out.push(entry),
                }
            }
            self.phase
                .writer
                .with(|writer| self.phase.download.progress.follow(writer.reader()))?;
        }
        left_out.extend(judged.iter().filter(|one| !one.counts).map(|one| one.entry));
        Ok((judged, left_out))
    }

    fn send_on(&self, mut page: FinishedPage, judged: &[Judged], left_out: &[i64]) {
        self.phase.hints.send(page.hints);
        for one in judged.iter().filter(|one| one.shared_history) {
            page.opened.mark_shared(one.entry);
        }
        if !left_out.is_empty() {
            page.opened.leave_out(left_out);
        }
        if let Some(deliveries) = self.deliveries
            && page.for_the_sink
            && !page.interrupted
            && deliveries.blocking_send(page.opened).is_err()
        {
            self.queue.sink_is_gone();
        }
    }
}

impl OpenedPage {
    /// Another copy of the key says that it may be shared.
    fn mark_shared(&mut self, entry: i64) {
        if let Some(position) = self.entries.iter().position(|(other, _)| *other == entry) {
            let key = &mut self.keys[position];
            // The backup has it without the flag: a store that marked it as backed up would never upload the better one.
            key.origin.is_current &= key.shared_history;
            key.shared_history = true;
        }
    }

    pub(crate) fn leave_out(&mut self, conflicts: &[i64]) {
        let keep: Vec<bool> = self
            .entries
            .iter()
            .map(|(entry, _)| !conflicts.contains(entry))
            .collect();
        let mut kept = keep.iter();
        self.entries.retain(|_| *kept.next().unwrap_or(&true));
        let mut kept = keep.iter();
        self.keys.retain(|_| *kept.next().unwrap_or(&true));
    }
}
