//! Decides which request comes next. Pure: facts in, a step out.
//!
//! There is no pagination and no Range: only "everything", "one room", "one session" (element-meta #2176). Everything
//! is one request, but starts over when it is cut off; room by room survives interruption, but misses unknown rooms.
//! So the plan requests everything at once if that is likely to succeed. Otherwise it goes room by room, and requests
//! everything at the end if the count says that something is missing. If one way does not bring what the server
//! counts, the plan tries the other one once. [`Evidence::settled`] decides whether that is enough.

use crate::backup::{completeness::Evidence, limits::USUAL_ENTRY_BYTES};

/// Speed of a mobile network on an average day, in bytes per millisecond (16 Mbit/s).
const BYTES_PER_MS: u64 = 2_000;
/// Without a budget, the longest that a request for everything should take on such a network.
const PATIENCE_MS: u64 = 60_000;
/// How often a request for everything may be cut off before the plan goes room by room.
const CUTS_BEFORE_ROOMS: u32 = 2;
/// How often a request for everything may be cut off, over all runs, before it is left to the OS.
pub(crate) const SWEEP_CUTS_BEFORE_FILE: u32 = CUTS_BEFORE_ROOMS + 1;
/// How often requests for everything may be cut off in one run before they are postponed to a later run.
const CUTS_BEFORE_PAUSE: u32 = 3;

/// Returns roughly how many bytes this many keys take on the wire.
pub(crate) fn bytes_of(keys: u64) -> u64 {
    keys.saturating_mul(USUAL_ENTRY_BYTES)
}

/// The facts that the plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What the answers so far have shown.
    pub(crate) evidence: Evidence,
    /// Whether nothing is left to request under the mark that the version has now.
    pub(crate) is_settled: bool,
    /// Whether the version was settled once, and its mark has moved since.
    pub(crate) has_changed: bool,
    /// Whether the rooms that the app names first were requested in this run because the mark moved.
    pub(crate) latest_rooms_asked: bool,
    /// Whether there are rooms with failed entries that were not requested under this mark.
    pub(crate) has_failures_to_ask: bool,
    /// How often a request for everything was cut off, over all runs.
    pub(crate) cuts: u32,
    /// How often a request for everything was cut off in this run, even before its first byte.
    pub(crate) cuts_in_this_run: u32,
    /// Whether the request for everything has failed, and is postponed.
    pub(crate) everything_rests: bool,
    /// Whether the OS can download into files, and the run has a budget.
    pub(crate) files: bool,
    /// Whether rooms of the list were not requested yet. Wanted rooms count only once there is a list.
    pub(crate) rooms_left: bool,
    /// Whether there are rooms that are wanted before all others. They are requested beside a request for everything.
    pub(crate) rooms_wanted: bool,
    /// Whether the list of rooms was made recently.
    pub(crate) rooms_listed: bool,
    /// Whether the list of rooms was made under this mark.
    pub(crate) rooms_listed_in_era: bool,
    /// Milliseconds left for the run; `None` if it has no budget.
    pub(crate) time_left_ms: Option<u64>,
}

/// The next step of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Request the rooms that the app names first, and check whether anything is missing then.
    LatestRooms,
    /// Request everything.
    Everything,
    /// Let the OS download everything into a file, and read that.
    EverythingByFile,
    /// Make the list of rooms.
    ListRooms,
    /// Request the next rooms.
    Rooms,
    /// Request again the rooms that were read under an earlier mark, and those that are on no list.
    RoomsAgain,
    /// Request rooms with failed entries again: the entries may have been replaced.
    FailedRooms,
    /// Check whether the mark is still the same, and settle the version if it is.
    Settle,
    /// Postpone the request for everything, which is always cut off.
    GiveUpForNow,
    /// End the run: only postponed requests are left.
    Rest,
    /// Nothing is left to request.
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
    // Usually a few keys were added; requesting the rooms in use is cheaper than requesting everything.
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

/// Returns the step after everything has come with fewer names than the server counts: missing keys may come room by
/// room.
fn after_everything(facts: &Facts) -> Step {
    match (facts.rooms_listed_in_era, facts.rooms_left) {
        (false, _) => Step::ListRooms,
        (true, true) => Step::Rooms,
        (true, false) if facts.evidence.has_older_answers => Step::RoomsAgain,
        (true, false) => Step::Rest,
    }
}

/// Returns the step while the request for everything is postponed: keys may come room by room.
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
#[path = "plan_tests.rs"]
mod tests;
