//! Tests of the plan: facts in, a step out.

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
    is_anything_failing: false,
    is_everything_failing: false,
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
fn a_small_backup_is_fetched_in_one_request() {
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
fn a_backup_that_is_too_large_or_was_cut_is_fetched_room_by_room() {
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
        // A fetch that began room by room continues that way.
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
fn a_settled_version_that_changed_asks_for_the_latest_rooms_first() {
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
    // The mark has moved, nothing is missing, and nothing that was seen explains it: the count may be wrong.
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
    // There are more names than the server counts: its count proves nothing.
    assert_eq!(
        next_step(&Facts {
            has_changed: true,
            ..having(20_001)
        }),
        Step::Everything
    );
}

#[test]
fn rooms_with_failures_are_requested_once_for_each_mark() {
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
fn wanted_rooms_are_fetched_before_the_room_list_is_requested() {
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
fn all_keys_are_requested_after_the_rooms_only_if_some_are_missing() {
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
    // A count that is too low proves nothing.
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
fn missing_keys_are_requested_room_by_room_before_a_version_is_short() {
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
    // A room that does not answer keeps the version open.
    let sick = Facts {
        evidence: Evidence {
            is_anything_failing: true,
            rooms_have_answered: false,
            ..answered
        },
        ..both
    };
    assert_eq!(next_step(&sick), Step::Rest);
    let neither = Facts {
        evidence: Evidence {
            is_anything_failing: true,
            is_everything_failing: true,
            ..EVIDENCE
        },
        everything_rests: true,
        rooms_listed: true,
        rooms_listed_in_era: true,
        ..FRESH
    };
    assert_eq!(next_step(&neither), Step::Rest);
    // Without an answer for everything, every room must be checked for new keys, once under each mark.
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
