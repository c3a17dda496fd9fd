//! Answers that are too long for any time slice: the OS downloads them into a file, and runs read the file slice by
//! slice.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    time::Duration,
};

use super::{
    ingest::IngestedResponse,
    requests::RequestError,
    stage::{FetchEnd, FetchStage},
};
use crate::{
    blocking::blocking,
    homeserver::{FileDownload, HomeserverError, KeysRequest, TokenRequest, TransportError, sort_answer},
    vault::{AskedUnder, FilePlace},
};

/// Bytes that are read at a time.
const CHUNK: usize = 128 * 1024;
/// When to check again. The app is usually woken when a download ends; this is for an app that is not.
const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);

/// How far an answer has come in this slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FromFile {
    /// The answer was read to its end; holds the mark under which it was requested.
    Read(AskedUnder),
    /// The OS is still downloading the answer.
    UnderWay,
}

impl FetchStage {
    /// Continues with an answer that comes as a file.
    pub(super) async fn by_file(&self, request: &KeysRequest) -> Result<FromFile, RequestError> {
        let Some(files) = &self.phase.context.files else {
            return Ok(FromFile::UnderWay);
        };
        let names = files.clone();
        let (version, room_id) = (self.version.version.clone(), request.room_id().map(str::to_owned));
        let found = self
            .vault(move |writer, _| {
                let name = names.name(writer.reader().file_hash(&version, room_id.as_deref()));
                let place = writer.reader().file_place(&name)?;
                Ok((name, place))
            })
            .await;
        let (name, place) = found.map_err(RequestError::Ended)?;
        let mut state = files.state(name.clone()).map_err(HomeserverError::from)?;
        if place.is_none() && state != FileDownload::Unknown {
            // When this file was requested is unknown: keys that were added since would be taken to be in it.
            files.discard(name.clone()).map_err(HomeserverError::from)?;
            state = FileDownload::Unknown;
        }
        let (head, path) = match state {
            FileDownload::UnderWay => return Ok(FromFile::UnderWay),
            FileDownload::Ended { head, path } => (head, path),
            FileDownload::Unknown => return self.begin_file(&name, request, TokenRequest::Any).await,
            FileDownload::Failed { error } => {
                self.discard(&name).await.map_err(RequestError::Ended)?;
                if !passes(&error) {
                    return Err(HomeserverError::from(error).into());
                }
                return self.begin_file(&name, request, TokenRequest::Any).await;
            }
        };
        if head.status == 401 {
            // The token may have expired since the request.
            self.discard(&name).await.map_err(RequestError::Ended)?;
            return self.begin_file(&name, request, TokenRequest::PreviousRejected).await;
        }
        if head.status != 200 {
            let body = blocking(move || read_small(&path)).await.and_then(Result::ok);
            self.discard(&name).await.map_err(RequestError::Ended)?;
            return Err(sort_answer(&head, &body.unwrap_or_default()).into());
        }
        let offset = place.as_ref().map_or(0, |(place, _)| place.offset);
        let under = place.as_ref().map_or(self.mark(), |(_, under)| *under);
        let place = place.map(|(place, under)| (place, under.era));
        let response = self.ingest.begin_file(request.room_id(), name.clone(), place).await?;
        let result = self.unless_stopped(pump(response, path, offset)).await;
        let result = result.map_err(|_| RequestError::Stopped)?;
        // A file that cannot be read will not be readable next time either.
        match &result {
            Err(RequestError::Stopped | RequestError::Ended(_)) => {}
            Ok(()) | Err(_) => {
                self.flush().await.map_err(RequestError::Ended)?;
                self.discard(&name).await.map_err(RequestError::Ended)?;
            }
        }
        result.map(|()| FromFile::Read(under))
    }

    async fn begin_file(
        &self,
        name: &str,
        request: &KeysRequest,
        token: TokenRequest,
    ) -> Result<FromFile, RequestError> {
        let begun = FilePlace {
            name: name.to_owned(),
            offset: 0,
            room_id: request.room_id().unwrap_or_default().to_owned(),
        };
        let under = self.mark();
        let request = self
            .phase
            .context
            .homeserver
            .keys_request(&self.version.version, request, token)
            .await?;
        self.vault(move |writer, version| writer.note_file(version, &begun, under))
            .await
            .map_err(RequestError::Ended)?;
        if let Some(files) = &self.phase.context.files {
            files.begin(name.to_owned(), request).map_err(HomeserverError::from)?;
        }
        Ok(FromFile::UnderWay)
    }

    /// Returns the mark that the version has in this run.
    pub(super) fn mark(&self) -> AskedUnder {
        AskedUnder {
            era: self.version.era,
            count: self.version.count,
        }
    }

    /// Discards a file, and forgets how far it was read.
    async fn discard(&self, name: &str) -> Result<(), FetchEnd> {
        let forgotten = name.to_owned();
        self.vault(move |writer, _| writer.forget_file_place(&forgotten))
            .await?;
        if let Some(files) = &self.phase.context.files {
            // If this fails, the next run finds the file.
            let _ = files.discard(name.to_owned());
        }
        Ok(())
    }
}

/// Returns the end of a stage that can only wait for the OS.
pub(super) fn waits_for_file() -> FetchEnd {
    FetchEnd::WaitsForFile {
        retry_after: LOOK_AGAIN,
    }
}

fn passes(error: &TransportError) -> bool {
    matches!(
        error,
        TransportError::Offline | TransportError::Timeout | TransportError::Interrupted | TransportError::Closed
    )
}

async fn pump(response: IngestedResponse, path: String, offset: u64) -> Result<(), RequestError> {
    let lost = || HomeserverError::Transport(TransportError::Interrupted);
    let open = move || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        io::Result::Ok(file)
    };
    let mut file = blocking(open).await.and_then(Result::ok).ok_or_else(lost)?;
    loop {
        let read = move || {
            let mut chunk = Vec::new();
            let read = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk);
            (file, read.map(|_| chunk))
        };
        let (same, chunk) = blocking(read).await.ok_or_else(lost)?;
        file = same;
        let chunk = chunk.map_err(|_| lost())?;
        if chunk.is_empty() || !response.chunk(chunk).await? {
            return Ok(response.end().await?);
        }
    }
}

fn read_small(path: &str) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    File::open(path)?.take(64 * 1024).read_to_end(&mut body)?;
    Ok(body)
}
