//! Fetches room by room: the list of rooms, their order, wanted rooms, and rooms that come as files.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{
    file::{FromFile, waits_for_file},
    requests::RequestError,
    stage::{FetchEnd, FetchStage, ROOMS_PER_ROUND},
};
use crate::{
    backup::limits::MAX_ID_BYTES,
    clock::wall_ms,
    homeserver::{KeysRequest, Meaning, Retry, Verdict, rest_after},
    locked::locked,
    random::dice,
    vault::{Fault, RoomToFetch},
};

/// Maximum number of rooms that are requested at the same time in a run with a budget: pending answers share the link
/// with the one that is read, and are lost when time is up.
const ROOMS_AT_ONCE_IN_A_SLICE: usize = 2;
/// How often the answer for a room is cut off before the room is left to the OS, if the OS can download into files.
pub(super) const ROOM_CUTS_BEFORE_FILE: u32 = 2;
/// How long the plan waits for a room that is being requested beside it.
const LOOK_BESIDE: Duration = Duration::from_millis(50);
/// How often a room is requested in a run before it is postponed.
const TRIES_OF_A_ROOM: u32 = 2;
/// Rooms that fail in a row before a small request checks whether the server itself fails.
const FAILURES_BEFORE_A_LOOK: u32 = 3;
/// How long the next wanted room waits after the last ones failed repeatedly.
const BETWEEN_WANTED_ROOMS: Duration = Duration::from_secs(30);
/// Rooms of the list that are written in one transaction.
const ROOMS_PER_NOTE: usize = 1_000;

impl FetchStage {
    /// Fetches wanted rooms beside the plan. Returns only if fetching cannot continue.
    pub(super) async fn wanted_rooms(&self) -> FetchEnd {
        let mut retry = Retry::default();
        loop {
            let room_id = self.phase.download.wanted.next().await;
            if self.phase.stop.winds_down() {
                // The next run finds it at the front of the list.
                return std::future::pending().await;
            }
            match self.wanted_room(&room_id).await {
                Ok(()) => {
                    retry.reset();
                    self.open_first(room_id);
                }
                Err(RequestError::Ended(end)) => return end,
                Err(RequestError::Stopped) => return FetchEnd::Stopped,
                Err(error) if error.is_of_the_room() => {}
                // The plan requests this room later. The next wanted room waits first, however often requests have
                // failed.
                Err(RequestError::Homeserver(error) | RequestError::Cut(error)) => {
                    let wait = match retry.after(&error) {
                        Verdict::Retry(wait) => wait,
                        Verdict::Later(_) | Verdict::GiveUp => {
                            retry.reset();
                            BETWEEN_WANTED_ROOMS
                        }
                    };
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn wanted_room(&self, room_id: &str) -> Result<(), RequestError> {
        let room = room_id.to_owned();
        let is_here = self
            .vault(move |writer, version| writer.reader().room_is_complete(version, &room))
            .await
            .map_err(RequestError::Ended)?;
        if is_here {
            return Ok(());
        }
        self.set_beside(Some(room_id.to_owned()));
        let result = match self.ask(&KeysRequest::OneRoom(room_id.to_owned())).await {
            Ok(()) => self.flush().await.map_err(RequestError::Ended),
            Err(error) => Err(error),
        };
        self.set_beside(None);
        result
    }

    fn set_beside(&self, room_id: Option<String>) {
        *locked(&self.asked_beside) = room_id;
    }

    /// Queues the wanted rooms of the list, to be requested beside a request for everything.
    pub(super) async fn want_beside(&self) -> Result<(), FetchEnd> {
        let wanted = self.vault(|writer, version| writer.reader().wanted_rooms(version, ROOMS_PER_ROUND));
        self.phase.download.wanted.want(&wanted.await?);
        Ok(())
    }

    /// Makes the keys of a wanted room be opened before all others.
    fn open_first(&self, room_id: String) {
        self.phase.download.wanted.open_first(room_id);
        self.phase.run.wake.notify();
    }

    /// Moves rooms that were wanted earlier to the front of the list, even if this version was not known then. The
    /// plan requests them from there.
    pub(super) async fn note_wanted_rooms(&self) -> Result<(), FetchEnd> {
        let wanted = self.phase.download.wanted.waiting();
        if wanted.is_empty() {
            return Ok(());
        }
        let rooms = wanted.clone();
        self.vault(move |writer, _| writer.write(|tx| tx.prioritise(&rooms)))
            .await?;
        self.phase.download.wanted.leave_out(&wanted);
        Ok(())
    }

    /// Moves the rooms that the app prefers now to the first places on the list, also rooms that are listed already.
    pub(super) async fn prefer_rooms(&self) -> Result<(), FetchEnd> {
        if self.version.settled.is_some() || self.version.rooms_listed_ms.is_none() {
            return Ok(());
        }
        let rooms = self.preferred_rooms().await?;
        self.note_rooms(&rooms, 0).await
    }

    pub(super) async fn preferred_rooms(&self) -> Result<Vec<String>, FetchEnd> {
        // A host that cannot answer has no preference.
        let rooms = self.unless_stopped(self.phase.listener.rooms_by_priority()).await?;
        Ok(valid_room_ids(rooms))
    }

    /// Makes the list of rooms: the rooms that the app prefers first, then all others that the user has joined.
    pub(super) async fn list_rooms(&self) -> Result<(), FetchEnd> {
        let preferred = self.preferred_rooms().await?;
        let joined = match self.patiently(|| self.phase.context.homeserver.joined_rooms()).await {
            Ok(joined) => valid_room_ids(joined),
            // The request for everything brings the keys of all other rooms.
            Err(FetchEnd::Blocked { error, .. } | FetchEnd::Failed(error))
                if error.meaning() == Meaning::ServerFault =>
            {
                log::warn!("the server does not return the joined rooms: {error}");
                Vec::new()
            }
            Err(end) => return Err(end),
        };
        self.vault(|writer, version| writer.ask_again_since_it_was_settled(version))
            .await?;
        // Written last, so that the app's rooms come before all others.
        self.note_rooms(&joined, preferred.len()).await?;
        self.note_rooms(&preferred, 0).await?;
        let rooms = self
            .vault(|writer, version| {
                writer.mark_rooms_listed(version, wall_ms())?;
                writer.reader().room_counts(version)
            })
            .await?;
        self.phase.download.progress.set_rooms(rooms);
        Ok(())
    }

    async fn note_rooms(&self, rooms: &[String], first_position: usize) -> Result<(), FetchEnd> {
        for (round, rooms) in rooms.chunks(ROOMS_PER_NOTE).enumerate() {
            let (rooms, first) = (rooms.to_vec(), (first_position + round * ROOMS_PER_NOTE) as u64);
            self.vault(move |writer, version| writer.list_rooms(version, &rooms, first))
                .await?;
        }
        Ok(())
    }

    pub(super) async fn rooms(&self) -> Result<(), FetchEnd> {
        let mut rooms = self
            .vault(|writer, version| writer.reader().rooms_to_fetch(version, ROOMS_PER_ROUND))
            .await?;
        let by_file = if self.phase.context.files.is_some() && self.phase.deadline.is_some() {
            rooms
                .extract_if(.., |room| room.cuts >= ROOM_CUTS_BEFORE_FILE)
                .collect()
        } else {
            Vec::new()
        };
        let only_files = rooms.is_empty();
        self.rooms_by_file(by_file, only_files).await?;
        let rooms_at_once = self.phase.policy.rooms_at_once as usize;
        let (at_once, alone) = match self.phase.deadline {
            // A room that was cut off is requested alone, or the end of the slice would cut it off again.
            Some(_) => (
                rooms_at_once.min(ROOMS_AT_ONCE_IN_A_SLICE),
                usize::from(rooms.first().is_some_and(|room| room.is_begun)),
            ),
            None => (rooms_at_once, 0),
        };
        let rest = rooms.split_off(alone);
        self.ask_rooms(rooms, 1).await?;
        self.ask_rooms(rest, at_once).await?;
        // The flush makes it durable that these rooms are done.
        self.flush().await
    }

    /// Fetches rooms whose answers are always cut off, as files. Fails if nothing is left but to wait for them.
    async fn rooms_by_file(&self, rooms: Vec<RoomToFetch>, only_these: bool) -> Result<(), FetchEnd> {
        let mut waits_for_all = only_these && !rooms.is_empty();
        for RoomToFetch { room_id, rest, .. } in rooms {
            let request = KeysRequest::OneRoom(room_id.clone());
            let mut retry = Retry::default();
            loop {
                match self.by_file(&request).await {
                    Ok(FromFile::UnderWay) => {}
                    Ok(FromFile::Read(_)) => waits_for_all = false,
                    Err(error) if error.is_of_the_room() || error.has_wrong_shape() => {
                        self.postpone_room(&room_id, rest.failures, &error).await?;
                        waits_for_all = false;
                    }
                    Err(error) => {
                        self.wait_or_end(&mut retry, error).await?;
                        continue;
                    }
                }
                break;
            }
        }
        if waits_for_all { Err(waits_for_file()) } else { Ok(()) }
    }

    async fn ask_rooms(&self, rooms: Vec<RoomToFetch>, at_once: usize) -> Result<(), FetchEnd> {
        // Answers are awaited together and read one by one: a short run finishes some rooms instead of beginning
        // many. A room that does not answer occupies one place among those that are awaited, and blocks no other
        // room.
        let mut answers = stream::iter(rooms)
            .map(|room| async move {
                if self.phase.stop.winds_down() {
                    return Some(Err(FetchEnd::Stopped));
                }
                if locked(&self.asked_beside).as_ref() == Some(&room.room_id) {
                    return None;
                }
                let request = KeysRequest::OneRoom(room.room_id.clone());
                let answer = self.answer(&request).await;
                Some(Ok((request, room, answer)))
            })
            .buffer_unordered(at_once);
        let mut failed_in_a_row = 0;
        while let Some(answer) = answers.next().await {
            let Some(answer) = answer else {
                // The room is being requested beside the plan, and there may be nothing else to do: wait.
                self.unless_stopped(tokio::time::sleep(LOOK_BESIDE)).await?;
                continue;
            };
            let (request, room, answer) = answer?;
            let result = self.read_answer(&request, answer).await;
            match self
                .retry_or_postpone(&room.room_id, room.rest.failures, result)
                .await?
            {
                true => failed_in_a_row = 0,
                false => failed_in_a_row += 1,
            }
            if failed_in_a_row >= FAILURES_BEFORE_A_LOOK {
                // A small request shows whether the rooms or the server are at fault.
                self.patiently(|| self.phase.context.homeserver.version(&self.version.version))
                    .await?;
                failed_in_a_row = 0;
            }
            if room.is_wanted {
                self.flush().await?;
                self.open_first(room.room_id);
            }
        }
        Ok(())
    }

    /// Requests one room, and postpones it if that fails. Returns whether it succeeded.
    pub(super) async fn ask_or_postpone(&self, room_id: &str) -> Result<bool, FetchEnd> {
        let result = self.ask(&KeysRequest::OneRoom(room_id.to_owned())).await;
        self.retry_or_postpone(room_id, 0, result).await
    }

    /// Requests a room again if its answer was of no use, and postpones it if that fails too: it then comes after all
    /// other rooms, also in later runs, and waits longer each time. Returns false if the room is postponed.
    async fn retry_or_postpone(
        &self,
        room_id: &str,
        failures: u32,
        first: Result<(), RequestError>,
    ) -> Result<bool, FetchEnd> {
        let mut result = first;
        let mut retry = Retry::default();
        let mut tries = 1;
        while let Err(error) = result {
            let is_of_the_request = error.is_of_the_request();
            let is_hopeless = error.is_of_the_room() || error.is_not_found();
            if error.is_not_found() && !self.version_is_there().await {
                return Err(FetchEnd::VersionGone);
            }
            if is_of_the_request && (is_hopeless || tries >= TRIES_OF_A_ROOM) {
                self.postpone_room(room_id, failures, &error).await?;
                return Ok(false);
            }
            if !error.has_wrong_shape() {
                match self.wait_or_end(&mut retry, error).await {
                    Err(FetchEnd::Blocked { error, .. }) if is_of_the_request || self.is_only_of_this(&error).await => {
                        self.postpone_room(room_id, failures, &error.into()).await?;
                        return Ok(false);
                    }
                    Err(FetchEnd::Blocked { error, retry_after }) if error.is_a_fault() => {
                        // The server asked to wait. In case only this room is affected, the other rooms come first
                        // next time.
                        self.postpone_room(room_id, failures, &error.clone().into()).await?;
                        return Err(FetchEnd::Blocked { error, retry_after });
                    }
                    result => result?,
                }
            }
            tries += 1;
            result = self.ask(&KeysRequest::OneRoom(room_id.to_owned())).await;
        }
        Ok(true)
    }

    async fn postpone_room(&self, room_id: &str, failures: u32, error: &RequestError) -> Result<(), FetchEnd> {
        log::warn!("a room could not be fetched, and will be requested again later");
        let fault = if error.has_wrong_shape() {
            Fault::WrongShape
        } else {
            Fault::Other
        };
        let (room, wait) = (room_id.to_owned(), rest_after(failures, dice()));
        self.vault(move |writer, version| writer.postpone_room(version, &room, fault, wait))
            .await
    }
}

/// Returns the texts that can be room ids.
pub(in crate::download) fn valid_room_ids(mut rooms: Vec<String>) -> Vec<String> {
    // A segment of a URL path cannot be `.` or `..`.
    rooms.retain(|room| (1..=MAX_ID_BYTES).contains(&room.len()) && !matches!(room.as_str(), "." | ".."));
    rooms
}
