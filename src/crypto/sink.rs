//! The sink, which takes opened room keys into the app's crypto store.

use async_trait::async_trait;

use crate::backup::RoomKey;

/// Takes opened room keys into the app's crypto store. Implemented by the app.
///
/// Delivery is *at least once*: after a crash the last batch may be delivered again, so taking a key twice must do no
/// harm. The next batch is delivered only after the last one has been answered.
///
/// Several copies of a key may be delivered, because they come from different backup versions or because a better
/// copy has replaced one on the server. They may be in one batch, and the better copy is not always the last. Keep
/// the one that begins earliest (lowest `first_known_index`).
///
/// When a run is stopped, the call under way has another 100 ms to answer. A call that takes longer is dropped, which
/// cancels its coroutine or task. Its batch is delivered again in the next run, perhaps while the dropped call is
/// still working.
#[uniffi::export(foreign)]
#[async_trait]
pub trait RoomKeySink: Send + Sync {
    /// Takes a batch of at most 2,000 keys and returns one answer for each, in the same order. When it returns, the
    /// keys that it answers with `Imported` or `Known` must be durable: they will not be delivered again.
    ///
    /// # Errors
    /// A `SinkError` means that no key of the batch counts as delivered; the batch is delivered again in a later run.
    /// A list of answers whose length differs from the batch is treated as an error, too.
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError>;
}

/// What the app's crypto store did with one key.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum SinkAnswer {
    /// The key is new to the store, or better than the store's copy.
    Imported,
    /// The store already had the key, as good or better.
    Known,
    /// The store has another key under this session id: the two ratchets do not connect, so at most one of them is
    /// genuine. Counted as refused. If the vault has another copy, that copy is offered next.
    Unconnected {
        /// Whether the store received its copy directly from the sender, encrypted for this device, which makes it
        /// the genuine one. The vault's copy then ranks behind every other copy of the session.
        local_is_direct: bool,
    },
    /// The store does not accept the key. It is counted, and not offered again.
    Refused {
        /// Why, in a few words and without secrets. The vault keeps up to 200 characters, and `KeyDownload.refusals`
        /// lists them.
        reason: String,
    },
}

/// The sink cannot take keys now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum SinkError {
    /// The store is closed, locked or full. Delivery may work later.
    #[error("the app's crypto takes no keys now")]
    Unavailable {
        /// For the app's own diagnosis; keyferry never logs or shows it.
        detail: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for SinkError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Unavailable { detail: error.reason }
    }
}
