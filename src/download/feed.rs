//! What to open next, and up to where everything is settled.
//!
//! Workers claim pages of entries in the order they came. Pages end in any order; the mark that a restart begins from
//! moves only over pages that have all ended.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    unlock::DecryptionKeys,
    vault::{Connection, PendingEntries, PendingEntry, RoomRow, VaultError, Waiting},
};

/// Keys of a page: a batch for the sink. Worth 30 to 150 ms of a core.
const PAGE_ENTRIES: usize = 2_000;
/// The same without a sink: the smaller, the more evenly the cores end.
const PAGE_ENTRIES_WITHOUT_SINK: usize = 250;

/// Hands out pages.
pub(crate) struct Feed {
    state: Mutex<FeedState>,
    with_sink: AtomicBool,
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
}

/// Entries that one worker opens.
pub(crate) struct Page {
    /// Pages are numbered in order, without gaps.
    pub(crate) number: u64,
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

/// Which stage a page has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Opened,
    Delivered,
}

impl Feed {
    pub(crate) fn new(connection: Connection, with_sink: bool, keys: &DecryptionKeys) -> Result<Self, VaultError> {
        let cursor = connection.settled_through(with_sink)?;
        let opened_before = connection.last_opened()?;
        let mark = SettledMark {
            through: cursor,
            ..SettledMark::default()
        };
        let state = FeedState {
            connection,
            cursor,
            opened_before,
            next_page: 0,
            room: None,
            keys_seen: keys.changes(),
            opened: mark.clone(),
            delivered: mark,
        };
        Ok(Self {
            state: Mutex::new(state),
            with_sink: AtomicBool::new(with_sink),
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
        let mut state = self.state.lock().map_err(|_| VaultError::Corrupt)?;
        if state.keys_seen != keys.changes() {
            return Ok(Claim::KeysChanged);
        }
        let (with_sink, most) = if self.has_sink() {
            (true, PAGE_ENTRIES)
        } else {
            (false, PAGE_ENTRIES_WITHOUT_SINK)
        };
        let waiting = match with_sink {
            _ if state.cursor >= state.opened_before => Waiting::All,
            true => Waiting::UnopenedOrUndelivered,
            false => Waiting::Unopened,
        };
        let pending = state.connection.pending_entries(state.cursor, waiting, most)?;
        let Some(last) = pending.entries.last().map(|entry| entry.id) else {
            return Ok(Claim::Nothing);
        };
        let claimed = pending.entries.len();
        let PendingEntries {
            entries: pending,
            bodies,
        } = pending;
        let mut entries = Vec::with_capacity(claimed);
        for entry in pending {
            let room = state.room(entry.room)?;
            if keys.has(room.version) {
                entries.push((entry, room));
            }
        }
        // Nothing is claimed before all of it could be read.
        state.cursor = last;
        let number = state.next_page;
        // What nobody can open yet holds the mark back, and is passed over.
        let whole = entries.len() == claimed;
        state.opened.claim(number, last, whole);
        state.delivered.claim(number, last, whole);
        if entries.is_empty() {
            return Ok(Claim::PassedOver);
        }
        state.next_page += 1;
        Ok(Claim::Page(Page {
            number,
            entries,
            bodies,
        }))
    }

    /// Where the mark will be once these pages have passed. To be written in the same transaction as they.
    pub(crate) fn mark_with(&self, pages: &[u64], passed: Passed) -> i64 {
        self.state.lock().map_or(0, |mut state| state.mark(passed).with(pages))
    }

    /// Says that the page has passed, durably.
    pub(crate) fn settle(&self, page: u64, passed: Passed) {
        if let Ok(mut state) = self.state.lock() {
            state.mark(passed).settle(page);
        }
    }
}

impl FeedState {
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

/// The last entry before which every claimed page has ended.
#[derive(Clone, Debug, Default)]
struct SettledMark {
    through: i64,
    /// Pages under way: number, last entry, whether they have ended, whether they can.
    pages: BTreeMap<u64, ClaimedPage>,
}

#[derive(Clone, Copy, Debug)]
struct ClaimedPage {
    last_entry: i64,
    ended: bool,
    whole: bool,
}

impl SettledMark {
    fn claim(&mut self, number: u64, last_entry: i64, whole: bool) {
        // Behind a page that never ends nothing can move the mark: what comes there need not be kept.
        if self.pages.values().next_back().is_none_or(|page| page.whole) {
            self.pages.insert(
                number,
                ClaimedPage {
                    last_entry,
                    ended: false,
                    whole,
                },
            );
        }
    }

    fn settle(&mut self, number: u64) {
        if let Some(page) = self.pages.get_mut(&number) {
            page.ended = true;
        }
        while let Some(first) = self.pages.first_entry()
            && first.get().ended
            && first.get().whole
        {
            self.through = first.get().last_entry;
            first.remove();
        }
    }

    fn with(&self, numbers: &[u64]) -> i64 {
        self.pages
            .iter()
            .take_while(|(page, state)| state.whole && (state.ended || numbers.contains(page)))
            .last()
            .map_or(self.through, |(_, state)| state.last_entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_moves_only_over_what_has_ended() {
        let mut mark = SettledMark {
            through: 10,
            ..SettledMark::default()
        };
        for page in 0..4 {
            mark.claim(page, 20 + page as i64, page != 3);
        }
        assert_eq!(mark.with(&[1]), 10);
        mark.settle(1);
        assert_eq!(mark.through, 10);
        assert_eq!(mark.with(&[0]), 21);
        mark.settle(0);
        assert_eq!(mark.through, 21);
        mark.settle(2);
        mark.settle(3);
        assert_eq!(
            mark.through, 22,
            "a page with entries that wait for a key holds the mark"
        );
        mark.claim(4, 30, true);
        mark.settle(4);
        assert_eq!((mark.through, mark.pages.len()), (22, 1));
    }
}
