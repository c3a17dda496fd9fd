//! Fetches one key, or the keys of one room, for a message that cannot be decrypted right now: from the vault first,
//! then from the server.
//!
//! Works beside a run of this process or another one: every write is a separate transaction. Fetched entries take the
//! path of all entries: into the vault first, and to the sink in a run. The wait that a server asks for is shared
//! with runs.
//!
//! - `records`: results and errors
//! - `flight`: makes a request only once if several callers want the same thing
//! - `asking`: one request, if requests are allowed now
//! - `session`, `room`, `news`: the three operations

mod asking;
mod flight;
mod news;
mod records;
mod room;
mod session;

pub use records::{RoomFetch, ServerNews};

use std::sync::Arc;

use flight::Flights;
use session::WantedSession;

use crate::{
    download::KeyDownload,
    job::{AccessError, Jobs},
    lookup::{Lookup, RoomKeyLookup},
};

/// Fetches single keys and rooms, beside a run.
pub(crate) struct OnDemand {
    jobs: Arc<Jobs>,
    download: Arc<KeyDownload>,
    lookup: Arc<Lookup>,
    session_flights: Flights<WantedSession, Result<RoomKeyLookup, AccessError>>,
    room_flights: Flights<String, Result<RoomFetch, AccessError>>,
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
