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

pub use records::{OnDemandError, RoomFetch, ServerNews};

use std::sync::Arc;

use flight::Flights;
use session::WantedSession;

use crate::{
    download::KeyDownload,
    job::Jobs,
    lookup::{Lookup, RoomKeyLookup},
};

/// Gets single keys and rooms, beside whatever runs.
pub(crate) struct OnDemand {
    jobs: Arc<Jobs>,
    download: Arc<KeyDownload>,
    lookup: Arc<Lookup>,
    session_flights: Flights<WantedSession, Result<RoomKeyLookup, OnDemandError>>,
    room_flights: Flights<String, Result<RoomFetch, OnDemandError>>,
}

impl OnDemand {
    pub(crate) fn new(jobs: Arc<Jobs>, download: Arc<KeyDownload>, lookup: Arc<Lookup>) -> Self {
        Self {
            jobs,
            download,
            lookup,
            session_flights: Flights::default(),
            room_flights: Flights::default(),
        }
    }
}
