//! The order in which fetched entries go to the sink once fetching has ended: range by range of their session ids.
//!
//! The app's store has an index by session id. Keys in the order of arrival fall all over it, so that nearly each key
//! of a large backup would make the store write a page of its own; the keys of one range share few pages. Pure.

use std::ops::RangeInclusive;

use crate::ids::EntryId;

/// Maximum number of consecutive entries of a window, each of which takes two bytes of memory. The larger the window,
/// the narrower the ranges.
const WINDOW_ENTRIES: usize = 1 << 19;
/// Entries of a range. They come in the order of arrival, so that few pages of the vault are read for them, and so
/// that rooms stay together. A range that holds more than twice as many is cut.
const RANGE_ENTRIES: usize = 8_000;
/// Ranges begin and end between the values of the first bytes of session ids.
const VALUES: usize = 1 << 16;

/// Entries that wait for the sink, up to a certain one, in the order of their session ids.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The entry before the first one.
    after: EntryId,
    /// The first bytes of the session id of each entry after that one, as [`value`] gives them. `None` for an entry
    /// that does not wait.
    waiting: Vec<Option<Value>>,
    /// How many of them there were at the beginning, and how many are left.
    all: usize,
    left: usize,
    /// The range that comes next begins here.
    next: usize,
    /// The entries of the current range, in the order of arrival.
    range: Vec<EntryId>,
}

/// The first bytes of a session id, plus one: the highest value counts as the one before it. Takes two bytes even
/// in an `Option`.
type Value = std::num::NonZeroU16;

fn value(session: &[u8]) -> Value {
    let byte = |place| session.get(place).copied().unwrap_or_default();
    Value::MIN.saturating_add(u16::from_be_bytes([byte(0), byte(1)]))
}

impl Window {
    /// Returns an empty window of entries after that one.
    pub(super) fn after(entry: EntryId) -> Self {
        Self {
            after: entry,
            ..Self::default()
        }
    }

    /// Adds an entry with the form of its session id that the vault keeps. Entries come in ascending order. Returns
    /// false if the window is full; then the entry is not in it.
    pub(super) fn add(&mut self, entry: EntryId, session: &[u8]) -> bool {
        match self.place(entry) {
            Some(place) if place < WINDOW_ENTRIES => {
                self.waiting.resize(place, None);
                self.waiting.push(Some(value(session)));
                self.all += 1;
                self.left += 1;
                true
            }
            _ => false,
        }
    }

    /// Returns the entry before the first one of the window.
    pub(super) fn begins_after(&self) -> EntryId {
        self.after
    }

    /// Returns the last entry of the window, in the order of arrival.
    pub(super) fn last(&self) -> EntryId {
        EntryId(self.after.0 + self.waiting.len() as i64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left == 0 && self.range.is_empty()
    }

    /// Takes the next entries out, at most so many, in the order of arrival.
    pub(super) fn take_next(&mut self, most: usize) -> Vec<EntryId> {
        while self.range.is_empty() && self.left > 0 {
            self.begin_range();
        }
        let rest = self.range.split_off(most.min(self.range.len()));
        std::mem::replace(&mut self.range, rest)
    }

    /// Puts entries back that were taken. They come next.
    pub(super) fn put_back(&mut self, entries: &[EntryId]) {
        self.range.splice(0..0, entries.iter().copied());
    }

    /// Takes the entries from the first to the last of these out, in the order of arrival.
    pub(super) fn take_within(&mut self, entries: &RangeInclusive<EntryId>) -> Vec<EntryId> {
        let mut taken: Vec<_> = self.range.extract_if(.., |entry| entries.contains(entry)).collect();
        let first = self.place(*entries.start()).unwrap_or(0);
        let end = self.place(*entries.end()).map_or(0, |last| last.saturating_add(1));
        let (first, end) = (first.min(self.waiting.len()), end.min(self.waiting.len()));
        if first < end {
            taken.extend(self.take_waiting(first..end, |_| true, usize::MAX));
        }
        taken.sort_unstable();
        taken
    }

    /// Takes the next range out. It may be empty.
    fn begin_range(&mut self) {
        let width = (VALUES * RANGE_ENTRIES).div_ceil(self.all.max(1)).clamp(1, VALUES);
        let values = self.next..self.next + width;
        let is_of_range = |value: Value| values.contains(&usize::from(value.get() - 1));
        self.range = self.take_waiting(0..self.waiting.len(), is_of_range, 2 * RANGE_ENTRIES);
        if self.range.len() < 2 * RANGE_ENTRIES {
            self.next = values.end;
        }
    }

    /// Takes waiting entries from these places out, at most so many.
    fn take_waiting(
        &mut self,
        places: std::ops::Range<usize>,
        is_wanted: impl Fn(Value) -> bool,
        most: usize,
    ) -> Vec<EntryId> {
        let mut taken = Vec::new();
        let first = self.after.0 + 1 + places.start as i64;
        for (entry, waiting) in (first..).zip(&mut self.waiting[places]) {
            if waiting.take_if(|value| is_wanted(*value)).is_some() {
                taken.push(EntryId(entry));
                if taken.len() == most {
                    break;
                }
            }
        }
        self.left -= taken.len();
        taken
    }

    /// Returns the place of an entry among those after `after`. `None` if it is not one of these.
    fn place(&self, entry: EntryId) -> Option<usize> {
        usize::try_from(entry.0 - self.after.0 - 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a window of entries from 101 on, one for each session.
    fn window(sessions: &[&[u8]]) -> Window {
        let mut window = Window::after(EntryId(100));
        for (entry, session) in (101..).zip(sessions) {
            assert!(window.add(EntryId(entry), session));
        }
        window
    }

    fn ids(entries: &[i64]) -> Vec<EntryId> {
        entries.iter().copied().map(EntryId).collect()
    }

    #[test]
    fn each_entry_comes_once_and_range_by_range() {
        let count = 3 * RANGE_ENTRIES as i64;
        let mut window = Window::after(EntryId(10));
        let session = |entry: i64| (entry.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()) >> 40).to_be_bytes();
        for entry in 11..=10 + count {
            assert!(window.add(EntryId(entry), &session(entry)[5..]));
        }
        let mut came = Vec::new();
        let mut highest = 0;
        while !window.is_empty() {
            let range = window.take_next(usize::MAX);
            assert!(range.is_sorted(), "in the order of arrival");
            assert!(range.len() < 2 * RANGE_ENTRIES);
            let values = || range.iter().map(|entry| value(&session(entry.0)[5..]).get());
            assert!(values().min() > Some(highest), "ranges do not overlap");
            highest = values().max().expect("a value");
            came.extend(range);
        }
        assert!(came.len() > RANGE_ENTRIES);
        came.sort_unstable();
        assert_eq!(came, ids(&(11..=10 + count).collect::<Vec<_>>()));
    }

    #[test]
    fn what_is_put_back_comes_next() {
        let mut window = window(&[b"d", b"c", b"b", b"a"]);
        let taken = window.take_next(3);
        assert_eq!(taken, ids(&[101, 102, 103]));
        window.put_back(&taken[1..]);
        assert_eq!(window.take_next(1), ids(&[102]));
        assert_eq!(window.take_next(5), ids(&[103, 104]));
        assert!(window.is_empty());
        assert_eq!(window.take_next(5), ids(&[]));
    }

    #[test]
    fn consecutive_entries_can_be_taken_out() {
        let mut window = window(&[b"d", b"c", b"b", b"a", b"e"]);
        assert_eq!(window.take_within(&(EntryId(102)..=EntryId(103))), ids(&[102, 103]));
        assert_eq!(window.take_within(&(EntryId(102)..=EntryId(103))), ids(&[]));
        assert_eq!(window.take_next(1), ids(&[101]));
        assert_eq!(
            window.take_within(&(EntryId(1)..=EntryId(104))),
            ids(&[104]),
            "also of the current range"
        );
        assert_eq!(
            window.take_within(&(EntryId(105)..=EntryId::MAX.previous())),
            ids(&[105])
        );
        assert!(window.is_empty());
        assert_eq!(window.take_within(&(EntryId(1)..=EntryId(50))), ids(&[]));
    }

    #[test]
    fn a_window_takes_only_so_many_entries() {
        let mut window = Window::after(EntryId(7));
        assert!(window.add(EntryId(9), b"a"));
        let most = WINDOW_ENTRIES as i64;
        assert!(window.add(EntryId(7 + most), b"\xff\xff"));
        assert!(!window.add(EntryId(8 + most), b"a"));
        assert_eq!((window.begins_after(), window.last()), (EntryId(7), EntryId(7 + most)));
        assert_eq!(window.take_next(5), ids(&[9, 7 + most]));
        assert!(window.is_empty());
    }

    #[test]
    fn a_range_that_a_server_has_filled_is_cut() {
        let mut window = Window::after(EntryId(0));
        let count = 5 * RANGE_ENTRIES as i64;
        assert!((1..=count).all(|entry| window.add(EntryId(entry), b"same")));
        let mut sizes = Vec::new();
        while !window.is_empty() {
            sizes.push(window.take_next(usize::MAX).len());
        }
        assert_eq!(sizes, [2 * RANGE_ENTRIES, 2 * RANGE_ENTRIES, RANGE_ENTRIES]);
    }
}
