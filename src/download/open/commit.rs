//! Writes opened pages to the vault, and passes them to the sink. Several pages share a transaction.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    queue::{PageQueue, PageSeat},
    settle_copies::{SettledCopy, settle_copy},
    watermark::Passed,
};
use crate::{
    backup::RoomKey,
    download::{ArrivedRoomKeys, phase::PhaseContext},
    ids::{EntryId, VersionRowId},
    vault::{Judged, OpenedCopies, Outcome, VaultError, Writer},
};

/// Entries per transaction.
const COMMIT_ENTRIES: usize = 4_000;
/// Entries per transaction if their keys go on to the sink, which should not have to wait for them.
const COMMIT_ENTRIES_FOR_SINK: usize = 2_000;
/// How long a page waits for others to share its transaction.
const COMMIT_AGE: Duration = Duration::from_millis(250);

/// One page, opened as far as possible.
pub(crate) struct FinishedPage {
    pub(crate) opened: OpenedPage,
    /// Entry, version and outcome of each entry that was not opened before.
    pub(crate) outcomes: Vec<(EntryId, VersionRowId, Outcome)>,
    /// Entries that were opened before and turn out to be unusable.
    pub(crate) unusable: Vec<EntryId>,
    pub(crate) hints: Vec<ArrivedRoomKeys>,
    pub(crate) for_the_sink: bool,
    /// Whether the end of the run cut the page short: the mark stays before it, and the next run claims the rest.
    pub(crate) interrupted: bool,
}

/// Opened keys on their way to the sink.
pub(crate) struct OpenedPage {
    /// The number of the page; `None` if it was claimed early.
    pub(crate) number: Option<u64>,
    /// Entry and version of each key.
    pub(crate) entries: Vec<(EntryId, VersionRowId)>,
    pub(crate) keys: Vec<RoomKey>,
    /// Holds the queue that the page came from, to settle it there.
    pub(crate) queue: PageSeat,
}

/// What the deliver stage is told.
pub(crate) enum ToDeliver {
    Page(OpenedPage),
    /// Nothing more comes for now: a batch that is not full need not wait.
    Everything,
}

/// Pages that wait to share a transaction.
pub(crate) struct FinishedPages<'a> {
    phase: &'a PhaseContext,
    deliveries: Option<&'a mpsc::Sender<ToDeliver>>,
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
        phase: &'a PhaseContext,
        deliveries: Option<&'a mpsc::Sender<ToDeliver>>,
        queue: Arc<PageQueue>,
    ) -> Self {
        Self {
            phase,
            deliveries,
            queue,
            waiting: Mutex::default(),
        }
    }

    /// Adds a page, and commits if enough pages wait. A page that was claimed early does not wait. Blocks.
    pub(crate) fn add(&self, page: FinishedPage) -> Result<(), VaultError> {
        let is_due = {
            let mut waiting = self.waiting.lock().map_err(|_| VaultError::Panicked)?;
            let is_urgent = page.opened.number.is_none() || page.interrupted;
            let enough = match page.for_the_sink {
                true => COMMIT_ENTRIES_FOR_SINK,
                false => COMMIT_ENTRIES,
            };
            waiting.entries += page.outcomes.len();
            waiting.pages.push(page);
            let since = *waiting.since.get_or_insert_with(Instant::now);
            is_urgent || waiting.entries >= enough || since.elapsed() >= COMMIT_AGE
        };
        if is_due { self.commit() } else { Ok(()) }
    }

    /// Commits the waiting pages, passes them on, and has everything delivered, because nothing more can be opened for
    /// now. Blocks.
    pub(crate) fn flush(&self) -> Result<(), VaultError> {
        self.commit()?;
        if let Some(deliveries) = self.deliveries {
            self.send(deliveries, ToDeliver::Everything);
        }
        Ok(())
    }

    /// Commits the waiting pages, and passes them on. Blocks.
    pub(crate) fn commit(&self) -> Result<(), VaultError> {
        let WaitingPages { mut pages, entries, .. } =
            mem::take(&mut *self.waiting.lock().map_err(|_| VaultError::Panicked)?);
        if pages.is_empty() {
            return Ok(());
        }
        let mut outcomes = Vec::with_capacity(entries);
        for page in &mut pages {
            // Appended page by page, and freed, so that they are in memory once.
            outcomes.append(&mut mem::take(&mut page.outcomes));
        }
        let unusable: Vec<EntryId> = pages.iter_mut().flat_map(|page| page.unusable.drain(..)).collect();
        let ended: Vec<Option<u64>> = pages
            .iter()
            .filter(|page| !page.interrupted)
            .map(|page| page.opened.number)
            .collect();
        let copies = self.phase.writer.with(|writer| {
            // The mark is read and moved under the writer's lock: it never passes a page that is not committed.
            let through = self.queue.mark_with(&ended, Passed::Opened);
            let copies = writer.commit_opened(&outcomes, through)?;
            self.mark_unusable(writer, &unusable)?;
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

    /// Compares copies that fingerprints cannot decide. Returns what became of the copies, and the entries that the
    /// sink does not get.
    fn settle(&self, copies: OpenedCopies) -> Result<(Vec<Judged>, Vec<EntryId>), VaultError> {
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
                    SettledCopy::Unusable => {
                        self.phase.writer.with(|writer| self.mark_unusable(writer, &[entry]))?;
                        left_out.push(entry);
                    }
                }
            }
            self.phase
                .writer
                .with(|writer| self.phase.download.progress.follow(writer.reader()))?;
        }
        left_out.extend(judged.iter().filter(|one| !one.counts).map(|one| one.entry));
        Ok((judged, left_out))
    }

    /// Records that the keys of entries cannot be used. Copies of them that were passed over may be due then. Both happen
    /// under the writer's lock: no batch that is delivered meanwhile moves the mark past them.
    fn mark_unusable(&self, writer: &mut Writer, entries: &[EntryId]) -> Result<(), VaultError> {
        if writer.mark_unusable(entries)? {
            self.queue.look_again();
        }
        Ok(())
    }

    fn send_on(&self, mut page: FinishedPage, judged: &[Judged], left_out: &[EntryId]) {
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
        {
            self.send(deliveries, ToDeliver::Page(page.opened));
        }
    }

    fn send(&self, deliveries: &mpsc::Sender<ToDeliver>, what: ToDeliver) {
        if deliveries.blocking_send(what).is_err() {
            self.queue.sink_is_gone();
        }
    }
}

impl OpenedPage {
    /// Marks a key as shareable, because another copy of it is.
    fn mark_shared(&mut self, entry: EntryId) {
        if let Some(position) = self.entries.iter().position(|(other, _)| *other == entry) {
            let key = &mut self.keys[position];
            // The backup has this copy without the flag: a store that marked the key as backed up would never upload
            // the better copy.
            key.origin.is_current &= key.shared_history;
            key.shared_history = true;
        }
    }

    pub(crate) fn leave_out(&mut self, conflicts: &[EntryId]) {
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
