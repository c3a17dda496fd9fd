//! What fetching and the thread that writes tell each other.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::sync::oneshot;

use crate::{backup::reader::ReadError, vault::FilePlace};

/// What fetching tells the thread.
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

/// What a response is of, and where it is read from.
#[derive(Default)]
pub(super) struct Source {
    /// The room, or all of them.
    pub(super) room_id: Option<String>,
    /// The name of the file that it lies in, if it does.
    pub(super) file: Option<String>,
    /// Where to go on in it, and the era in which it was asked for.
    pub(super) place: Option<(FilePlace, i64)>,
}

/// Why a response could not be taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The thread has ended, by a failure of the vault or a stop.
    #[error("the vault takes no more")]
    Closed,
}
