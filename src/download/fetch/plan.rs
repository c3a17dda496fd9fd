//! Which request comes next. Pure: facts in, a step out.
//!
//! There is no pagination and no Range: only "everything", "one room", "one session" (element-meta #2176). Everything is
//! one request, but starts over when it is cut; room by room survives interruption, but misses rooms that nobody knows
//! of. So: everything at once where it is likely to come through, else room by room and everything at the end, if the
//! count says that something is missing. Where one way does not bring what the server counts, the other is tried once.
//! Whether that is enough, [`Evidence::settled`] says.

use crate::backup::completeness::Evidence;

/// Bytes that an entry takes on the wire, on average.
const BYTES_PER_KEY: u64 = 860;
/// A mobile network on an average day, in bytes a millisecond (16 Mbit/s).
const BYTES_PER_MS: u64 = 2_000;
/// With no budget to keep, a request for everything should take no longer than this on such a network.
const PATIENCE_MS: u64 = 60_000;
/// How often a request for everything may be cut before it is taken in parts.
const CUTS_BEFORE_ROOMS: u32 = 2;
/// How often everything may be cut, over all runs, before it is left to the OS.
pub(crate) const SWEEP_CUTS_BEFORE_FILE: u32 = CUTS_BEFORE_ROOMS + 1;
/// Everything is asked for again and again only this often, where even that is always cut.
const CUTS_BEFORE_PAUSE: u32 = 3;

/// Bytes that so many keys take on the wire, about.
pub(crate) fn bytes_of(keys: u64) -> u64 {
    keys.saturating_mul(BYTES_PER_KEY)
}

/// What the plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What the answers so far have shown.
    pub(crate) evidence: Evidence,
    /// Nothing is left to be asked for under this mark.
    pub(crate) is_settled: bool,
    /// It was settled once, and its mark has moved since.
    pub(crate) has_changed: bool,
    /// The rooms that the app names first have been asked for in this run, for that reason.
    pub(crate) latest_rooms_asked: bool,
    /// There are rooms with entries that failed, which have not been asked for under this mark.
    pub(crate) has_failures_to_ask: bool,
    /// How often a request for everything was cut, over all runs.
    pub(crate) cuts: u32,
    /// How often in this run, also where not even its beginning came.
    pub(crate) cuts_in_this_run: u32,
    /// The request for everything has failed, and waits for its time.
    pub(crate) everything_rests: bool,
    /// The OS downloads into files, and this is a slice of time.
    pub(crate) files: bool,
    /// Rooms of the list have not been asked for; wanted ones count only once there is a list.
    pub(crate) rooms_left: bool,
    /// There are rooms that are wanted before all others. In a request for everything they are asked for beside it.
    pub(crate) rooms_wanted: bool,
    /// The list of rooms has been made lately.
    pub(crate) rooms_listed: bool,
    /// It has been made under this mark.
    pub(crate) rooms_listed_in_era: bool,
    /// Milliseconds that the run still has.
    pub(crate) time_left_ms: Option<u64>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask for the rooms that the app names first, and see whether anything is missing then.
    LatestRooms,
    /// Ask for everything.
    Everything,
    /// Let the OS download everything into a file, and read that.
    EverythingByFile,
    /// Make the list of rooms.
    ListRooms,
    /// Ask for the next rooms.
    Rooms,
    /// Ask once more for rooms that have been read under an earlier mark, and for those that are in no list.
    RoomsAgain,
    /// Ask once more for rooms with entries that failed: they may have been replaced.
    FailedRooms,
    /// Look whether the mark is still the same, and settle the version if it is.
    Settle,
    /// Even everything is always cut: leave it for a better time.
    GiveUpForNow,
    /// What is left does not come through now.
    Rest,
    /// Nothing is left to be asked for.
    Done,
}

/// Decides the next step.
pub(crate) fn next_step(facts: &Facts) -> Step {
    if facts.has_failures_to_ask && (facts.is_settled || facts.has_changed) {
        return Step::FailedRooms;
    }
    if facts.is_settled {
        return Step::Done;
    }
    let evidence = &facts.evidence;
    // Of what was settled a few keys lack, as a rule; the rooms in use are cheaper than everything.
    if facts.has_changed && !facts.latest_rooms_asked && evidence.count.is_some_and(|count| evidence.names <= count) {
        return Step::LatestRooms;
    }
    if evidence.settled().is_some() {
        return Step::Settle;
    }
    if evidence.everything.is_some() {
        return after_everything(facts);
    }
    if facts.everything_rests {
        return without_everything(facts);
    }
    if !facts.rooms_listed && !facts.rooms_left && likely_to_come_through(facts) {
        return Step::Everything;
    }
    if facts.rooms_wanted {
        return Step::Rooms;
    }
    if !facts.rooms_listed {
        return Step::ListRooms;
    }
    if facts.rooms_left {
        return Step::Rooms;
    }
    if facts.files && facts.cuts >= SWEEP_CUTS_BEFORE_FILE {
        return Step::EverythingByFile;
    }
    if facts.cuts_in_this_run >= CUTS_BEFORE_PAUSE {
        return Step::GiveUpForNow;
    }
    Step::Everything
}

/// Everything has come, and it was not all that the server counts: what is missing may come room by room.
fn after_everything(facts: &Facts) -> Step {
    match (facts.rooms_listed_in_era, facts.rooms_left) {
        (false, _) => Step::ListRooms,
        (true, true) => Step::Rooms,
        (true, false) if facts.evidence.has_older_answers => Step::RoomsAgain,
        (true, false) => Step::Rest,
    }
}

/// Everything does not come at once now: what can be had comes room by room.
fn without_everything(facts: &Facts) -> Step {
    match (facts.rooms_listed && facts.rooms_listed_in_era, facts.rooms_left) {
        (false, _) => Step::ListRooms,
        (true, true) => Step::Rooms,
        (true, false) if facts.evidence.has_older_answers => Step::RoomsAgain,
        (true, false) => Step::Rest,
    }
}

fn likely_to_come_through(facts: &Facts) -> bool {
    let expected_ms = bytes_of(facts.evidence.count.unwrap_or(0)) / BYTES_PER_MS;
    let allowed_ms = facts
        .time_left_ms
        .map_or(PATIENCE_MS, |left| (left / 2).min(PATIENCE_MS));
    facts.cuts.max(facts.cuts_in_this_run) < CUTS_BEFORE_ROOMS && expected_ms <= allowed_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Facts = Facts {
        evidence: EVIDENCE,
        is_settled: false,
        has_changed: false,
        latest_rooms_asked: false,
        has_failures_to_ask: false,
        cuts: 0,
        cuts_in_this_run: 0,
        everything_rests: false,
        files: false,
        rooms_left: false,
        rooms_wanted: false,
        rooms_listed: false,
        rooms_listed_in_era: false,
        time_left_ms: None,
    };

    const EVIDENCE: Evidence = Evidence {
        count: Some(20_000),
        names: 0,
        everything: None,
        rooms_have_answered: false,
        has_older_answers: false,
        change_is_explained: false,
        is_anything_sick: false,
        is_everything_sick: false,
        known_shortfall: None,
        accepted: None,
    };

    fn having(names: u64) -> Facts {
        Facts {
            evidence: Evidence { names, ..EVIDENCE },
            ..FRESH
        }
    }

    #[test]
    fn a_small_backup_comes_in_one_piece() {
        let with_time = Facts {
            time_left_ms: Some(30_000),
            ..FRESH
        };
        for facts in [FRESH, with_time] {
            assert_eq!(next_step(&facts), Step::Everything);
        }
        for count in [None, Some(0)] {
            let evidence = Evidence { count, ..EVIDENCE };
            assert_eq!(next_step(&Facts { evidence, ..FRESH }), Step::Everything);
        }
    }

    #[test]
    fn what_will_not_fit_or_was_cut_is_taken_room_by_room() {
        let counting = |count| Evidence {
            count: Some(count),
            ..EVIDENCE
        };
        for facts in [
            Facts {
                time_left_ms: Some(2_000),
                ..FRESH
            },
            Facts {
                evidence: counting(1_000_000),
                ..FRESH
            },
            Facts {
                evidence: counting(u64::MAX),
                ..FRESH
            },
            Facts {
                cuts: CUTS_BEFORE_ROOMS,
                ..FRESH
            },
            Facts {
                cuts_in_this_run: CUTS_BEFORE_ROOMS,
                ..FRESH
            },
            Facts {
                everything_rests: true,
                ..FRESH
            },
            // Begun room by room, it is gone on with room by room.
            Facts {
                rooms_left: true,
                ..FRESH
            },
        ] {
            assert_eq!(next_step(&facts), Step::ListRooms, "{facts:?}");
            let listed = Facts {
                rooms_listed: true,
                rooms_listed_in_era: true,
                rooms_left: true,
                ..facts
            };
            assert_eq!(next_step(&listed), Step::Rooms);
        }
    }

    #[test]
    fn what_was_settled_and_has_changed_is_looked_for_where_the_app_is() {
        let grown = Facts {
            has_changed: true,
            ..having(19_990)
        };
        assert_eq!(next_step(&grown), Step::LatestRooms);
        let asked = Facts {
            latest_rooms_asked: true,
            ..grown
        };
        assert_eq!(next_step(&asked), Step::Everything);
        let found = Evidence {
            names: 20_000,
            change_is_explained: true,
            ..EVIDENCE
        };
        assert_eq!(
            next_step(&Facts {
                evidence: found,
                ..asked
            }),
            Step::Settle
        );
        // The mark has moved, nothing lacks, and nothing that was seen explains it: the count may be wrong.
        let unexplained = Evidence {
            change_is_explained: false,
            ..found
        };
        assert_eq!(
            next_step(&Facts {
                evidence: unexplained,
                ..asked
            }),
            Step::Everything
        );
        // More than the server counts: its count tells nothing.
        assert_eq!(
            next_step(&Facts {
                has_changed: true,
                ..having(20_001)
            }),
            Step::Everything
        );
    }

    #[test]
    fn what_failed_is_asked_for_once_more_under_each_mark() {
        let failed = Facts {
            has_failures_to_ask: true,
            ..FRESH
        };
        assert_eq!(next_step(&failed), Step::Everything);
        assert_eq!(
            next_step(&Facts {
                has_changed: true,
                ..failed
            }),
            Step::FailedRooms
        );
        let settled = Facts {
            is_settled: true,
            ..failed
        };
        assert_eq!(next_step(&settled), Step::FailedRooms);
        assert_eq!(
            next_step(&Facts {
                has_failures_to_ask: false,
                ..settled
            }),
            Step::Done
        );
    }

    #[test]
    fn wanted_rooms_come_before_the_list_and_beside_everything() {
        let wanted = Facts {
            rooms_wanted: true,
            ..FRESH
        };
        assert_eq!(next_step(&wanted), Step::Everything);
        assert_eq!(
            next_step(&Facts {
                cuts: CUTS_BEFORE_ROOMS,
                ..wanted
            }),
            Step::Rooms
        );
    }

    #[test]
    fn after_the_rooms_everything_is_asked_for_only_if_something_is_missing() {
        let after = |names| Facts {
            evidence: Evidence {
                names,
                rooms_have_answered: true,
                ..EVIDENCE
            },
            rooms_listed: true,
            rooms_listed_in_era: true,
            ..FRESH
        };
        assert_eq!(next_step(&after(20_000)), Step::Settle);
        assert_eq!(next_step(&after(19_999)), Step::Everything);
        // The count is too low: then it proves nothing.
        assert_eq!(next_step(&after(20_001)), Step::Everything);
        assert_eq!(
            next_step(&Facts {
                cuts: 9,
                ..after(19_999)
            }),
            Step::Everything
        );
        let cut = Facts {
            cuts_in_this_run: CUTS_BEFORE_PAUSE,
            ..after(19_999)
        };
        assert_eq!(next_step(&cut), Step::GiveUpForNow);
        let by_file = Facts {
            cuts: SWEEP_CUTS_BEFORE_FILE,
            files: true,
            ..after(19_999)
        };
        assert_eq!(next_step(&by_file), Step::EverythingByFile);
    }

    #[test]
    fn what_everything_lacks_is_asked_for_room_by_room_and_then_it_is_short() {
        let ended = |names| Evidence {
            names,
            everything: Some(names),
            ..EVIDENCE
        };
        let whole = Facts {
            evidence: ended(20_000),
            ..FRESH
        };
        assert_eq!(next_step(&whole), Step::Settle);
        let lacking = Facts {
            evidence: ended(19_000),
            ..FRESH
        };
        assert_eq!(next_step(&lacking), Step::ListRooms);
        let listed = Facts {
            rooms_listed: true,
            rooms_listed_in_era: true,
            rooms_left: true,
            ..lacking
        };
        assert_eq!(next_step(&listed), Step::Rooms);
        let answered = Evidence {
            rooms_have_answered: true,
            ..ended(19_000)
        };
        let both = Facts {
            evidence: answered,
            rooms_left: false,
            ..listed
        };
        assert_eq!(next_step(&both), Step::Settle);
        // A room that does not answer keeps it open.
        let sick = Facts {
            evidence: Evidence {
                is_anything_sick: true,
                rooms_have_answered: false,
                ..answered
            },
            ..both
        };
        assert_eq!(next_step(&sick), Step::Rest);
        let neither = Facts {
            evidence: Evidence {
                is_anything_sick: true,
                is_everything_sick: true,
                ..EVIDENCE
            },
            everything_rests: true,
            rooms_listed: true,
            rooms_listed_in_era: true,
            ..FRESH
        };
        assert_eq!(next_step(&neither), Step::Rest);
        // Without everything, what has come since must be looked for in every room, once for each mark.
        let older = Facts {
            evidence: Evidence {
                has_older_answers: true,
                ..neither.evidence
            },
            ..neither
        };
        assert_eq!(next_step(&older), Step::RoomsAgain);
        let unlisted = Facts {
            rooms_listed_in_era: false,
            ..older
        };
        assert_eq!(next_step(&unlisted), Step::ListRooms);
    }
}
