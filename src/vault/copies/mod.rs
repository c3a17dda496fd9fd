//! Sessions that the vault has several times: in another room, in another version, or as another copy of the same entry.
//!
//! Which copy counts is decided by [`crate::backup::copies`]; here what that is decided from is read and written. Everything
//! about such a session is decided and counted in one transaction, by [`change`](change::change).
//!
//! - `row`: a copy, and how it is read
//! - `change`: changing, judging and counting the copies of a session
//! - `place`: into which class a copy goes, and which copies make way for it
//! - `queries`: what the rest of the crate asks and says of copies

mod change;
mod place;
mod queries;
mod row;

pub(super) use change::{change, fail};
pub(super) use queries::settle;
pub(super) use row::{COUNTS, UNCONNECTED, UNSETTLED, name_of};
pub(crate) use row::{CopyState, Judged, Placement, StoredCopy, room_number};
