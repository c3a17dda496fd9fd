//! A backup that was complete and has changed: as a rule some keys have come in rooms that are in use, and the app knows
//! those. Asking for a few rooms is cheaper than everything, and the count tells whether that was all.

use super::fetch::{FetchEnd, FetchStage};
use crate::homeserver::{Backoff, KeysRequest};

/// Rooms that are asked for, at most: each is a round trip.
const MOST_ROOMS: usize = 20;

impl FetchStage {
    /// Asks for the rooms that the app names first, one by one, until nothing is missing by the count, or until they would
    /// cost half as much as everything.
    pub(super) async fn latest_rooms(&self) -> Result<(), FetchEnd> {
        let mut cost = 0;
        for room_id in self.preferred_rooms().await?.into_iter().take(MOST_ROOMS) {
            let room = room_id.clone();
            let (version, is_here, entries) = self
                .vault(move |writer, version| {
                    let reader = writer.reader();
                    let is_here = reader.room_is_complete(version, &room)?;
                    Ok((
                        reader.version_by_id(version)?,
                        is_here,
                        reader.count_room_entries(version, &room)?,
                    ))
                })
                .await?;
            let Some(version) = version.filter(|version| version.counts.fetched < version.server_count) else {
                break;
            };
            cost += entries;
            if cost > version.counts.fetched / 2 {
                break;
            }
            if !is_here {
                self.latest_room(room_id).await?;
            }
        }
        Ok(())
    }

    async fn latest_room(&self, room_id: String) -> Result<(), FetchEnd> {
        let request = KeysRequest::OneRoom(room_id);
        let mut backoff = Backoff::default();
        loop {
            match self.ask(&request).await {
                Ok(()) => return self.flush().await,
                // Everything brings what it has; and a room that has no keys yet may be answered so.
                Err(error) if error.is_of_the_room() => return Ok(()),
                Err(error) if error.is_not_found() && self.version_is_there().await => return Ok(()),
                Err(error) => self.wait_or_end(&mut backoff, error).await?,
            }
        }
    }
}
