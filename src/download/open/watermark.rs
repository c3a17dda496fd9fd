//! Tracks the entry up to which everything is settled, although pages end in any order and some are claimed early.
//! Pure.

use crate::ids::EntryId;
use std::collections::BTreeMap;

/// The stage that a page has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Opened,
    Delivered,
}

/// Ranges of entries: maps the first entry of each range to its last. No two ranges overlap.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<EntryId, EntryId>);

impl Taken {
    pub(super) fn add(&mut self, mut first: EntryId, mut last: EntryId) {
        if let Some((before, end)) = self.0.range(..first).next_back()
            && *end >= first
        {
            first = *before;
        }
        let overlapping: Vec<EntryId> = self.0.range(first..=last).map(|(first, _)| *first).collect();
        for other in overlapping {
            last = last.max(self.0.remove(&other).unwrap_or(last));
        }
        self.0.insert(first, last);
    }

    pub(super) fn has(&self, entry: EntryId) -> bool {
        self.0
            .range(..=entry)
            .next_back()
            .is_some_and(|(_, last)| entry <= *last)
    }

    pub(super) fn forget_through(&mut self, entry: EntryId) {
        while let Some(first) = self.0.first_entry()
            && *first.get() <= entry
        {
            first.remove();
        }
    }
}

/// The last entry up to which every claimed page has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Watermark {
    through: EntryId,
    /// Pages that the mark has not passed, by number.
    pages: BTreeMap<u64, ClaimedPage>,
    /// Number of unsettled pages that were claimed early.
    holds: usize,
}

#[derive(Clone, Copy, Debug)]
struct ClaimedPage {
    last_entry: EntryId,
    ended: bool,
    whole: bool,
}

impl Watermark {
    /// Starts with everything up to that entry settled.
    pub(super) fn at(through: EntryId) -> Self {
        Self {
            through,
            ..Self::default()
        }
    }

    pub(super) fn claim(&mut self, number: u64, last_entry: EntryId, whole: bool) {
        // The mark cannot pass a page that is not whole: pages after it need not be kept.
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

    /// Keeps the mark where it is until a page that was claimed early is settled.
    pub(super) fn hold(&mut self) {
        self.holds += 1;
    }

    /// Puts the mark back to the beginning for the rest of the pass, because entries behind it are due again.
    pub(super) fn go_back(&mut self) {
        self.through = EntryId::NONE;
        self.holds += 1;
    }

    pub(super) fn settle(&mut self, number: Option<u64>) {
        match number {
            Some(number) => {
                if let Some(page) = self.pages.get_mut(&number) {
                    page.ended = true;
                }
            }
            None => self.holds -= 1,
        }
        if self.holds > 0 {
            return;
        }
        while let Some(first) = self.pages.first_entry()
            && first.get().ended
            && first.get().whole
        {
            self.through = first.get().last_entry;
            first.remove();
        }
    }

    pub(super) fn with(&self, numbers: &[Option<u64>]) -> EntryId {
        let urgent = numbers.iter().filter(|number| number.is_none()).count();
        if self.holds > urgent {
            return self.through;
        }
        self.pages
            .iter()
            .take_while(|(page, state)| state.whole && (state.ended || numbers.contains(&Some(**page))))
            .last()
            .map_or(self.through, |(_, state)| state.last_entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_moves_only_over_pages_that_have_ended() {
        let mut mark = Watermark::at(EntryId(10));
        for page in 0..4 {
            mark.claim(page, EntryId(20 + page as i64), page != 3);
        }
        assert_eq!(mark.with(&[Some(1)]), EntryId(10));
        mark.settle(Some(1));
        assert_eq!(mark.through, EntryId(10));
        assert_eq!(mark.with(&[Some(0)]), EntryId(21));
        mark.settle(Some(0));
        assert_eq!(mark.through, EntryId(21));
        mark.settle(Some(2));
        mark.settle(Some(3));
        assert_eq!(
            mark.through,
            EntryId(22),
            "a page with entries that wait for a key holds the mark"
        );
        mark.claim(4, EntryId(30), true);
        mark.settle(Some(4));
        assert_eq!((mark.through, mark.pages.len()), (EntryId(22), 1));
    }

    #[test]
    fn a_mark_that_went_back_stays_there() {
        let mut mark = Watermark::at(EntryId(10));
        mark.claim(0, EntryId(20), true);
        mark.claim(1, EntryId(30), true);
        mark.settle(Some(0));
        mark.go_back();
        mark.settle(Some(1));
        assert_eq!((mark.through, mark.with(&[])), (EntryId::NONE, EntryId::NONE));
    }

    #[test]
    fn overlapping_ranges_are_merged() {
        let mut taken = Taken::default();
        for (first, last) in [(10, 20), (21, 30), (50, 60), (10, 40), (55, 58), (35, 52), (100, 100)] {
            taken.add(EntryId(first), EntryId(last));
        }
        let is_taken = |taken: &Taken| (0..=101).filter(|entry| taken.has(EntryId(*entry))).collect::<Vec<_>>();
        assert_eq!(is_taken(&taken), (10..=60).chain([100]).collect::<Vec<_>>());
        assert_eq!(taken.0.len(), 2);
        taken.forget_through(EntryId(60));
        assert_eq!(is_taken(&taken), [100]);
    }

    #[test]
    fn the_mark_does_not_pass_entries_that_were_claimed_early() {
        let mut mark = Watermark::default();
        mark.claim(0, EntryId(10), true);
        mark.claim(1, EntryId(30), true);
        // Some of the entries up to 30 are in pages that were claimed early.
        mark.holds = 2;
        mark.settle(Some(0));
        assert_eq!((mark.through, mark.with(&[Some(1)])), (EntryId::NONE, EntryId::NONE));
        mark.settle(None);
        assert_eq!((mark.through, mark.with(&[Some(1)])), (EntryId::NONE, EntryId::NONE));
        assert_eq!(mark.with(&[Some(1), None]), EntryId(30));
        mark.settle(None);
        assert_eq!(mark.through, EntryId(10));
        mark.settle(Some(1));
        assert_eq!(mark.through, EntryId(30));
    }
}
