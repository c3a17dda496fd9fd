//! Which request comes next. Pure: facts in, a step out.
//!
//! There is no pagination and no Range: only "everything", "one room", "one session" (element-meta #2176). Everything is
//! one request, but starts over when it is cut; room by room survives interruption, but misses rooms that nobody knows
//! of. So: everything at once where it is likely to come through, else room by room and everything at the end, if the
//! count says that something is missing.

use std::cmp::Ordering;

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
    /// Keys in the backup, as the server says.
    pub(crate) server_count: u64,
    /// Keys of the version in the vault, those aside that were not on the server any more when all others were here.
    pub(crate) fetched: u64,
    /// A request for everything has come through to its end, and the backup has not changed since.
    pub(crate) complete: bool,
    /// It was so once, and the backup has changed since.
    pub(crate) was_complete: bool,
    /// The rooms that the app names first have been asked for in this run, for that reason.
    pub(crate) latest_rooms_asked: bool,
    /// How often a request for everything was cut, over all runs.
    pub(crate) cuts: u32,
    /// How often in this run, also where not even its beginning came.
    pub(crate) cuts_in_this_run: u32,
    /// The OS downloads into files, and this is a slice of time.
    pub(crate) files: bool,
    /// Rooms of the list have not been asked for; wanted ones count only once there is a list.
    pub(crate) rooms_left: bool,
    /// There are rooms that are wanted before all others. In a request for everything they are asked for beside it.
    pub(crate) rooms_wanted: bool,
    /// The list of rooms has been made.
    pub(crate) rooms_listed: bool,
    /// The server has been asked in this run how many keys it has, when the vault had more.
    pub(crate) counted_anew: bool,
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
    /// Ask how many keys there are: more have come than there were at the beginning.
    CountAnew,
    /// Even everything is always cut: leave it for a better time.
    GiveUpForNow,
    /// Nothing is missing.
    Done,
}

/// Decides the next step.
pub(crate) fn next_step(facts: &Facts) -> Step {
    if let Some(step) = step_after_a_change(facts) {
        return step;
    }
    if facts.complete {
        return Step::Done;
    }
    if facts.rooms_listed && !facts.rooms_left {
        match facts.fetched.cmp(&facts.server_count) {
            Ordering::Equal => return Step::Done,
            Ordering::Greater if !facts.counted_anew => return Step::CountAnew,
            // A count that is too low says nothing of what is missing.
            Ordering::Greater | Ordering::Less => {}
        }
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

/// What was complete lacks a few keys, as a rule, and the count tells when it does not any more. Where it lacks none, some have
/// been replaced. Where the vault has more than the server, the count tells nothing.
fn step_after_a_change(facts: &Facts) -> Option<Step> {
    if facts.complete || !facts.was_complete {
        return None;
    }
    match facts.fetched.cmp(&facts.server_count) {
        Ordering::Equal | Ordering::Less if !facts.latest_rooms_asked => Some(Step::LatestRooms),
        Ordering::Equal => Some(Step::Done),
        _ => None,
    }
}

fn likely_to_come_through(facts: &Facts) -> bool {
    let expected_ms = bytes_of(facts.server_count) / BYTES_PER_MS;
    let allowed_ms = facts
        .time_left_ms
        .map_or(PATIENCE_MS, |left| (left / 2).min(PATIENCE_MS));
    facts.cuts.max(facts.cuts_in_this_run) < CUTS_BEFORE_ROOMS && expected_ms <= allowed_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Facts = Facts {
        server_count: 20_000,
        fetched: 0,
        complete: false,
        was_complete: false,
        latest_rooms_asked: false,
        cuts: 0,
        cuts_in_this_run: 0,
        files: false,
        rooms_left: false,
        rooms_wanted: false,
        rooms_listed: false,
        counted_anew: false,
        time_left_ms: None,
    };

    #[test]
    fn a_small_backup_comes_in_one_piece() {
        assert_eq!(next_step(&FRESH), Step::Everything);
        assert_eq!(
            next_step(&Facts {
                time_left_ms: Some(30_000),
                ..FRESH
            }),
            Step::Everything
        );
        assert_eq!(
            next_step(&Facts {
                server_count: 0,
                ..FRESH
            }),
            Step::Everything
        );
    }

    #[test]
    fn what_will_not_fit_or_was_cut_is_taken_room_by_room() {
        for facts in [
            Facts {
                time_left_ms: Some(2_000),
                ..FRESH
            },
            Facts {
                server_count: 1_000_000,
                ..FRESH
            },
            Facts {
                cuts: CUTS_BEFORE_ROOMS,
                ..FRESH
            },
            Facts {
                server_count: u64::MAX,
                ..FRESH
            },
            Facts {
                cuts_in_this_run: CUTS_BEFORE_ROOMS,
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
                rooms_left: true,
                ..facts
            };
            assert_eq!(next_step(&listed), Step::Rooms);
        }
    }

    #[test]
    fn what_was_complete_and_has_grown_is_looked_for_where_the_app_is() {
        let grown = Facts {
            fetched: 19_990,
            was_complete: true,
            ..FRESH
        };
        assert_eq!(next_step(&grown), Step::LatestRooms);
        let asked = Facts {
            latest_rooms_asked: true,
            ..grown
        };
        assert_eq!(next_step(&asked), Step::Everything);
        let found = Facts {
            fetched: 20_000,
            ..asked
        };
        assert_eq!(next_step(&found), Step::Done);
        // Of what lacks nothing, something was replaced.
        let replaced = Facts {
            fetched: 20_000,
            ..grown
        };
        assert_eq!(next_step(&replaced), Step::LatestRooms);
        // Something was deleted: the count does not tell.
        let shrunk = Facts {
            fetched: 20_001,
            ..grown
        };
        assert_eq!(next_step(&shrunk), Step::Everything);
    }

    #[test]
    fn wanted_rooms_come_before_the_list_and_beside_everything() {
        let wanted = Facts {
            rooms_wanted: true,
            ..FRESH
        };
        assert_eq!(next_step(&wanted), Step::Everything);
        let cut = Facts {
            cuts: CUTS_BEFORE_ROOMS,
            ..wanted
        };
        assert_eq!(next_step(&cut), Step::Rooms);
    }

    #[test]
    fn after_the_rooms_everything_is_asked_for_only_if_something_is_missing() {
        let after = Facts {
            rooms_listed: true,
            ..FRESH
        };
        assert_eq!(
            next_step(&Facts {
                fetched: 20_000,
                ..after
            }),
            Step::Done
        );
        assert_eq!(
            next_step(&Facts {
                fetched: 19_999,
                ..after
            }),
            Step::Everything
        );
        // Some have come meanwhile, or the count is too low: then it proves nothing.
        let more = Facts {
            fetched: 20_001,
            ..after
        };
        assert_eq!(next_step(&more), Step::CountAnew);
        assert_eq!(
            next_step(&Facts {
                counted_anew: true,
                ..more
            }),
            Step::Everything
        );
        assert_eq!(
            next_step(&Facts {
                fetched: 19_999,
                cuts: 9,
                ..after
            }),
            Step::Everything
        );
        assert_eq!(
            next_step(&Facts {
                cuts_in_this_run: CUTS_BEFORE_PAUSE,
                ..after
            }),
            Step::GiveUpForNow
        );
        assert_eq!(
            next_step(&Facts {
                cuts: SWEEP_CUTS_BEFORE_FILE,
                files: true,
                ..after
            }),
            Step::EverythingByFile
        );
        // A count that lies cannot make it ask for ever: what came through to its end is complete.
        assert_eq!(
            next_step(&Facts {
                complete: true,
                ..after
            }),
            Step::Done
        );
    }
}
