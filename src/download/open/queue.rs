//! What to open next: workers claim pages of entries in the order they came, but for rooms that are wanted first.
//!
//! Pages end in any order; the mark that a restart begins from moves only over pages that have all ended (`settled`).

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
    job::Wake,
    vault::{Connection, PendingEntries, PendingEntry, RoomRow, VaultError, Waiting},
};

/// Pages between the workers and the sink: what a slow sink can pile up.
pub(crate) const PAGES_IN_FLIGHT: usize = 1;

/// Keys of a page without a sink: the smaller, the more evenly the cores end.
const PAGE_ENTRIES_WITHOUT_SINK: usize = 250;

/// Runs of entries of a wanted room that are claimed before their turn. A room has a few; what a server tears into more waits
/// its turn.
const RUNS_OF_A_ROOM: usize = 1_000;

/// Hands out pages.
pub(crate) struct PageQueue {
    state: Mutex<QueueState>,
    with_sink: AtomicBool,
    sink: SinkPages,
    /// Pages that have been claimed and have not come to their end.
    on_their_way: AtomicUsize,
    /// Told when one has.
    wake: Wake,
    wanted: WantedRooms,
    /// Tells this queue from those of earlier passes.
    pass: u64,
}

/// Pages for a sink.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SinkPages {
    /// Keys of one, a batch: 2,000 are worth 30 to 150 ms of a core.
    pub(crate) keys: usize,
    /// So many are on their way: where one takes long, all that come after it wait in memory.
    pub(crate) most: usize,
}

struct QueueState {
    connection: Connection,
    cursor: i64,
    /// Past this one nothing was opened before: it need not be looked at.
    opened_before: i64,
    next_page: u64,
    room: Option<Arc<RoomRow>>,
    keys_seen: u64,
    opened: Watermark,
    delivered: Watermark,
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

/// The place of a page among those that are on their way, in the queue that it came from; free again when this is dropped.
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

/// What there is to do.
pub(crate) enum Claim {
    Page(Page, PageSeat),
    /// Enough is on its way to the sink.
    Enough,
    /// Entries that nobody can open yet. There may be more.
    PassedOver,
    /// Nothing now.
    Nothing,
    /// The set of keys has changed: what was passed over is to be looked at again, from the start.
    KeysChanged,
}

/// The same without a seat.
enum Next {
    Page(Page),
    PassedOver,
    Nothing,
}

type Openable = (Vec<(PendingEntry, Arc<RoomRow>)>, Vec<u8>, bool);

/// Which stage a page has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Opened,
    Delivered,
}

impl PageQueue {
    /// `sink`: `None` if there is none.
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

    /// Gives the queue the number of its pass.
    pub(crate) fn of_pass(self, pass: u64) -> Self {
        Self { pass, ..self }
    }

    pub(crate) fn pass(&self) -> u64 {
        self.pass
    }

    /// The sink takes nothing any more in this run: from here on pages are only opened.
    pub(crate) fn sink_is_gone(&self) {
        self.with_sink.store(false, Ordering::SeqCst);
    }

    pub(crate) fn has_sink(&self) -> bool {
        self.with_sink.load(Ordering::SeqCst)
    }

    /// Whether a page that was claimed has not come to its end.
    pub(crate) fn is_under_way(&self) -> bool {
        self.on_their_way.load(Ordering::SeqCst) > 0
    }

    /// The next page.
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

impl QueueState {
    fn claim_next(&mut self, with_sink: bool, most: usize, keys: &DecryptionKeys) -> Result<Next, VaultError> {
        let waiting = match with_sink {
            _ if self.cursor >= self.opened_before => Waiting::All,
            true => Waiting::UnopenedOrUndelivered,
            false => Waiting::Unopened,
        };
        let pending = self.connection.pending_entries(self.cursor, i64::MAX, waiting, most)?;
        let Some(last) = pending.entries.last().map(|entry| entry.id) else {
            return Ok(Next::Nothing);
        };
        let (entries, bodies, whole) = self.openable(pending, keys)?;
        // Nothing is claimed before all of it could be read.
        self.cursor = last;
        self.taken.forget_through(last);
        if entries.is_empty() && whole {
            // All of it was claimed before its turn: the next page moves the mark over it.
            return Ok(Next::PassedOver);
        }
        let number = self.next_page;
        // What nobody can open yet holds the mark back, and is passed over.
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
        self.opened.hold();
        self.delivered.hold();
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

    fn mark(&mut self, passed: Passed) -> &mut Watermark {
        match passed {
            Passed::Opened => &mut self.opened,
            Passed::Delivered => &mut self.delivered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backup::{entry::Claims, session_id::SessionId},
        random::random,
        vault::{EntryBatch, OpenVaultError, Protection, Vault},
    };

    #[test]
    fn behind_a_page_that_takes_long_only_so_many_wait() {
        let directory = tempfile::tempdir().expect("a directory");
        let unprotected = || Ok::<_, OpenVaultError>(Protection::None);
        let vault = Vault::open(directory.path(), "@a:x", "D", unprotected).expect("a vault");
        let mut connection = vault.connect().expect("a connection");
        connection.include_version("1").expect("a version");
        let version = connection.versions().expect("the versions")[0].id;
        let mut batch = EntryBatch::default();
        for number in 0..100 {
            let session = SessionId::parse(&format!("session {number}"));
            batch.push(0, "!r:x", session, |_| Claims::default());
        }
        connection.insert_beside(version, &mut batch).expect("they are written");
        let keys = DecryptionKeys::default();
        keys.insert(version, &random());
        let sink = SinkPages { keys: 10, most: 3 };
        let queue = PageQueue::new(connection, Some(sink), WantedRooms::default(), &keys, Wake::default());
        let queue = Arc::new(queue.expect("a queue"));
        let claim = || queue.claim(&keys).expect("a claim");
        let mut seats = Vec::new();
        for _ in 0..3 {
            let Claim::Page(_, seat) = claim() else {
                panic!("no page")
            };
            seats.push(seat);
        }
        assert!(matches!(claim(), Claim::Enough));
        // Whichever comes to its end makes room.
        seats.remove(1);
        assert!(matches!(claim(), Claim::Page(..)), "and gives its seat back at once");
        let Claim::Page(_, seat) = claim() else {
            panic!("no page")
        };
        seats.push(seat);
        assert!(matches!(claim(), Claim::Enough));
        queue.sink_is_gone();
        assert!(
            matches!(claim(), Claim::Page(..)),
            "what is only opened waits for nobody"
        );
        seats.clear();
        assert!(!queue.is_under_way());
    }
}
