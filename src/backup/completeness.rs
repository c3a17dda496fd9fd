//! Decides from a version's answers whether the version is complete. Pure, and the only place that decides this.
//!
//! A version has a *mark*: its etag and the server's count. Its *names* are the distinct pairs of room and session in
//! well-formed answers under that mark, whether their entries were kept or not. A count is only the server's claim
//! and may be wrong in any way: missing, zero, constant, too low or too high. It can show that something is missing
//! and, where the answers agree with it, that nothing is; it never ends a download by itself.

/// Why nothing is left to ask for under a version's current mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// A request for everything was answered to its well-formed end, the mark was the same before and after, and
    /// there are at least as many names as the server counts.
    Whole,
    /// Room by room, or by what has arrived since the version was last settled, there are at least as many names as
    /// the server counts.
    Counted,
    /// Asked for everything and room by room, the server does not return all the keys that it counts. If the
    /// shortfall is known or accepted, one of the two ways is enough.
    Short,
}

impl Settled {
    /// Returns the number that the vault keeps; 0 means "not settled".
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::Whole => 1,
            Self::Counted => 2,
            Self::Short => 3,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        [Self::Whole, Self::Counted, Self::Short]
            .into_iter()
            .find(|settled| settled.code() == code)
    }
}

/// The state of a version's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Keys that the server counts; `None` if it reports no count.
    pub(crate) count: Option<u64>,
    /// Number of names in well-formed answers.
    pub(crate) names: u64,
    /// Number of names when a request for everything was answered to its well-formed end under this mark; `None` if
    /// none was.
    pub(crate) everything: Option<u64>,
    /// Every known room has been asked for, and has answered, since the room list was made under this mark.
    pub(crate) rooms_have_answered: bool,
    /// Some of these answers are from an earlier mark, or a known room is in no list and was not asked for
    /// separately.
    pub(crate) has_older_answers: bool,
    /// The version was settled under an earlier mark, and what has changed since is accounted for: there are new
    /// names, or a replaced entry was found.
    pub(crate) change_is_explained: bool,
    /// A room, or the request for everything, is failing now.
    pub(crate) is_anything_failing: bool,
    /// The request for everything is failing now.
    pub(crate) is_everything_failing: bool,
    /// How many names were missing when the version was last short, under an earlier mark.
    pub(crate) known_shortfall: Option<u64>,
    /// How many names may be missing, as accepted by the app.
    pub(crate) accepted: Option<u64>,
}

impl Evidence {
    /// Returns how many keys the server counts but has not returned.
    pub(crate) fn missing(&self) -> u64 {
        self.count.unwrap_or(0).saturating_sub(self.names)
    }

    /// Decides the state of the version. Returns `None` while there is more to ask for. The result holds only if the
    /// mark is still the same.
    pub(crate) fn settled(&self) -> Option<Settled> {
        if self.everything.is_some_and(|names| names >= self.count.unwrap_or(0)) {
            return Some(Settled::Whole);
        }
        match self.count {
            // Without a count, or with a count of zero, only an answer for everything proves completeness.
            None | Some(0) => None,
            Some(count) if self.names >= count => self.is_counted(count).then_some(Settled::Counted),
            Some(_) => self.is_short().then_some(Settled::Short),
        }
    }

    fn is_counted(&self, count: u64) -> bool {
        let is_exact = self.names == count;
        // With more names than the server counts, its count is too low and proves nothing, so everything is asked for
        // if that works.
        let nothing_else_can_be_had = self.everything.is_some() || self.is_everything_failing;
        let by_rooms = match is_exact {
            true => self.rooms_have_answered,
            false => self.all_rooms_have_answered() && nothing_else_can_be_had,
        };
        by_rooms || (is_exact && self.change_is_explained)
    }

    /// Whether every known room has answered under this mark.
    fn all_rooms_have_answered(&self) -> bool {
        self.rooms_have_answered && !self.has_older_answers
    }

    fn is_short(&self) -> bool {
        if self.is_anything_failing {
            return false;
        }
        let both_ways = self.everything.is_some() && self.all_rooms_have_answered();
        let one_way = self.everything.is_some() || self.all_rooms_have_answered();
        let is_known = |most: Option<u64>| most.is_some_and(|most| self.missing() <= most);
        both_ways || (one_way && (is_known(self.known_shortfall) || is_known(self.accepted)))
    }
}

/// Whether names that were counted under an earlier mark still count. They do unless something was deleted or the
/// count was wrong; then counting starts over. `settled_names` is the number of names when the version was settled
/// under the earlier mark, if it was.
pub(crate) fn names_are_carried(
    names: u64,
    settled_names: Option<u64>,
    old_count: Option<u64>,
    new_count: Option<u64>,
) -> bool {
    match (old_count, new_count) {
        (Some(old), Some(new)) => new >= old && new >= names && settled_names.is_none_or(|names| names <= old),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Evidence = Evidence {
        count: Some(10),
        names: 5,
        everything: None,
        rooms_have_answered: false,
        has_older_answers: false,
        change_is_explained: false,
        is_anything_failing: false,
        is_everything_failing: false,
        known_shortfall: None,
        accepted: None,
    };

    #[test]
    fn a_complete_answer_proves_the_keys_that_it_contains() {
        let ended = |count, names| Evidence {
            count,
            names,
            everything: Some(names),
            ..HALF
        };
        assert_eq!(ended(Some(10), 10).settled(), Some(Settled::Whole));
        // A count that is too low, zero or missing neither ends the download early nor keeps it open.
        assert_eq!(ended(Some(3), 10).settled(), Some(Settled::Whole));
        assert_eq!(ended(Some(0), 0).settled(), Some(Settled::Whole));
        assert_eq!(ended(None, 7).settled(), Some(Settled::Whole));
        // An empty answer, or one that leaves something out, proves nothing.
        assert_eq!(ended(Some(10), 0).settled(), None);
        // Names that rooms brought later were not in that answer.
        let later = Evidence {
            names: 10,
            everything: Some(4),
            rooms_have_answered: true,
            ..HALF
        };
        assert_eq!(later.settled(), Some(Settled::Counted));
    }

    #[test]
    fn a_count_settles_a_version_only_with_matching_answers() {
        let rooms = |count, names| Evidence {
            count,
            names,
            rooms_have_answered: true,
            ..HALF
        };
        assert_eq!(rooms(Some(10), 10).settled(), Some(Settled::Counted));
        assert_eq!(rooms(Some(10), 9).settled(), None);
        for count in [None, Some(0), Some(8)] {
            assert_eq!(rooms(count, 10).settled(), None, "{count:?}");
        }
        let sick = Evidence {
            is_anything_failing: true,
            is_everything_failing: true,
            ..rooms(Some(8), 10)
        };
        assert_eq!(sick.settled(), Some(Settled::Counted));
        let older = Evidence {
            has_older_answers: true,
            ..sick
        };
        assert_eq!(older.settled(), None, "there may be more by now");
        let grown = Evidence {
            names: 10,
            change_is_explained: true,
            ..HALF
        };
        assert_eq!(grown.settled(), Some(Settled::Counted));
        assert_eq!(
            Evidence {
                change_is_explained: false,
                ..grown
            }
            .settled(),
            None
        );
        // More names have arrived than the count has grown by, so the count is wrong.
        assert_eq!(Evidence { names: 11, ..grown }.settled(), None);
    }

    #[test]
    fn a_version_is_short_if_neither_way_of_fetching_reaches_its_count() {
        let both = Evidence {
            everything: Some(5),
            rooms_have_answered: true,
            ..HALF
        };
        assert_eq!((both.settled(), both.missing()), (Some(Settled::Short), 5));
        assert_eq!(
            Evidence {
                is_anything_failing: true,
                ..both
            }
            .settled(),
            None
        );
        let older = Evidence {
            has_older_answers: true,
            ..both
        };
        assert_eq!(older.settled(), None);
        let one = Evidence {
            rooms_have_answered: false,
            ..both
        };
        assert_eq!(one.settled(), None);
        for (known, settled) in [(4, None), (5, Some(Settled::Short))] {
            let known_shortfall = Evidence {
                known_shortfall: Some(known),
                ..one
            };
            assert_eq!(known_shortfall.settled(), settled, "{known}");
            assert_eq!(
                Evidence {
                    accepted: Some(known),
                    ..one
                }
                .settled(),
                settled,
                "{known}"
            );
        }
        assert_eq!(
            Evidence {
                known_shortfall: Some(9),
                ..HALF
            }
            .settled(),
            None
        );
    }

    #[test]
    fn names_are_kept_unless_the_counts_contradict_them() {
        let table = [
            (5, None, Some(10), Some(10), true),
            (5, None, Some(10), Some(12), true),
            (10, Some(10), Some(10), Some(12), true),
            (10, None, Some(10), Some(9), false),
            // The count was too low.
            (20, None, Some(10), Some(11), false),
            (12, Some(12), Some(10), Some(14), false),
            // More keys were added while the version was fetched.
            (12, None, Some(10), Some(14), true),
            (5, None, None, Some(10), false),
            (5, None, Some(10), None, false),
        ];
        for (names, settled, old, new, carried) in table {
            let is_carried = names_are_carried(names, settled, old, new);
            assert_eq!(is_carried, carried, "{names} {settled:?} {old:?} {new:?}");
        }
    }
}
