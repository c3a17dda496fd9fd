//! The sink, which takes opened room keys into the app's crypto store.

use std::time::Duration;

use async_trait::async_trait;

use crate::{backup::RoomKey, milliseconds::Milliseconds};

const USUAL_GRACE: Duration = Duration::from_millis(40);
const MOST_GRACE: Duration = Duration::from_millis(250);

/// Takes opened room keys into the app's crypto store. Implemented by the app.
///
/// Delivery is *at least once*: after a crash the last batch may be delivered again, so taking a key twice must do no
/// harm. The next batch is delivered only after the last one has been answered.
///
/// Several copies of a key may be delivered, because they come from different backup versions or because a better
/// copy has replaced one on the server. They may be in one batch, and the better copy is not always the last. Keep
/// the one that begins earliest (lowest `first_known_index`).
///
/// When a run is stopped, the call under way has a little more time to answer: 40 ms, or what `limits` says. A call
/// that takes longer is dropped, which cancels its coroutine or task. Its batch is delivered again in the next run,
/// perhaps while the dropped call is still working.
#[uniffi::export(foreign)]
#[async_trait]
pub trait RoomKeySink: Send + Sync {
    /// Takes a batch of keys, at most as many as `limits` says, and returns one answer for each, in the same order. When it returns, the
    /// keys that it answers with `Imported` or `Known` must be durable: they will not be delivered again.
    ///
    /// # Errors
    /// A `SinkError` means that no key of the batch counts as delivered; the batch is delivered again in a later run.
    /// A list of answers whose length differs from the batch is treated as an error, too.
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError>;

    /// Returns how much the sink takes at a time. Called several times for each batch, so that the answer may follow
    /// what the last batches have shown; it must not wait for anything.
    ///
    /// # Errors
    /// After a `SinkError`, the defaults of `SinkLimits` apply.
    fn limits(&self) -> Result<SinkLimits, SinkError>;
}

/// How much a sink takes at a time. A figure outside its bounds counts as the nearest bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SinkLimits {
    /// Maximum number of keys in one batch: 50 to 20,000, 2,000 by default. A store on a database is faster with
    /// large batches. Each key takes about 1.2 KB of memory, twice, and whatever the sink makes of it.
    #[uniffi(default = 2000)]
    pub batch_keys: u32,
    /// How long a call under way may go on when its run is stopped: at most 250 ms; `None` is 40 ms. A pause takes that
    /// much longer. A sink whose transaction must not be under way while the app is suspended needs as much as one
    /// batch takes.
    #[uniffi(default = None)]
    pub grace: Option<Milliseconds>,
    /// Whether keys come in the order of their session ids, as far as possible; false by default. If false, they come
    /// in the order of arrival. Of use to a store that has an index by session id: keys in the order of arrival fall
    /// all over it, so that the store writes several times as much. Of no use if the store hashes the ids.
    #[uniffi(default = false)]
    pub by_session_id: bool,
    /// Whether the sink answers with `Invalid` for a session key that no crypto library can read; false by default. If
    /// false, every key is checked before it is delivered, which takes 5 microseconds on a desktop.
    #[uniffi(default = false)]
    pub checks_keys: bool,
}

impl Default for SinkLimits {
    fn default() -> Self {
        Self {
            batch_keys: 2_000,
            grace: None,
            by_session_id: false,
            checks_keys: false,
        }
    }
}

impl SinkLimits {
    /// Returns what the sink says, with every figure within its bounds.
    pub(crate) fn of(sink: &dyn RoomKeySink) -> Self {
        let said = sink.limits().unwrap_or_default();
        Self {
            batch_keys: said.batch_keys.clamp(50, 20_000),
            ..said
        }
    }

    /// Returns how long a call may go on when its run is stopped.
    pub(crate) fn grace(&self) -> Duration {
        self.grace.map_or(USUAL_GRACE, Duration::from).min(MOST_GRACE)
    }
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
    /// No crypto library can read the session key. Counted as failed (`FailureReason.InvalidSessionKey`). If the vault
    /// has another copy, that copy is offered next.
    Invalid,
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
