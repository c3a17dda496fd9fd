//! Claims entries from the vault: those of wanted rooms first, then all others in the order in which they came, or
//! range by range of their session ids.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    watermark::{Passed, Taken, Watermark},
    window::Window,
};
use crate::{
    decryption_keys::DecryptionKeys,
    ids::{EntryId, RoomRowId},
    job::StopSignal,
    vault::{Connection, PendingEntries, PendingEntry, RoomRow, VaultError, Waiting},
};

/// Maximum number of runs of consecutive entries that are claimed early for a wanted room. A room usually has a few;
/// if a server scatters it over more, the rest waits its turn.
const RUNS_OF_A_ROOM: usize = 1_000;

/// Entries between two looks at the stop signal while a window is filled.
const ENTRIES_PER_LOOK: usize = 1_000;

/// How long fewer entries than a batch wait for others while more are being fetched: a store on a database writes
/// several times as much for each key of a small batch.
const PATIENCE: Duration = Duration::from_millis(500);

/// What has been claimed, and what comes next.
pub(super) struct Claims {
    connection: Connection,
    cursor: EntryId,
    /// No entry after this one was opened before, so those need no check.
    opened_before: EntryId,
    next_page: u64,
    room: Option<Arc<RoomRow>>,
    keys_seen: u64,
    opened: Watermark,
    delivered: Watermark,
    /// Entries up to the cursor that are claimed in the order of their sessions.
    window: Window,
    /// Entries of wanted rooms after the cursor, to claim before all others.
    urgent: VecDeque<RangeInclusive<EntryId>>,
    /// Entries of wanted rooms that were in the window, to claim even before those.
    urgent_of_window: Vec<EntryId>,
    /// Entries after the cursor that were claimed early.
    taken: Taken,
    /// When a page was last claimed in order.
    claimed_at: Instant,
}

/// Entries for one worker to open.
pub(crate) struct Page {
    /// Pages are numbered in order, without gaps; a page that was claimed early has no number.
    pub(crate) number: Option<u64>,
    pub(crate) entries: Vec<(PendingEntry, Arc<RoomRow>)>,
    /// The bodies of all entries.
    pub(crate) bodies: Vec<u8>,
}

/// What was found: a `Claim` without its seat.
pub(super) enum Next {
    Page(Page),
    PassedOver,
    Nothing,
}

type Openable = (Vec<(PendingEntry, Arc<RoomRow>)>, Vec<u8>, bool);

impl Claims {
    /// Begins at the vault's mark.
    pub(super) fn new(connection: Connection, with_sink: bool, keys: &DecryptionKeys) -> Result<Self, VaultError> {
        let cursor = connection.settled_through(with_sink)?;
        let opened_before = connection.last_opened()?;
        let mark = Watermark::at(cursor);
        Ok(Self {
            connection,
            cursor,
            opened_before,
            next_page: 0,
            room: None,
            keys_seen: keys.changes(),
            opened: mark.clone(),
            delivered: mark,
            window: Window::default(),
            urgent: VecDeque::new(),
            urgent_of_window: Vec::new(),
            taken: Taken::default(),
            claimed_at: Instant::now(),
        })
    }

    /// Whether the set of decryption keys has changed since the beginning.
    pub(super) fn are_outdated(&self, keys: &DecryptionKeys) -> bool {
        self.keys_seen != keys.changes()
    }

    /// Whether entries are being claimed by their sessions.
    pub(super) fn has_window(&self) -> bool {
        !self.window.is_empty()
    }

    /// Claims the entries of a room before all others.
    pub(super) fn want(&mut self, room_id: &str) -> Result<(), VaultError> {
        let after = match self.window.is_empty() {
            true => self.cursor,
            false => self.window.begins_after(),
        };
        for run in self.connection.room_runs(room_id, after, RUNS_OF_A_ROOM)? {
            self.urgent_of_window.extend(self.window.take_within(&run));
            if *run.end() > self.cursor {
                self.urgent.push_back(run);
            }
        }
        Ok(())
    }

    /// Claims the next entries of a wanted room. Returns `None` if there are none.
    pub(super) fn claim_wanted(
        &mut self,
        with_sink: bool,
        most: usize,
        keys: &DecryptionKeys,
    ) -> Result<Option<Page>, VaultError> {
        if let Some(page) = self.claim_urgent_of_window(most, keys)? {
            return Ok(Some(page));
        }
        while let Some(range) = self.urgent.pop_front() {
            if let Some(page) = self.claim_urgent(range, with_sink, most, keys)? {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// Claims the next entries: those of the window, if there is one.
    pub(super) fn claim_next(
        &mut self,
        with_sink: bool,
        most: usize,
        keys: &DecryptionKeys,
    ) -> Result<Next, VaultError> {
        match self.has_window() {
            true => self.claim_of_window(most, keys),
            false => self.claim_arrived(with_sink, most, keys),
        }
    }

    /// Returns how long to wait for more entries. `None` if there are at least so many, or they have waited enough.
    pub(super) fn wait_for(&self, entries: usize) -> Result<Option<Duration>, VaultError> {
        let wait = PATIENCE.saturating_sub(self.claimed_at.elapsed());
        let are_enough =
            || -> Result<bool, VaultError> { Ok(self.connection.last_entry()?.0 - self.cursor.0 >= entries as i64) };
        Ok((!wait.is_zero() && !are_enough()?).then_some(wait))
    }

    fn waiting(&self, with_sink: bool) -> Waiting {
        match with_sink {
            _ if self.cursor >= self.opened_before => Waiting::All,
            true => Waiting::UnopenedOrUndelivered,
            false => Waiting::Unopened,
        }
    }

    /// Takes the next entries that wait for the sink into a new window, and moves the cursor past them. Leaves the
    /// window empty if the run is stopped: reading hundreds of thousands of entries takes a while.
    pub(super) fn fill_window(&mut self, stop: &StopSignal) -> Result<(), VaultError> {
        let mut window = Window::after(self.cursor);
        let taken = &self.taken;
        let mut seen = 0_usize;
        self.connection
            .waiting_sessions(self.cursor, self.waiting(true), |entry, session| {
                seen += 1;
                let goes_on = !seen.is_multiple_of(ENTRIES_PER_LOOK) || !stop.is_stopped();
                goes_on && (taken.has(entry) || window.add(entry, session))
            })?;
        if stop.is_stopped() {
            return Ok(());
        }
        if !window.is_empty() {
            self.cursor = window.last();
            self.taken.forget_through(self.cursor);
        }
        self.window = window;
        Ok(())
    }

    fn claim_of_window(&mut self, most: usize, keys: &DecryptionKeys) -> Result<Next, VaultError> {
        let taken = self.window.take_next(most);
        let (pending, rest) = self.connection.entries_among(&taken)?;
        self.window.put_back(rest);
        // The mark passes the whole window at once.
        let last = match self.window.is_empty() {
            true => self.window.last(),
            false => self.window.begins_after(),
        };
        self.number(pending, last, keys)
    }

    /// Claims entries of wanted rooms that were in the window. Returns `None` if there are none.
    fn claim_urgent_of_window(&mut self, most: usize, keys: &DecryptionKeys) -> Result<Option<Page>, VaultError> {
        while !self.urgent_of_window.is_empty() {
            let rest = self.urgent_of_window.split_off(most.min(self.urgent_of_window.len()));
            let taken = std::mem::replace(&mut self.urgent_of_window, rest);
            let (pending, rest) = self.connection.entries_among(&taken)?;
            self.urgent_of_window.splice(0..0, rest.iter().copied());
            let (entries, bodies, whole) = self.openable(pending, keys)?;
            if !whole {
                // Entries without a decryption key are in no other page of this pass: no mark may pass them.
                self.hold();
            }
            if !entries.is_empty() {
                return Ok(Some(self.early(entries, bodies)));
            }
        }
        Ok(None)
    }

    /// Makes a page of entries that are claimed early. No mark passes them until the page is settled.
    fn early(&mut self, entries: Vec<(PendingEntry, Arc<RoomRow>)>, bodies: Vec<u8>) -> Page {
        self.hold();
        Page {
            number: None,
            entries,
            bodies,
        }
    }

    fn hold(&mut self) {
        self.opened.hold();
        self.delivered.hold();
    }

    /// Claims the next entries in the order in which they came.
    fn claim_arrived(&mut self, with_sink: bool, most: usize, keys: &DecryptionKeys) -> Result<Next, VaultError> {
        let waiting = self.waiting(with_sink);
        let pending = self
            .connection
            .pending_entries(self.cursor, EntryId::MAX, waiting, most)?;
        let Some(last) = pending.entries.last().map(|entry| entry.id) else {
            return Ok(Next::Nothing);
        };
        let next = self.number(pending, last, keys)?;
        // The cursor moves only after all entries could be read: a failed claim claims nothing.
        self.cursor = last;
        self.taken.forget_through(last);
        Ok(next)
    }

    /// Makes the next page of these entries. Once it has ended, the mark moves to `last`.
    fn number(&mut self, pending: PendingEntries, last: EntryId, keys: &DecryptionKeys) -> Result<Next, VaultError> {
        let (entries, bodies, whole) = self.openable(pending, keys)?;
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
        self.claimed_at = Instant::now();
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
        self.taken.add(after.next(), last);
        self.opened_before = self.opened_before.max(last);
        Ok(Some(self.early(entries, bodies)))
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

    pub(super) fn mark(&mut self, passed: Passed) -> &mut Watermark {
        match passed {
            Passed::Opened => &mut self.opened,
            Passed::Delivered => &mut self.delivered,
        }
    }
}
