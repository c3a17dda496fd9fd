//! The way in for what is fetched: responses, chunk by chunk, to the thread that writes.
//!
//! One thread takes in all requests of a run (`ingest_worker`). The queue to it is short: a slow disk stops the network.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    ingest_message::{IngestError, Message, Source},
    ingest_worker::IngestWorker,
};
use crate::vault::{FilePlace, VaultError};

/// Chunks that wait for the thread: what a slow disk can pile up.
const CHUNKS_IN_FLIGHT: usize = 4;

/// The way to the thread.
#[derive(Clone)]
pub(crate) struct Ingest {
    messages: mpsc::Sender<Message>,
    next: Arc<Mutex<u64>>,
}

/// One response on its way in. Dropped before its end, it leaves the entries it brought.
pub(crate) struct IngestedResponse {
    ingest: Ingest,
    request: u64,
    /// Set by the thread when the response cannot be read on: no need to send more of it.
    broken: Arc<AtomicBool>,
    ended: bool,
}

impl Ingest {
    /// The way in, and the work of the thread: run it where blocking is allowed.
    pub(crate) fn new(worker: IngestWorker) -> (Self, impl FnOnce() -> Result<(), VaultError>) {
        let (messages, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
        (
            Self {
                messages,
                next: Arc::new(Mutex::new(0)),
            },
            move || worker.work(receiver),
        )
    }

    /// Begins a response: of one room, or of all.
    pub(crate) async fn begin(&self, room_id: Option<&str>) -> Result<IngestedResponse, IngestError> {
        self.begin_source(Source {
            room_id: room_id.map(str::to_owned),
            ..Source::default()
        })
        .await
    }

    /// Goes on with a response that lies in a file.
    pub(crate) async fn begin_file(
        &self,
        room_id: Option<&str>,
        name: String,
        place: Option<(FilePlace, i64)>,
    ) -> Result<IngestedResponse, IngestError> {
        self.begin_source(Source {
            room_id: room_id.map(str::to_owned),
            file: Some(name),
            place,
        })
        .await
    }

    async fn begin_source(&self, source: Source) -> Result<IngestedResponse, IngestError> {
        let request = {
            let mut next = self.next.lock().map_err(|_| IngestError::Closed)?;
            *next += 1;
            *next
        };
        let broken = Arc::new(AtomicBool::new(false));
        self.send(Message::Begin {
            request,
            source,
            broken: broken.clone(),
        })
        .await?;
        Ok(IngestedResponse {
            ingest: self.clone(),
            request,
            broken,
            ended: false,
        })
    }

    /// Waits until everything sent before is durable.
    pub(crate) async fn flush(&self) -> Result<(), IngestError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Flush { reply }).await?;
        answer.await.map_err(|_| IngestError::Closed)
    }

    async fn send(&self, message: Message) -> Result<(), IngestError> {
        self.messages.send(message).await.map_err(|_| IngestError::Closed)
    }
}

impl IngestedResponse {
    /// False if there is no point in sending more: `end` says why.
    pub(crate) async fn chunk(&self, bytes: Vec<u8>) -> Result<bool, IngestError> {
        self.ingest
            .send(Message::Chunk {
                request: self.request,
                bytes,
            })
            .await?;
        Ok(!self.broken.load(Ordering::Relaxed))
    }

    /// Says that the body has ended; tells whether it was whole.
    pub(crate) async fn end(mut self) -> Result<(), IngestError> {
        self.ended = true;
        let (reply, answer) = oneshot::channel();
        self.ingest
            .send(Message::End {
                request: self.request,
                reply,
            })
            .await?;
        answer.await.map_err(|_| IngestError::Closed)?
    }
}

impl Drop for IngestedResponse {
    fn drop(&mut self) {
        if !self.ended {
            // If the queue is full the reader stays until the run ends: it is small.
            let _ = self
                .ingest
                .messages
                .try_send(Message::Abandon { request: self.request });
        }
    }
}
