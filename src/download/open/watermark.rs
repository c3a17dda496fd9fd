//! Up to where everything is settled, where pages end in any order and some are claimed before their turn. Pure.

use std::collections::BTreeMap;

/// Ranges of entries, by their first, with their last. No two of them overlap.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<i64, i64>);

impl Taken {
    pub(super) fn add(&mut self, mut first: i64, mut last: i64) {
        if let Some((before, end)) = self.0.range(..first).next_back()
            && *end >= first
        {
            first = *before;
        }
        let run_stages: Vec<i64> = self.0.range(first..=last).map(|(first, _)| *first).collect();
        for other in run_stages {
            last = last.max(self.0.remove(&other).unwrap_or(last));
        }
        self.0.insert(first, last);
    }

    pub(super) fn has(&self, entry: i64) -> bool {
        self.0
            .range(..=entry)
            .next_back()
            .is_some_and(|(_, last)| entry <= *last)
    }

    pub(super) fn forget_through(&mut self, entry: i64) {
        while let Some(first) = self.0.first_entry()
            && *first.get() <= entry
        {
            first.remove();
        }
    }
}

/// The last entry before which every claimed page has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Watermark {
    through: i64,
    /// Pages under way: number, last entry, whether they have ended, whether they can.
    pages: BTreeMap<u64, ClaimedPage>,
    /// Pages under way that were claimed before their turn.
    holds: usize,
}

#[derive(Clone, Copy, Debug)]
struct ClaimedPage {
    last_entry: i64,
    ended: bool,
    whole: bool,
}

impl Watermark {
    /// Everything up to that entry is settled.
    pub(super) fn at(through: i64) -> Self {
        Self {
            through,
            ..Self::default()
        }
    }

    pub(super) fn claim(&mut self, number: u64, last_entry: i64, whole: bool) {
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

    /// Keeps the mark where it is until a page that was claimed before its turn is settled.
    pub(super) fn hold(&mut self) {
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

    pub(super) fn with(&self, numbers: &[Option<u64>]) -> i64 {
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
    fn the_mark_moves_only_over_what_has_ended() {
        let mut mark = Watermark::at(10);
        for page in 0..4 {
            mark.claim(page, 20 + page as i64, page != 3);
        }
        assert_eq!(mark.with(&[Some(1)]), 10);
        mark.settle(Some(1));
        assert_eq!(mark.through, 10);
        assert_eq!(mark.with(&[Some(0)]), 21);
        mark.settle(Some(0));
        assert_eq!(mark.through, 21);
        mark.settle(Some(2));
        mark.settle(Some(3));
        assert_eq!(
            mark.through, 22,
            "a page with entries that wait for a key holds the mark"
        );
        mark.claim(4, 30, true);
        mark.settle(Some(4));
        assert_eq!((mark.through, mark.pages.len()), (22, 1));
    }

    #[test]
    fn what_is_taken_twice_is_taken() {
        let mut taken = Taken::default();
        for (first, last) in [(10, 20), (21, 30), (50, 60), (10, 40), (55, 58), (35, 52), (100, 100)] {
            taken.add(first, last);
        }
        let is_taken = |taken: &Taken| (0..=101).filter(|entry| taken.has(*entry)).collect::<Vec<_>>();
        assert_eq!(is_taken(&taken), (10..=60).chain([100]).collect::<Vec<_>>());
        assert_eq!(taken.0.len(), 2);
        taken.forget_through(60);
        assert_eq!(is_taken(&taken), [100]);
    }

    #[test]
    fn no_mark_passes_over_what_was_claimed_before_its_turn() {
        let mut mark = Watermark::default();
        mark.claim(0, 10, true);
        mark.claim(1, 30, true);
        // Of the entries up to 30, some are under way on their own.
        mark.holds = 2;
        mark.settle(Some(0));
        assert_eq!((mark.through, mark.with(&[Some(1)])), (0, 0));
        mark.settle(None);
        assert_eq!((mark.through, mark.with(&[Some(1)])), (0, 0));
        assert_eq!(mark.with(&[Some(1), None]), 30);
        mark.settle(None);
        assert_eq!(mark.through, 10);
        mark.settle(Some(1));
        assert_eq!(mark.through, 30);
    }
}
