//! The fetch stage: carries out the plan, request by request, with patience where a failure passes by itself.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    from_file::{FromFile, waits},
    ingest::Ingest,
    plan::{Facts, Step, next_step},
    priority::Priority,
    request::RequestError,
    rooms::ROOM_CUTS_BEFORE_FILE,
    run::in_writer,
    stop::{StopSignal, Wake},
    tally::{FetchActivity, Tally},
};
use crate::{
    clock::wall_ms,
    homeserver::{Backoff, FileDownloads, Homeserver, HomeserverError, KeysRequest, TransportError, Verdict},
    host::JobHost,
    random::dice,
    vault::{SharedWriter, VaultError, VersionRow, Writer},
};

/// Milliseconds for which a list of the rooms that the user has joined is good.
const ROOM_LIST_MS: i64 = 60 * 60 * 1_000;
/// Rooms that are taken from the list at a time.
pub(super) const ROOMS_PER_ROUND: usize = 128;

/// What the fetch stage works with.
pub(crate) struct FetchStage {
    pub(crate) homeserver: Homeserver,
    pub(crate) host: Arc<dyn JobHost>,
    pub(crate) files: Option<Arc<dyn FileDownloads>>,
    pub(crate) writer: SharedWriter,
    pub(crate) ingest: Ingest,
    pub(crate) tally: Arc<Tally>,
    pub(crate) stop: StopSignal,
    pub(crate) priority: Priority,
    /// Told when a wanted room is here.
    pub(crate) wake: Wake,
    pub(crate) version: VersionRow,
    pub(crate) rooms_at_once: usize,
    pub(crate) deadline: Option<Instant>,
    /// The wanted room that is on its way beside the plan.
    pub(crate) asked_beside: Mutex<Option<String>>,
}

/// How fetching ended.
#[derive(Debug)]
pub(crate) enum FetchEnd {
    /// Everything is here.
    Complete,
    /// All that was asked for is here; meanwhile the version has changed.
    MovedOn,
    /// What is left comes by file, and the OS is at it.
    WaitsForFile {
        retry_after: Duration,
    },
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
        if let Err(end) = self.note_wanted_rooms().await {
            return end;
        }
        let carried_out = tokio::select! {
            result = self.carry_out() => result,
            end = self.wanted_rooms() => Err(end),
        };
        match carried_out {
            Ok(()) => FetchEnd::Complete,
            Err(end) => end,
        }
    }

    async fn carry_out(&self) -> Result<(), FetchEnd> {
        self.tally.fetch_is(FetchActivity::Fetching);
        self.prefer_rooms().await?;
        let (mut cuts, mut latest_rooms_asked, mut counted_anew) = (0, false, false);
        let mut backoff = Backoff::default();
        loop {
            let facts = Facts {
                cuts_in_this_run: cuts,
                latest_rooms_asked,
                counted_anew,
                ..self.facts().await?
            };
            match next_step(&facts) {
                Step::Done => {
                    if !facts.complete {
                        self.look_again().await?;
                    }
                    break;
                }
                Step::CountAnew => {
                    counted_anew = true;
                    self.look_again().await?;
                }
                Step::LatestRooms => {
                    latest_rooms_asked = true;
                    self.latest_rooms().await?;
                }
                Step::ListRooms => self.list_rooms().await?,
                Step::Rooms => self.rooms().await?,
                Step::EverythingByFile => match self.by_file(&KeysRequest::AllRooms).await {
                    Ok(FromFile::Read { era }) if era == self.version.era => break,
                    Ok(FromFile::Read { .. }) => return Err(FetchEnd::MovedOn),
                    Ok(FromFile::UnderWay) => return Err(waits()),
                    Err(error) => self.wait_or_end(&mut backoff, error).await?,
                },
                Step::Everything => match self.everything().await {
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
        self.complete().await
    }

    /// What the count says is of the last look at the server, and of that backup.
    async fn look_again(&self) -> Result<(), FetchEnd> {
        let info = self
            .patiently(|| self.homeserver.version(&self.version.version))
            .await?;
        match self.vault(move |writer, _| writer.note_version(&info)).await? {
            id if id == self.version.id => Ok(()),
            _ => Err(FetchEnd::VersionGone),
        }
    }

    /// One small request, again and again where a failure passes.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, HomeserverError>>>(
        &self,
        request: impl Fn() -> F,
    ) -> Result<T, FetchEnd> {
        let mut backoff = Backoff::default();
        loop {
            match self.unless_stopped(request()).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => self.wait_or_end(&mut backoff, error.into()).await?,
            }
        }
    }

    /// Every entry of the era that was asked for is here.
    async fn complete(&self) -> Result<(), FetchEnd> {
        let era = self.version.era;
        let (is_complete, files) = self
            .vault(move |writer, version| {
                Ok((
                    writer.complete_version(version, era)?,
                    writer.reader().files_of(version)?,
                ))
            })
            .await?;
        for file in files {
            self.discard(&file).await?;
        }
        if is_complete { Ok(()) } else { Err(FetchEnd::MovedOn) }
    }

    /// Those that the vault and the clock know.
    async fn facts(&self) -> Result<Facts, FetchEnd> {
        let (version, first_room, listed_rooms_left) = self
            .vault(move |writer, version| {
                let reader = writer.reader();
                let row = reader.version_by_id(version)?.ok_or(VaultError::Corrupt)?;
                let first_room = reader.rooms_to_fetch(version, 1)?.pop();
                Ok((row, first_room, reader.has_listed_rooms_to_fetch(version)?))
            })
            .await?;
        // A clock that has jumped makes the list anew.
        let rooms_listed = version
            .rooms_listed_ms
            .is_some_and(|listed| (0..ROOM_LIST_MS).contains(&(wall_ms() - listed)));
        Ok(Facts {
            server_count: version.server_count,
            fetched: version.counts.fetched.saturating_sub(version.surplus),
            complete: version.complete,
            was_complete: version.complete_in > 0,
            latest_rooms_asked: false,
            counted_anew: false,
            cuts: version.cuts,
            cuts_in_this_run: 0,
            // Without an end there is time enough to read it as it comes.
            files: self.files.is_some() && self.deadline.is_some(),
            rooms_left: listed_rooms_left || (rooms_listed && first_room.is_some()),
            rooms_wanted: first_room.is_some_and(|room| room.is_wanted && room.cuts < ROOM_CUTS_BEFORE_FILE),
            rooms_listed,
            time_left_ms: self
                .deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()).as_millis() as u64),
        })
    }

    /// In the order that the server likes, but for the rooms that are wanted.
    async fn everything(&self) -> Result<(), RequestError> {
        self.want_beside().await.map_err(RequestError::Ended)?;
        self.ask(&KeysRequest::AllRooms).await
    }

    pub(super) async fn wait_or_end(&self, backoff: &mut Backoff, error: RequestError) -> Result<(), FetchEnd> {
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

    pub(super) async fn flush(&self) -> Result<(), FetchEnd> {
        self.ingest.flush().await.map_err(|_| FetchEnd::Stopped)
    }

    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchEnd> {
        self.stop.unless_stopped(work).await.ok_or(FetchEnd::Stopped)
    }

    pub(super) async fn vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer, i64) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, FetchEnd> {
        let version = self.version.id;
        let result = in_writer(&self.writer, move |writer| work(writer, version)).await;
        result.map_err(FetchEnd::Vault)
    }
}
