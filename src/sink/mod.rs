//! The sink: the app's crypto, which takes opened room keys.
//!
//! Who can feed one today: apps on matrix-sdk-crypto (`OlmMachineSink`, feature `matrix-sdk-sink`) or on
//! matrix-sdk-crypto-ffi. matrix-sdk's `Client` keeps its `OlmMachine` private and matrix-sdk-ffi has no import of room
//! keys: such apps use look-ups, or the export file, or add one function to their bindings.

#[cfg(feature = "matrix-sdk-sink")]
mod backup_marks;
#[cfg(feature = "matrix-sdk-sink")]
mod import;
#[cfg(feature = "matrix-sdk-sink")]
mod local_copy;
#[cfg(feature = "matrix-sdk-sink")]
mod local_sessions;
#[cfg(feature = "matrix-sdk-sink")]
mod olm_machine;

use async_trait::async_trait;
#[cfg(feature = "matrix-sdk-sink")]
pub use olm_machine::OlmMachineSink;

use crate::backup::RoomKey;

/// Takes opened room keys into the app's crypto store.
///
/// Delivery is *at least once*: after a crash the last batch may come again, so taking a key twice must do no harm.
/// The next batch comes when the last one is answered.
///
/// A key may come in several copies, over backup versions or because a better one has taken its place on the server; in one
/// batch too, and not always the better one last. Keep what begins earliest (`first_known_index`).
///
/// When a run is stopped, the call under way has another 100 ms to answer. One that takes longer is dropped, which cancels
/// its coroutine or task; its batch comes again in the next run, perhaps while the work of the dropped call still goes on.
#[uniffi::export(foreign)]
#[async_trait]
pub trait RoomKeySink: Send + Sync {
    /// Takes a batch of at most 2,000 keys and answers for each, in the same order. When it returns, what it answered
    /// `Imported` or `Known` must be durable: it will not be delivered again.
    ///
    /// # Errors
    /// A [`SinkError`] means that nothing of the batch counts as delivered; it comes again in a later run. An answer
    /// of another length than the batch is taken as an error too.
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError>;
}

/// What became of one key.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum SinkAnswer {
    /// It is new to the store, or better than what was there.
    Imported,
    /// The store had it already, as good or better.
    Known,
    /// The store has another key under this session id: the two ratchets do not connect, so at most one of them is genuine.
    /// Counted as refused. Another copy that the vault has is offered next, if there is one.
    Unconnected {
        /// The store's copy was received from the sender directly, encrypted for this device: it is the genuine one. The
        /// vault's copy then ranks behind every other copy of the session.
        local_is_direct: bool,
    },
    /// The store will not have it. It is counted and not offered again.
    Refused {
        /// Why, in a few words; no secret. Kept in the vault (up to 200 characters) and listed by `refusals`.
        reason: String,
    },
}

/// The sink can take nothing now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum SinkError {
    /// The store is closed, locked or full: later may do.
    #[error("the app's crypto takes no keys now")]
    Unavailable {
        /// For the app's own diagnosis; never logged, never shown.
        detail: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for SinkError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Unavailable { detail: error.reason }
    }
}
