//! Fetches what has changed in a backup that was complete. Usually some keys were added in rooms that are in use, and
//! the app knows those rooms. Requesting a few rooms is cheaper than requesting everything, and the count shows
//! whether that was all. If the count is unchanged, keys were replaced by better copies, also in rooms that are in
//! use; then only rooms whose keys could be better are requested.
//!
//! For added keys this is only a short cut: at the first obstacle the plan continues as usual, with its retries.

use super::{
    requests::RequestError,
    rooms::ROOM_CUTS_BEFORE_FILE,
    stage::{FetchEnd, FetchStage, ROOMS_PER_ROUND},
};
use crate::{homeserver::KeysRequest, vault::VaultError};

/// Maximum number of rooms that are requested this way: each is a round trip.
const MOST_ROOMS: usize = 20;
/// Maximum number of keys that are fetched again only for better copies: 9 MB. The key of a message on screen is
/// requested by itself.
const MOST_KEYS_FOR_BETTER_ONES: u64 = 10_000;

impl FetchStage {
    /// Requests the rooms that the app names first, one by one, until the count shows nothing missing, or until they
    /// would cost half as much as everything. If nothing is missing, requests the rooms whose keys may be better.
    pub(super) async fn latest_rooms(&self) -> Result<(), FetchEnd> {
        self.want_beside().await?;
        let mut cost = 0;
        let mut lacked_some = false;
        for room_id in self.preferred_rooms().await?.into_iter().take(MOST_ROOMS) {
            let room = room_id.clone();
            let look = self.vault(move |writer, version| {
                let reader = writer.reader();
                let row = reader.version_by_id(version)?.ok_or(VaultError::Corrupt)?;
                let is_done = reader.room_is_complete(version, &room)?
                    || (row.lacks() == 0 && !reader.room_may_be_better(version, &room)?);
                Ok((row, is_done, reader.room_size(version, &room)?))
            });
            let (version, is_done, (entries, cuts)) = look.await?;
            if lacked_some && version.lacks() == 0 {
                break;
            }
            lacked_some = version.lacks() > 0;
            if is_done || cuts >= ROOM_CUTS_BEFORE_FILE {
                continue;
            }
            cost += entries;
            if lacked_some && (cost > version.counts.fetched / 2 || self.phase.stop.winds_down()) {
                break;
            }
            if !lacked_some && cost > MOST_KEYS_FOR_BETTER_ONES {
                // A smaller room may still be worth it.
                cost -= entries;
                continue;
            }
            if !self.ask_for_changes(room_id, lacked_some).await? {
                break;
            }
        }
        Ok(())
    }

    /// Requests rooms with failed entries again: the entries may have been replaced by sound ones. A room that fails
    /// is postponed, and is requested in a later run.
    pub(super) async fn failed_rooms(&self) -> Result<(), FetchEnd> {
        loop {
            let rooms = self
                .vault(|writer, version| writer.reader().rooms_with_failures(version, ROOMS_PER_ROUND))
                .await?;
            if rooms.is_empty() {
                return self.vault(|writer, version| writer.mark_failed_asked(version)).await;
            }
            for room_id in rooms {
                if self.phase.stop.winds_down() {
                    return Err(FetchEnd::Stopped);
                }
                self.ask_or_postpone(&room_id).await?;
            }
            self.flush().await?;
        }
    }

    /// Requests one room. If everything is requested next, does not retry, and returns false if the room fails.
    /// Otherwise retries, and postpones the room if it fails.
    async fn ask_for_changes(&self, room_id: String, everything_is_next: bool) -> Result<bool, FetchEnd> {
        if self.phase.stop.winds_down() {
            return Err(FetchEnd::Stopped);
        }
        if !everything_is_next {
            self.ask_or_postpone(&room_id).await?;
            self.flush().await?;
            return Ok(true);
        }
        match self.ask(&KeysRequest::OneRoom(room_id)).await {
            Ok(()) => {
                self.flush().await?;
                Ok(true)
            }
            Err(RequestError::Stopped) => Err(FetchEnd::Stopped),
            Err(RequestError::Ended(end)) => Err(end),
            Err(_) => Ok(false),
        }
    }
}
