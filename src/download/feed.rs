//! What to open next: workers claim pages of entries in the order they came, but for rooms that are wanted first.
//!
//! Pages end in any order; the mark that a restart begins from moves only over pages that have all ended (`settled`).

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    priority::Priority,
    settled::{SettledMark, Taken},
};
use crate::{
    unlock::DecryptionKeys,
    vault::{Connection, PendingEntries, PendingEntry, RoomRow, VaultError, Waiting},
};

/// Keys of a page without a sink: the smaller, the more evenly the cores end.
const PAGE_ENTRIES_WITHOUT_SINK: usize = 250;

/// Runs of entries of a wanted room that are claimed before their turn. A room has a few; what a server tears into more waits
/// its turn.
const RUNS_OF_A_ROOM: usize = 1_000;

/// Hands out pages.
pub(crate) struct Feed {
    state: Mutex<FeedState>,
    with_sink: AtomicBool,
    /// Keys of a page with one: a batch for it. 2,000 are worth 30 to 150 ms of a core.
    batch_keys: usize,
    priority: Priority,
}

struct FeedState {
    connection: Connection,
    cursor: i64,
    /// Past this one nothing was opened before: it need not be looked at.
    opened_before: i64,
    next_page: u64,
    room: Option<Arc<RoomRow>>,
    keys_seen: u64,
    opened: SettledMark,
    delivered: SettledMark,
    /// Entries of wanted rooms that are to be claimed before all others.
    urgent: VecDeque<RangeInclusive<i64>>,
    /// Those that have been, past the cursor.
    taken: Taken,
}

/// Entries that one worker opens.
pub(crate) struct Page {
    /// Pages are numbered in order, without gaps; what is claimed before its turn has no number.
    pub(crate) number: Option<u64>,
    pub(crate) entries: Vec<(PendingEntry, Arc<RoomRow>)>,
    /// The bodies of them all.
    pub(crate) bodies: Vec<u8>,
}

/// What there is to do.
pub(crate) enum Claim {
    Page(Page),
    /// Entries that nobody can open yet. There may be more.
    PassedOver,
    /// Nothing now.
    Nothing,
    /// The set of keys has changed: what was passed over is to be looked at again, from the start.
    KeysChanged,
}

type Openable = (Vec<(PendingEntry, Arc<RoomRow>)>, Vec<u8>, bool);

/// Which stage a page has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Opened,
    Delivered,
}

impl Feed {
    pub(crate) fn new(
        connection: Connection,
        with_sink: bool,
        batch_keys: usize,
        priority: Priority,
        keys: &DecryptionKeys,
    ) -> Result<Self, VaultError> {
        let cursor = connection.settled_through(with_sink)?;
        let opened_before = connection.last_opened()?;
        let mark = SettledMark::at(cursor);
        let state = FeedState {
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
            batch_keys,
            priority,
        })
    }

    /// The sink takes nothing any more in this run: from here on pages are only opened.
    pub(crate) fn sink_is_gone(&self) {
        self.with_sink.store(false, Ordering::SeqCst);
    }

    pub(crate) fn has_sink(&self) -> bool {
        self.with_sink.load(Ordering::SeqCst)
    }

    /// The next page.
    pub(crate) fn claim(&self, keys: &DecryptionKeys) -> Result<Claim, VaultError> {
        let mut state = self.state.lock().map_err(|_| VaultError::Panicked)?;
        if state.keys_seen != keys.changes() {
            return Ok(Claim::KeysChanged);
        }
        let (with_sink, most) = if self.has_sink() {
            (true, self.batch_keys)
        } else {
            (false, PAGE_ENTRIES_WITHOUT_SINK)
        };
        for room_id in self.priority.take_rooms_to_open() {
            let runs = state.connection.room_runs(&room_id, state.cursor, RUNS_OF_A_ROOM)?;
            state.urgent.extend(runs);
        }
        while let Some(range) = state.urgent.pop_front() {
            if let Some(page) = state.claim_urgent(range, with_sink, most, keys)? {
                return Ok(Claim::Page(page));
            }
        }
        state.claim_next(with_sink, most, keys)
    }

    /// Where the mark will be once these pages have passed. To be written in the same transaction as they.
    pub(crate) fn mark_with(&self, pages: &[Option<u64>], passed: Passed) -> i64 {
        self.state.lock().map_or(0, |mut state| state.mark(passed).with(pages))
    }

    /// Says that the page has passed, durably.
    pub(crate) fn settle(&self, page: Option<u64>, passed: Passed) {
        if let Ok(mut state) = self.state.lock() {
            state.mark(passed).settle(page);
        }
    }
}

impl FeedState {
    fn claim_next(&mut self, with_sink: bool, most: usize, keys: &DecryptionKeys) -> Result<Claim, VaultError> {
        let waiting = match with_sink {
            _ if self.cursor >= self.opened_before => Waiting::All,
            true => Waiting::UnopenedOrUndelivered,
            false => Waiting::Unopened,
        };
        let pending = self.connection.pending_entries(self.cursor, i64::MAX, waiting, most)?;
        let Some(last) = pending.entries.last().map(|entry| entry.id) else {
            return Ok(Claim::Nothing);
        };
        let (entries, bodies, whole) = self.openable(pending, keys)?;
        // Nothing is claimed before all of it could be read.
        self.cursor = last;
        self.taken.forget_through(last);
        if entries.is_empty() && whole {
            // All of it was claimed before its turn: the next page moves the mark over it.
            return Ok(Claim::PassedOver);
        }
        let number = self.next_page;
        // What nobody can open yet holds the mark back, and is passed over.
        self.opened.claim(number, last, whole);
        self.delivered.claim(number, last, whole);
        if entries.is_empty() {
            return Ok(Claim::PassedOver);
        }
        self.next_page += 1;
        Ok(Claim::Page(Page {
            number: Some(number),
            entries,
            bodies,
        }))
    }

    /// A page of a wanted room, if there is anything in it that waits and has not been claimed.
    fn claim_urgent(
        &mut self,
        range: RangeInclusive<i64>,
        with_sink: bool,
        most: usize,
        keys: &DecryptionKeys,
    ) -> Result<Option<Page>, VaultError> {
        let after = self.cursor.max(range.start() - 1);
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
            self.urgent.push_front(last + 1..=*range.end());
        }
        let (entries, bodies, _) = self.openable(pending, keys)?;
        if entries.is_empty() {
            return Ok(None);
        }
        // Until it is settled, no mark may pass over it.
        self.opened.holds += 1;
        self.delivered.holds += 1;
        self.taken.add(after + 1, last);
        self.opened_before = self.opened_before.max(last);
        Ok(Some(Page {
            number: None,
            entries,
            bodies,
        }))
    }

    /// Those that there is a key for and that nobody has claimed, and whether only claimed ones are missing.
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

    fn room(&mut self, id: i64) -> Result<Arc<RoomRow>, VaultError> {
        match &self.room {
            Some(room) if room.id == id => Ok(room.clone()),
            _ => Ok(self.room.insert(Arc::new(self.connection.room(id)?)).clone()),
        }
    }

    fn mark(&mut self, passed: Passed) -> &mut SettledMark {
        match passed {
            Passed::Opened => &mut self.opened,
            Passed::Delivered => &mut self.delivered,
        }
    }
}
