//! The messages from fetching to the thread that writes.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::sync::oneshot;

use crate::ids::Era;
use crate::{backup::reader::ReadError, vault::FilePlace};

/// A message from fetching to the thread.
pub(super) enum Message {
    Begin {
        request: u64,
        source: Source,
        broken: Arc<AtomicBool>,
    },
    Chunk {
        request: u64,
        bytes: Vec<u8>,
    },
    End {
        request: u64,
        reply: oneshot::Sender<Result<(), IngestError>>,
    },
    Abandon {
        request: u64,
    },
    Flush {
        reply: oneshot::Sender<()>,
    },
}

/// What a response contains, and where it is read from.
#[derive(Default)]
pub(super) struct Source {
    /// The room; `None` for all rooms.
    pub(super) room_id: Option<String>,
    /// The name of the file that the response is read from, if any.
    pub(super) file: Option<String>,
    /// Where to continue in the file, and the era in which the file was requested.
    pub(super) place: Option<(FilePlace, Era)>,
}

/// Why a response could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The thread has ended, because the vault failed or the run was stopped.
    #[error("the vault takes no more")]
    Closed,
}
