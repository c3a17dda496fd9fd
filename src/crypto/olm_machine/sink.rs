//! A sink over a live `OlmMachine`, for teams that link matrix-sdk-crypto and keyferry into one Rust library.
//!
//! An imported key is never trusted more than a directly received one. `local_copy` and `docs/odd-entries.md` say
//! what happens to a session that is already there.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use matrix_sdk_crypto::OlmMachine;
use tokio::sync::Mutex;

use super::{
    MachineSource, backup_marks::BackupMarks, delivery::Delivery, import::unavailable, local_sessions::LocalSessions,
    pace::Pace,
};
use crate::{
    backup::RoomKey,
    crypto::sink::{RoomKeySink, SinkAnswer, SinkError, SinkLimits},
    milliseconds::Milliseconds,
};

/// How long a batch may go on when its run is stopped. It is usually over by then, so that no transaction is under
/// way while the app is suspended.
const GRACE: Milliseconds = Milliseconds(250);
/// Maximum number of keys in a batch. A silent batch takes 4 KB of memory for each key, any other one 8 KB.
const MOST_SILENT_KEYS: u32 = 4_000;
const MOST_ANNOUNCED_KEYS: u32 = 2_000;

/// Delivers into `OlmMachine::store().import_room_keys`. Feature `matrix-sdk-sink`.
///
/// If the store already has a session, the two copies are merged, and each contributes what it knows better: the
/// earlier ratchet is taken, and a copy that was received directly keeps its sender, its trust and its flag.
///
/// Keys that are in the backup that the machine uploads to are marked as backed up, and not uploaded again. These are
/// keys of the current version, if the machine uploads to that version and has its decryption key
/// (`save_decryption_key`). Everything else will be uploaded: keys of other versions, and sessions that the store has
/// from an earlier index or with another flag. So switch the machine's backups on before the download: keys that are
/// delivered before that are uploaded again.
pub struct OlmMachineSink {
    machine: Arc<MachineSource>,
    local: Mutex<Option<LocalSessions>>,
    is_silent: bool,
    by_session_id: bool,
    pace: Pace,
}

impl OlmMachineSink {
    /// Creates a sink over one machine.
    pub fn new(machine: OlmMachine) -> Self {
        Self::with_source(move || Some(machine.clone()))
    }

    /// Creates a sink that asks for the machine before every batch, for apps that replace it (after a store was
    /// reset, or when a notification extension took over). If `source` returns `None`, the batch is delivered later.
    pub fn with_source(source: impl Fn() -> Option<OlmMachine> + Send + Sync + 'static) -> Self {
        Self {
            machine: Arc::new(source),
            local: Mutex::default(),
            is_silent: false,
            by_session_id: false,
            pace: Pace::new(MOST_ANNOUNCED_KEYS),
        }
    }

    /// Saves sessions that the store does not have without looking for them again, and without announcing them to
    /// `Store::room_keys_received_stream`. This makes delivery about twice as fast. Off by default.
    ///
    /// Only for apps that learn from keyferry which keys have arrived, and in which nothing but this machine writes to
    /// its store. Whoever waits for the machine's stream, such as matrix-sdk's timeline, does not see these keys come.
    /// A session that another process, such as a notification extension, has put into the store since the machine was
    /// made could be replaced. Sessions that the store is known to have are merged and announced as always.
    #[must_use]
    pub fn silent(self) -> Self {
        Self {
            is_silent: true,
            pace: Pace::new(MOST_SILENT_KEYS),
            ..self
        }
    }

    /// Has keys delivered in the order of their session ids, which saves a store without a key most of its writing.
    /// Off by default. Of no use to a store with a key (a passphrase), which hashes the ids.
    #[must_use]
    pub fn by_session_id(self) -> Self {
        Self {
            by_session_id: true,
            ..self
        }
    }
}

#[async_trait]
impl RoomKeySink for OlmMachineSink {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        let machine = (self.machine)().ok_or_else(|| unavailable("no machine"))?;
        let (began, count) = (Instant::now(), keys.len());
        let mut slot = self.local.lock().await;
        let marks = Arc::new(BackupMarks::for_delivery_to(&machine).await);
        let delivery = Delivery::of(&keys, &machine, &marks);
        let answers = delivery.deliver(keys, &mut slot, self.is_silent).await;
        // Also after a failure: part of the batch may be in the store.
        marks
            .settle(&machine)
            .await
            .map_err(|_| unavailable("the crypto store"))?;
        self.pace.note(count, began.elapsed());
        answers
    }

    fn limits(&self) -> Result<SinkLimits, SinkError> {
        Ok(SinkLimits {
            batch_keys: self.pace.batch_keys(),
            grace: Some(GRACE),
            by_session_id: self.by_session_id,
            checks_keys: true,
        })
    }
}
