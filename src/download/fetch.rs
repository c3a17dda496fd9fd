//! The fetch stage: carries out the plan, request by request, with patience where a failure passes by itself.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};

use super::{
    ingest::{Ingest, IngestError},
    plan::{Facts, Step, next_step},
    stop::StopSignal,
    tally::{FetchActivity, Tally},
};
use crate::{
    backup::{limits::MAX_ID_BYTES, reader::ReadError},
    blocking::blocking,
    homeserver::{Backoff, Body, Homeserver, HomeserverError, KeysRequest, TransportError, Verdict},
    host::JobHost,
    random::dice,
    vault::{SharedWriter, VaultError, VersionRow, Writer},
};

/// Rooms that are asked for at the same time, while one of them is read.
const ROOMS_AT_ONCE: usize = 4;
/// The same in a run with a budget: what waits shares the link with what is read, and is lost when time is up.
const ROOMS_AT_ONCE_IN_A_SLICE: usize = 2;
/// Rooms that are taken from the list at a time.
const ROOMS_PER_ROUND: usize = 128;
/// Rooms of the list that go into one transaction.
const ROOMS_PER_NOTE: usize = 1_000;

/// What the fetch stage works with.
pub(crate) struct FetchStage {
    pub(crate) homeserver: Homeserver,
    pub(crate) host: Arc<dyn JobHost>,
    pub(crate) writer: SharedWriter,
    pub(crate) ingest: Ingest,
    pub(crate) tally: Arc<Tally>,
    pub(crate) stop: StopSignal,
    pub(crate) version: VersionRow,
    pub(crate) deadline: Option<Instant>,
}

/// How fetching ended.
#[derive(Debug)]
pub(crate) enum FetchEnd {
    /// Everything is here.
    Complete,
    /// The run was stopped.
    Stopped,
    /// It passes by itself, but not soon.
    Blocked {
        error: HomeserverError,
        retry_after: Duration,
    },
    /// It does not pass by itself.
    Failed(HomeserverError),
    /// The version is not there any more.
    VersionGone,
    Vault(VaultError),
}

impl FetchStage {
    /// Fetches until nothing is missing, or until it cannot go on.
    pub(crate) async fn work(&self) -> FetchEnd {
        match self.carry_out().await {
            Ok(()) => FetchEnd::Complete,
            Err(end) => end,
        }
    }

    async fn carry_out(&self) -> Result<(), FetchEnd> {
        self.tally.fetch_is(FetchActivity::Fetching);
        let mut rooms_listed = false;
        let mut cuts = 0;
        let mut backoff = Backoff::default();
        loop {
            let facts = self.facts(rooms_listed, cuts).await?;
            match next_step(&facts) {
                Step::Done => break,
                Step::ListRooms => {
                    self.list_rooms().await?;
                    rooms_listed = true;
                }
                Step::Rooms => self.rooms().await?,
                Step::Everything => match self.ask(&KeysRequest::AllRooms).await {
                    Ok(()) => break,
                    Err(error) => {
                        if error.is_too_much() {
                            cuts += 1;
                        }
                        if error.is_a_cut() {
                            // Something came: the next failure is a new one.
                            backoff.reset();
                        }
                        self.wait_or_end(&mut backoff, error).await?;
                    }
                },
                Step::GiveUpForNow => {
                    let error = HomeserverError::Transport(TransportError::Interrupted);
                    return Err(FetchEnd::Blocked {
                        error,
                        retry_after: Duration::from_secs(60),
                    });
                }
            }
        }
        self.vault(|writer, version| writer.complete_version(version)).await
    }

    async fn facts(&self, rooms_listed: bool, cuts_in_this_run: u32) -> Result<Facts, FetchEnd> {
        let (version, rooms_left) = self
            .vault(move |writer, version| {
                let reader = writer.reader();
                let row = reader.version_by_id(version)?.ok_or(VaultError::Corrupt)?;
                Ok((row, !reader.rooms_to_fetch(version, 1)?.is_empty()))
            })
            .await?;
        Ok(Facts {
            server_count: version.server_count,
            fetched: version.counts.fetched,
            complete: version.complete,
            cuts: version.cuts,
            cuts_in_this_run,
            rooms_left,
            rooms_listed,
            time_left_ms: self
                .deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()).as_millis() as u64),
        })
    }

    /// The app's rooms first, then all others that the user has joined.
    async fn list_rooms(&self) -> Result<(), FetchEnd> {
        // A host that cannot answer has no preference.
        let preferred = self
            .unless_stopped(self.host.rooms_by_priority())
            .await?
            .unwrap_or_default();
        let mut backoff = Backoff::default();
        let joined = loop {
            match self.unless_stopped(self.homeserver.joined_rooms()).await? {
                Ok(rooms) => break rooms,
                Err(error) => self.wait_or_end(&mut backoff, error.into()).await?,
            }
        };
        // Written later, the app's rooms take their places before all others.
        self.note_rooms(&joined, preferred.len()).await?;
        self.note_rooms(&preferred, 0).await?;
        let (done, all) = self
            .vault(|writer, version| writer.reader().room_counts(version))
            .await?;
        self.tally.rooms_done.store(done, Ordering::Relaxed);
        self.tally.rooms.store(all, Ordering::Relaxed);
        Ok(())
    }

    async fn note_rooms(&self, rooms: &[String], first_position: usize) -> Result<(), FetchEnd> {
        let rooms: Vec<_> = rooms
            .iter()
            .filter(|room| (1..=MAX_ID_BYTES).contains(&room.len()))
            .cloned()
            .collect();
        for (round, rooms) in rooms.chunks(ROOMS_PER_NOTE).enumerate() {
            let (rooms, first) = (rooms.to_vec(), (first_position + round * ROOMS_PER_NOTE) as u64);
            self.vault(move |writer, version| writer.list_rooms(version, &rooms, first))
                .await?;
        }
        Ok(())
    }

    async fn rooms(&self) -> Result<(), FetchEnd> {
        let rooms = self
            .vault(|writer, version| writer.reader().rooms_to_fetch(version, ROOMS_PER_ROUND))
            .await?;
        // Answers are waited for together and read one by one: rooms come in the order of the plan, and a short run
        // finishes some rooms instead of beginning many.
        let mut answers = stream::iter(rooms)
            .map(|room_id| async move {
                let request = KeysRequest::OneRoom(room_id);
                let answer = self.answer(&request).await;
                (request, answer)
            })
            .buffered(if self.deadline.is_some() {
                ROOMS_AT_ONCE_IN_A_SLICE
            } else {
                ROOMS_AT_ONCE
            });
        while let Some((request, answer)) = answers.next().await {
            let mut result = self.once(&request, answer).await;
            let mut backoff = Backoff::default();
            while let Err(error) = result {
                if error.is_of_the_room()
                    && let KeysRequest::OneRoom(room_id) = &request
                {
                    // The last request, for everything, brings what it has.
                    let room_id = room_id.clone();
                    log::warn!("the server refuses to answer for a room");
                    self.vault(move |writer, version| writer.unlist_room(version, &room_id))
                        .await?;
                    break;
                }
                self.wait_or_end(&mut backoff, error).await?;
                result = self.ask(&request).await;
            }
        }
        drop(answers);
        // Only then does the vault know that these rooms are done.
        self.flush().await
    }

    async fn wait_or_end(&self, backoff: &mut Backoff, error: RequestError) -> Result<(), FetchEnd> {
        let error = match error {
            RequestError::Homeserver(HomeserverError::NotFound) => {
                return Err(FetchEnd::VersionGone);
            }
            RequestError::Homeserver(error) | RequestError::Cut(error) => error,
            RequestError::Stopped => return Err(FetchEnd::Stopped),
            RequestError::Ended(end) => return Err(end),
        };
        match backoff.after(&error, dice()) {
            Verdict::Retry(wait) => {
                log::info!(
                    "a request failed and is tried again in {} ms: {error}",
                    wait.as_millis()
                );
                self.tally.fetch_is(FetchActivity::WaitingToRetry);
                self.unless_stopped(tokio::time::sleep(wait)).await?;
                self.tally.fetch_is(FetchActivity::Fetching);
                Ok(())
            }
            Verdict::Later(retry_after) => Err(FetchEnd::Blocked { error, retry_after }),
            Verdict::GiveUp => Err(FetchEnd::Failed(error)),
        }
    }

    async fn ask(&self, request: &KeysRequest) -> Result<(), RequestError> {
        let answer = self.answer(request).await;
        self.once(request, answer).await
    }

    async fn answer(&self, request: &KeysRequest) -> Result<Body, RequestError> {
        let answer = self.homeserver.keys(&self.version.version, request);
        Ok(self.stop.unless_stopped(answer).await.ok_or(RequestError::Stopped)??)
    }

    /// One answer, read to its end or as far as it comes.
    async fn once(&self, request: &KeysRequest, answer: Result<Body, RequestError>) -> Result<(), RequestError> {
        let body = answer?;
        let mut bytes = 0;
        let result = match self.stop.unless_stopped(self.pump(body, request, &mut bytes)).await {
            Some(result) => result,
            None => Err(RequestError::Stopped),
        };
        let everything = *request == KeysRequest::AllRooms;
        if everything && self.ingest.flush().await.is_err() {
            // The failure of the vault is told elsewhere.
            return Err(RequestError::Stopped);
        }
        let result = result.map_err(|error| if bytes > 0 { error.after_a_beginning() } else { error });
        let cut = everything && bytes > 0 && result.as_ref().is_err_and(RequestError::is_a_cut);
        self.vault(move |writer, version| writer.count_request(version, bytes, cut))
            .await
            .map_err(RequestError::Ended)?;
        result
    }

    async fn pump(&self, body: Body, request: &KeysRequest, bytes: &mut u64) -> Result<(), RequestError> {
        let room_id = match request {
            KeysRequest::AllRooms => None,
            KeysRequest::OneRoom(room_id) => Some(room_id.clone()),
        };
        let response = self.ingest.begin(room_id).await?;
        while let Some(chunk) = body.next_chunk().await? {
            *bytes += chunk.len() as u64;
            self.tally.add(&self.tally.bytes, chunk.len() as u64);
            if !response.chunk(chunk).await? {
                break;
            }
        }
        Ok(response.end().await?)
    }

    async fn flush(&self) -> Result<(), FetchEnd> {
        self.ingest.flush().await.map_err(|_| FetchEnd::Stopped)
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchEnd> {
        self.stop.unless_stopped(work).await.ok_or(FetchEnd::Stopped)
    }

    async fn vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer, i64) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, FetchEnd> {
        let (writer, version) = (self.writer.clone(), self.version.id);
        blocking(move || writer.with(|writer| work(writer, version)))
            .await
            .unwrap_or(Err(VaultError::Panicked))
            .map_err(FetchEnd::Vault)
    }
}

enum RequestError {
    Homeserver(HomeserverError),
    /// The answer had begun and broke off.
    Cut(HomeserverError),
    /// The run was stopped, or the vault takes no more.
    Stopped,
    /// Nothing goes on after it.
    Ended(FetchEnd),
}

impl RequestError {
    fn after_a_beginning(self) -> Self {
        match self {
            Self::Homeserver(
                error @ HomeserverError::Transport(TransportError::Interrupted | TransportError::Timeout),
            ) => Self::Cut(error),
            other => other,
        }
    }

    /// The answer had begun, and did not come to its end.
    fn is_a_cut(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Stopped)
    }

    /// The server does not take the room id.
    fn is_of_the_room(&self) -> bool {
        matches!(
            self,
            Self::Homeserver(HomeserverError::Refused { .. } | HomeserverError::NoSuchEndpoint)
        )
    }

    /// It may have been too much for the server, or for the way from there.
    fn is_too_much(&self) -> bool {
        matches!(
            self,
            Self::Cut(_)
                | Self::Homeserver(
                    HomeserverError::Transport(TransportError::Interrupted | TransportError::Timeout)
                        | HomeserverError::ServerFault { .. }
                )
        )
    }
}

impl From<HomeserverError> for RequestError {
    fn from(error: HomeserverError) -> Self {
        Self::Homeserver(error)
    }
}

impl From<IngestError> for RequestError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Closed => Self::Stopped,
            IngestError::Read(ReadError::NotABackup { .. }) => Self::Homeserver(HomeserverError::NotTheHomeserver),
            IngestError::Read(ReadError::CutShort { .. }) => {
                Self::Homeserver(HomeserverError::Transport(TransportError::Interrupted))
            }
        }
    }
}
