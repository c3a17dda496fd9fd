//! Decides what to open next: workers claim pages of entries in the order in which they came, but wanted rooms come
//! first.
//!
//! Pages end in any order. The mark from which a restart continues passes only pages that have ended (`watermark`).

use std::{
    collections::VecDeque,
    ops::{Deref, RangeInclusive},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::watermark::{Taken, Watermark};
use crate::{
    decryption_keys::DecryptionKeys,
    download::wanted_rooms::WantedRooms,
    ids::{EntryId, RoomRowId},
    job::Wake,
    vault::{Connection, PendingEntries, PendingEntry, RoomRow, VaultError, Waiting},
};

/// Pages that wait between the workers and a slow sink.
pub(crate) const PAGES_IN_FLIGHT: usize = 1;

/// Entries per page without a sink: the smaller the pages, the more evenly the cores finish.
const PAGE_ENTRIES_WITHOUT_SINK: usize = 250;

/// Maximum number of runs of consecutive entries that are claimed early for a wanted room. A room usually has a few;
/// if a server scatters it over more, the rest waits its turn.
const RUNS_OF_A_ROOM: usize = 1_000;

/// Hands out pages to the workers.
pub(crate) struct PageQueue {
    state: Mutex<QueueState>,
    with_sink: AtomicBool,
    sink: SinkPages,
    /// Number of claimed pages that have not ended.
    on_their_way: AtomicUsize,
    /// Notified when a page ends.
    wake: Wake,
    wanted: WantedRooms,
    /// Distinguishes this queue from those of earlier passes.
    pass: u64,
}

/// Sizes of pages for a sink, and how many of them may be under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SinkPages {
    /// Keys per page, which is one batch: 2,000 keys take 30 to 150 ms of a core.
    pub(crate) keys: usize,
    /// Maximum number of pages under way: if one takes long, all pages after it wait in memory.
    pub(crate) most: usize,
}

struct QueueState {
    connection: Connection,
    cursor: EntryId,
    /// No entry after this one was opened before, so those need no check.
    opened_before: EntryId,
    next_page: u64,
    room: Option<Arc<RoomRow>>,
    keys_seen: u64,
    opened: Watermark,
    delivered: Watermark,
    /// Entries of wanted rooms, to claim before all others.
    urgent: VecDeque<RangeInclusive<EntryId>>,
    /// Entries after the cursor that were claimed early.
    taken: Taken,
}

/// Entries for one worker to open.
pub(crate) struct Page {
    /// Pages are numbered in order, without gaps; a page that was claimed early has no number.
    pub(crate) number: Option<u64>,
    pub(crate) entries: Vec<(PendingEntry, Arc<RoomRow>)>,
    /// The bodies of all entries.
    pub(crate) bodies: Vec<u8>,
}

/// Counts a page as under way in the queue that it came from, until this is dropped.
pub(crate) struct PageSeat(Arc<PageQueue>);

impl Deref for PageSeat {
    type Target = Arc<PageQueue>;

    fn deref(&self) -> &Arc<PageQueue> {
        &self.0
    }
}

impl Drop for PageSeat {
    fn drop(&mut self) {
        self.0.on_their_way.fetch_sub(1, Ordering::SeqCst);
        self.0.wake.notify();
    }
}

/// What a worker can do next.
pub(crate) enum Claim {
    Page(Page, PageSeat),
    /// There is nothing to do until a page ends: enough pages are on their way to the sink.
    Enough,
    /// The next entries cannot be opened yet, or were claimed early. Others may follow: claim again.
    PassedOver,
    /// There is nothing to do until new entries come.
    Nothing,
    /// The set of decryption keys has changed, and entries that were passed over may be openable: start from the
    /// beginning.
    KeysChanged,
}

/// What `QueueState::claim_next` found: a `Claim` without its seat.
enum Next {
    Page(Page),
    PassedOver,
    Nothing,
}

type Openable = (Vec<(PendingEntry, Arc<RoomRow>)>, Vec<u8>, bool);

/// The stage that a page has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Opened,
    Delivered,
}

impl PageQueue {
    /// Creates a queue that starts at the vault's mark. `sink` is `None` if there is no sink.
    pub(crate) fn new(
        connection: Connection,
        sink: Option<SinkPages>,
        wanted: WantedRooms,
        keys: &DecryptionKeys,
        wake: Wake,
    ) -> Result<Self, VaultError> {
        let with_sink = sink.is_some();
        let cursor = connection.settled_through(with_sink)?;
        let opened_before = connection.last_opened()?;
        let mark = Watermark::at(cursor);
        let state = QueueState {
            connection,
            cursor,
            opened_before,
            next_page: 0,
            room: None,
            keys_seen: keys.changes(),
            opened: mark.clone(),
            delivered: mark,
            urgent: VecDeque::new(),
            taken: Taken::default(),
        };
        Ok(Self {
            state: Mutex::new(state),
            with_sink: AtomicBool::new(with_sink),
            sink: sink.unwrap_or_default(),
            on_their_way: AtomicUsize::new(0),
            wake,
            wanted,
            pass: 0,
        })
    }

    /// Sets the number of the pass.
    pub(crate) fn of_pass(self, pass: u64) -> Self {
        Self { pass, ..self }
    }

    pub(crate) fn pass(&self) -> u64 {
        self.pass
    }

    /// Stops delivery in this pass, because the sink takes no more: from now on pages are only opened.
    pub(crate) fn sink_is_gone(&self) {
        self.with_sink.store(false, Ordering::SeqCst);
    }

    pub(crate) fn has_sink(&self) -> bool {
        self.with_sink.load(Ordering::SeqCst)
    }

    /// Whether a claimed page has not ended.
    pub(crate) fn is_under_way(&self) -> bool {
        self.on_their_way.load(Ordering::SeqCst) > 0
    }

    /// Claims the next page.
    pub(crate) fn claim(self: &Arc<Self>, keys: &DecryptionKeys) -> Result<Claim, VaultError> {
        let mut state = self.state.lock().map_err(|_| VaultError::Panicked)?;
        if state.keys_seen != keys.changes() {
            return Ok(Claim::KeysChanged);
        }
        let (with_sink, most) = if self.has_sink() {
            (true, self.sink.keys)
        } else {
            (false, PAGE_ENTRIES_WITHOUT_SINK)
        };
        for room_id in self.wanted.take_rooms_to_open() {
            let runs = state.connection.room_runs(&room_id, state.cursor, RUNS_OF_A_ROOM)?;
            state.urgent.extend(runs);
        }
        while let Some(range) = state.urgent.pop_front() {
            if let Some(page) = state.claim_urgent(range, with_sink, most, keys)? {
                return Ok(Claim::Page(page, self.seat()));
            }
        }
        if with_sink && self.on_their_way.load(Ordering::SeqCst) >= self.sink.most {
            return Ok(Claim::Enough);
        }
        Ok(match state.claim_next(with_sink, most, keys)? {
            Next::Page(page) => Claim::Page(page, self.seat()),
            Next::PassedOver => Claim::PassedOver,
            Next::Nothing => Claim::Nothing,
        })
    }

    fn seat(self: &Arc<Self>) -> PageSeat {
        self.on_their_way.fetch_add(1, Ordering::SeqCst);
        PageSeat(self.clone())
    }

    /// Returns where the mark will be once these pages have passed. Must be written in the same transaction as the
    /// pages.
    pub(crate) fn mark_with(&self, pages: &[Option<u64>], passed: Passed) -> EntryId {
        self.state
            .lock()
            .map_or(EntryId::NONE, |mut state| state.mark(passed).with(pages))
    }

    /// Records that the page has passed and is durable.
    pub(crate) fn settle(&self, page: Option<u64>, passed: Passed) {
        if let Ok(mut state) = self.state.lock() {
            state.mark(passed).settle(page);
        }
    }
}

impl QueueState {
    fn claim_next(&mut self, with_sink: bool, most: usize, keys: &DecryptionKeys) -> Result<Next, VaultError> {
        let waiting = match with_sink {
            _ if self.cursor >= self.opened_before => Waiting::All,
            true => Waiting::UnopenedOrUndelivered,
            false => Waiting::Unopened,
        };
        let pending = self
            .connection
            .pending_entries(self.cursor, EntryId::MAX, waiting, most)?;
        let Some(last) = pending.entries.last().map(|entry| entry.id) else {
            return Ok(Next::Nothing);
        };
        let (entries, bodies, whole) = self.openable(pending, keys)?;
        // The cursor moves only after all entries could be read: a failed claim claims nothing.
        self.cursor = last;
        self.taken.forget_through(last);
        if entries.is_empty() && whole {
            // All of these entries were claimed early: the next page moves the mark past them.
            return Ok(Next::PassedOver);
        }
        let number = self.next_page;
        // Entries without a decryption key hold the mark back, and are passed over.
        self.opened.claim(number, last, whole);
        self.delivered.claim(number, last, whole);
        if entries.is_empty() {
            return Ok(Next::PassedOver);
        }
        self.next_page += 1;
        Ok(Next::Page(Page {
            number: Some(number),
            entries,
            bodies,
        }))
    }

    /// Claims a page of a wanted room. Returns `None` if no unclaimed entry of the range waits.
    fn claim_urgent(
        &mut self,
        range: RangeInclusive<EntryId>,
        with_sink: bool,
        most: usize,
        keys: &DecryptionKeys,
    ) -> Result<Option<Page>, VaultError> {
        let after = self.cursor.max(range.start().previous());
        let waiting = if with_sink {
            Waiting::UnopenedOrUndelivered
        } else {
            Waiting::Unopened
        };
        let pending = self.connection.pending_entries(after, *range.end(), waiting, most)?;
        let Some(last) = pending.entries.last().map(|entry| entry.id) else {
            return Ok(None);
        };
        if pending.is_full {
            self.urgent.push_front(last.next()..=*range.end());
        }
        let (entries, bodies, _) = self.openable(pending, keys)?;
        if entries.is_empty() {
            return Ok(None);
        }
        // No mark may pass these entries until the page is settled.
        self.opened.hold();
        self.delivered.hold();
        self.taken.add(after.next(), last);
        self.opened_before = self.opened_before.max(last);
        Ok(Some(Page {
            number: None,
            entries,
            bodies,
        }))
    }

    /// Returns the unclaimed entries that have a decryption key, their bodies, and whether no entry lacks a key.
    fn openable(&mut self, pending: PendingEntries, keys: &DecryptionKeys) -> Result<Openable, VaultError> {
        let PendingEntries {
            entries: pending,
            bodies,
            ..
        } = pending;
        let mut entries = Vec::with_capacity(pending.len());
        let mut whole = true;
        for entry in pending {
            if self.taken.has(entry.id) {
                continue;
            }
            let room = self.room(entry.room)?;
            if keys.has(room.version) {
                entries.push((entry, room));
            } else {
                whole = false;
            }
        }
        Ok((entries, bodies, whole))
    }

    fn room(&mut self, id: RoomRowId) -> Result<Arc<RoomRow>, VaultError> {
        match &self.room {
            Some(room) if room.id == id => Ok(room.clone()),
            _ => Ok(self.room.insert(Arc::new(self.connection.room(id)?)).clone()),
        }
    }

    fn mark(&mut self, passed: Passed) -> &mut Watermark {
        match passed {
            Passed::Opened => &mut self.opened,
            Passed::Delivered => &mut self.delivered,
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
