//! A backup that was complete and has changed: as a rule some keys have come in rooms that are in use, and the app knows
//! those. Asking for a few rooms is cheaper than everything, and the count tells whether that was all.
//!
//! A short cut, and no more: at the first obstacle the plan goes its usual way, with the patience that it takes.

use super::{
    fetch::{FetchEnd, FetchStage},
    request::RequestError,
    rooms::ROOM_CUTS_BEFORE_FILE,
};
use crate::{homeserver::KeysRequest, vault::VersionRow};

/// Rooms that are asked for, at most: each is a round trip.
const MOST_ROOMS: usize = 20;

impl FetchStage {
    /// Asks for the rooms that the app names first, one by one, until nothing is missing by the count, or until they would
    /// cost half as much as everything.
    pub(super) async fn latest_rooms(&self) -> Result<(), FetchEnd> {
        self.want_beside().await?;
        let mut cost = 0;
        for room_id in self.preferred_rooms().await?.into_iter().take(MOST_ROOMS) {
            let room = room_id.clone();
            let look = self.vault(move |writer, version| {
                let reader = writer.reader();
                Ok((
                    reader.version_by_id(version)?,
                    reader.room_is_complete(version, &room)?,
                    reader.room_size(version, &room)?,
                ))
            });
            let (version, is_here, (entries, cuts)) = look.await?;
            let Some(version) = version.filter(lacks_some) else {
                break;
            };
            if is_here || cuts >= ROOM_CUTS_BEFORE_FILE {
                continue;
            }
            cost += entries;
            if cost > version.counts.fetched / 2 || self.stop.winds_down() {
                break;
            }
            match self.ask(&KeysRequest::OneRoom(room_id)).await {
                Ok(()) => self.flush().await?,
                Err(RequestError::Stopped) => return Err(FetchEnd::Stopped),
                Err(RequestError::Ended(end)) => return Err(end),
                Err(_) => break,
            }
        }
        Ok(())
    }
}

fn lacks_some(version: &VersionRow) -> bool {
    version.counts.fetched.saturating_sub(version.surplus) < version.server_count
}
