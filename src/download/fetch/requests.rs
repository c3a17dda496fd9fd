//! One request for keys: sends it, reads the answer as far as it comes, and classifies what went wrong.

use std::time::Duration;

use super::{
    ingest_message::IngestError,
    stage::{FetchEnd, FetchStage},
};
use crate::{
    download::telling::FetchActivity,
    homeserver::{Body, HomeserverError, KeysRequest, Retry, TransportError, Verdict},
    vault::Fault,
};

impl FetchStage {
    /// Sends a small request, and retries it while the failure can pass by itself.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, HomeserverError>>>(
        &self,
        request: impl Fn() -> F,
    ) -> Result<T, FetchEnd> {
        let mut retry = Retry::default();
        loop {
            match self.unless_stopped(request()).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => self.wait_or_end(&mut retry, error.into()).await?,
            }
        }
    }

    pub(super) async fn wait_or_end(&self, retry: &mut Retry, error: RequestError) -> Result<(), FetchEnd> {
        let error = match error {
            RequestError::Homeserver(HomeserverError::NotFound) => {
                return Err(FetchEnd::VersionGone);
            }
            RequestError::Homeserver(error) | RequestError::Cut(error) => error,
            RequestError::Stopped => return Err(FetchEnd::Stopped),
            RequestError::Ended(end) => return Err(end),
        };
        match retry.after(&error) {
            Verdict::Retry(wait) => {
                log::info!(
                    "a request failed and will be retried in {} ms: {error}",
                    wait.as_millis()
                );
                self.phase.download.progress.set_fetch(FetchActivity::WaitingToRetry);
                self.unless_stopped(tokio::time::sleep(wait)).await?;
                self.phase.download.progress.set_fetch(FetchActivity::Fetching);
                Ok(())
            }
            Verdict::Later(retry_after) => Err(FetchEnd::Blocked { error, retry_after }),
            Verdict::GiveUp => Err(FetchEnd::Failed(error)),
        }
    }

    /// Whether the server still has the version: a 404 for a room may be about the version.
    pub(super) async fn version_is_there(&self) -> bool {
        let version = self.phase.context.homeserver.version(&self.version.version);
        matches!(self.phase.stop.unless_stopped(version).await, Some(Ok(_)))
    }

    /// Whether an error that looks like a fault of the whole server concerns this request only: the server answers a
    /// small one.
    pub(super) async fn is_only_of_this(&self, error: &HomeserverError) -> bool {
        let may_be = matches!(
            error,
            HomeserverError::NotTheHomeserver | HomeserverError::ServerFault { retry_after: None, .. }
        );
        may_be && self.version_is_there().await
    }

    pub(super) async fn ask(&self, request: &KeysRequest) -> Result<(), RequestError> {
        let answer = self.answer(request).await;
        self.read_answer(request, answer).await
    }

    pub(super) async fn answer(&self, request: &KeysRequest) -> Result<Body, RequestError> {
        let answer = self.phase.context.homeserver.keys(&self.version.version, request);
        tokio::pin!(answer);
        let mut is_late = false;
        loop {
            tokio::select! {
                biased;
                () = self.phase.stop.stopped() => return Err(RequestError::Stopped),
                answer = &mut answer => return Ok(answer?),
                () = tokio::time::sleep(LATE), if !is_late => {
                    is_late = true;
                    self.note_late(request).await.map_err(RequestError::Ended)?;
                }
            }
        }
    }

    /// Notes a request that is silent for so long that it may stay silent until the process ends: the next run then
    /// begins with another one.
    async fn note_late(&self, request: &KeysRequest) -> Result<(), FetchEnd> {
        let room_id = request.room_id().map(str::to_owned);
        self.vault(move |writer, version| match room_id {
            Some(room_id) => writer.postpone_room(version, &room_id, Fault::Other, LATE_REST),
            None => writer.count_request(version, 0, true),
        })
        .await
    }

    /// Reads one answer, to its end or as far as it comes.
    pub(super) async fn read_answer(
        &self,
        request: &KeysRequest,
        answer: Result<Body, RequestError>,
    ) -> Result<(), RequestError> {
        let body = answer?;
        let mut bytes = 0;
        let result = match self
            .phase
            .stop
            .unless_stopped(self.pump(body, request, &mut bytes))
            .await
        {
            Some(result) => result,
            None => Err(RequestError::Stopped),
        };
        let everything = *request == KeysRequest::AllRooms;
        if everything && self.ingest.flush().await.is_err() {
            // The ingest thread reports the failure of the vault.
            return Err(RequestError::Stopped);
        }
        let result = result.map_err(|error| if bytes > 0 { error.after_a_beginning() } else { error });
        let cut = bytes > 0 && result.as_ref().is_err_and(RequestError::is_a_cut);
        let room_id = request.room_id().filter(|_| cut).map(str::to_owned);
        self.vault(move |writer, version| {
            if let Some(room_id) = room_id {
                writer.count_room_cut(version, &room_id)?;
            }
            writer.count_request(version, bytes, cut && everything)
        })
        .await
        .map_err(RequestError::Ended)?;
        result
    }

    async fn pump(&self, body: Body, request: &KeysRequest, bytes: &mut u64) -> Result<(), RequestError> {
        let response = self.ingest.begin(request.room_id()).await?;
        while let Some(chunk) = body.next_chunk().await? {
            *bytes += chunk.len() as u64;
            self.phase.download.progress.add_bytes(chunk.len() as u64);
            if !response.chunk(chunk).await? {
                break;
            }
        }
        Ok(response.end().await?)
    }
}

/// Silence after which a request counts as failed, unless it succeeds later.
const LATE: Duration = Duration::from_secs(15);
const LATE_REST: Duration = Duration::from_secs(60);

/// Why a request did not bring everything that it should.
pub(super) enum RequestError {
    Homeserver(HomeserverError),
    /// The answer began, and was cut off.
    Cut(HomeserverError),
    /// The run was stopped, or the vault takes no more.
    Stopped,
    /// Fetching cannot continue.
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

    /// Whether the answer began and did not reach its end.
    pub(super) fn is_a_cut(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Stopped)
    }

    /// Whether the server rejects the room id.
    pub(super) fn is_of_the_room(&self) -> bool {
        matches!(
            self,
            Self::Homeserver(
                HomeserverError::Refused { .. } | HomeserverError::NoSuchEndpoint | HomeserverError::Forbidden
            )
        )
    }

    /// Whether the error concerns what was requested, not the server, the network or the account as a whole.
    pub(super) fn is_of_the_request(&self) -> bool {
        match self {
            Self::Cut(_) => true,
            Self::Stopped | Self::Ended(_) => false,
            Self::Homeserver(error) => match error {
                HomeserverError::Transport(error) => {
                    matches!(error, TransportError::Interrupted | TransportError::Timeout)
                }
                HomeserverError::NotSignedIn { .. }
                | HomeserverError::SignedOut
                | HomeserverError::NoTokenNow
                | HomeserverError::NotTheHomeserver
                | HomeserverError::RateLimited { .. } => false,
                HomeserverError::ServerFault { retry_after, .. } => retry_after.is_none(),
                HomeserverError::NotFound
                | HomeserverError::NoSuchEndpoint
                | HomeserverError::Forbidden
                | HomeserverError::Refused { .. }
                | HomeserverError::WrongShape
                | HomeserverError::RequestTooLarge
                | HomeserverError::TooLarge => true,
            },
        }
    }

    pub(super) fn has_wrong_shape(&self) -> bool {
        matches!(self, Self::Homeserver(HomeserverError::WrongShape))
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Homeserver(HomeserverError::NotFound))
    }

    /// Whether the answer may have been too large for the server, or for the network in between.
    pub(super) fn is_too_much(&self) -> bool {
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
            IngestError::Read(error) => Self::Homeserver(error.into()),
        }
    }
}
