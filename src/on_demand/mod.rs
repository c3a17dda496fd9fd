//! A key, or a room's keys, for a message that cannot be decrypted right now: vault first, then the server.
//!
//! Beside a run, of this process or another: every write is a transaction of its own. What is fetched here goes the way of
//! all entries: into the vault first, and to the sink in a run. The server's wish to be left in peace is shared with runs.
//!
//! - `records`: what is answered
//! - `flight`: the same thing is asked for once
//! - `asking`: one request, if it may be made now
//! - `session`, `room`, `news`: what is asked for

mod asking;
mod flight;
mod news;
mod records;
mod room;
mod session;

pub(crate) use flight::Flights;
pub use records::{OnDemandError, RoomFetch, ServerNews};
pub(crate) use session::WantedSession;
