//! Passes fetched responses, chunk by chunk, to the thread that writes.
//!
//! One thread (`ingest_worker`) takes in all requests for a version. The queue to it is short, so that a slow disk
//! holds up the network.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    ingest_message::{IngestError, Message, Source},
    ingest_worker::IngestWorker,
};
use crate::ids::Era;
use crate::locked::locked;
use crate::vault::{FilePlace, VaultError};

/// Chunks that wait for the thread if the disk is slow.
const CHUNKS_IN_FLIGHT: usize = 4;

/// The sending end of the queue to the thread.
#[derive(Clone)]
pub(crate) struct Ingest {
    messages: mpsc::Sender<Message>,
    next: Arc<Mutex<u64>>,
}

/// One response that is being stored. If it is dropped before its end, the entries that it brought are kept.
pub(crate) struct IngestedResponse {
    ingest: Ingest,
    request: u64,
    /// Set by the thread if the rest of the response cannot be read: sending more is useless.
    broken: Arc<AtomicBool>,
    ended: bool,
}

impl Ingest {
    /// Returns the sending end of the queue, and the work of the thread, which blocks.
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

    /// Begins a response of one room, or of all rooms if `room_id` is `None`.
    pub(crate) async fn begin(&self, room_id: Option<&str>) -> Result<IngestedResponse, IngestError> {
        self.begin_source(Source {
            room_id: room_id.map(str::to_owned),
            ..Source::default()
        })
        .await
    }

    /// Continues a response that is read from a file.
    pub(crate) async fn begin_file(
        &self,
        room_id: Option<&str>,
        name: String,
        place: Option<(FilePlace, Era)>,
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
            let mut next = locked(&self.next);
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

    /// Waits until everything that was sent before is durable.
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
    /// Sends the next chunk. Returns false if sending more is useless; `end` then fails with the reason.
    pub(crate) async fn chunk(&self, bytes: Vec<u8>) -> Result<bool, IngestError> {
        self.ingest
            .send(Message::Chunk {
                request: self.request,
                bytes,
            })
            .await?;
        Ok(!self.broken.load(Ordering::Relaxed))
    }

    /// Ends the response. Fails if the body was not whole.
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
            // If the queue is full, the reader stays until the run ends; it is small.
            let _ = self
                .ingest
                .messages
                .try_send(Message::Abandon { request: self.request });
        }
    }
}
