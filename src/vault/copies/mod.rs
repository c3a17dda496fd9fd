//! Stores sessions that the vault has several times: under another room, in another backup version, or as another
//! copy of the same entry.
//!
//! [`crate::backup::copies`] decides which copy counts; this module reads the facts for that decision and writes
//! its result. All changes to such a session are judged and counted in one transaction, by
//! [`change`](change::change).
//!
//! - `row`: one copy, and how it is read
//! - `change`: changes facts about the copies of a session, judges them, and updates the counters
//! - `place`: puts a copy into its class, and removes copies that are no longer needed
//! - `queries`: queries and updates for the rest of the crate

mod change;
mod place;
mod queries;
mod row;

pub(super) use change::{change, fail};
pub(super) use queries::settle;
pub(super) use row::{COUNTS, UNCONNECTED, UNSETTLED, name_of};
pub(crate) use row::{CopyState, Judged, Placement, StoredCopy, room_number};
