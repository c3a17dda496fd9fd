//! One room.

use std::sync::{Arc, Mutex};

use super::{
    OnDemand, OnDemandError, RoomFetch,
    asking::{Asking, SameVersion},
};
use crate::{
    backup::{
        entry,
        reader::{BackupReader, EntryVisitor, RawEntry},
        session_id::SessionId,
    },
    homeserver::{HomeserverError, KeysRequest},
    vault::{Connection, EntryBatch, VaultError, VersionRow},
};

/// Entries of a transaction: few, as a run may be waiting.
const BATCH_ENTRIES: usize = 500;
/// Bytes of a transaction, for entries that are larger than usual.
const BATCH_BYTES: usize = 1024 * 1024;
/// Bytes that are read at a time.
const PART_BYTES: usize = 32 * 1024;

impl OnDemand {
    /// Gets all keys of a room.
    pub(crate) async fn fetch_room(&self, room_id: String) -> Result<RoomFetch, OnDemandError> {
        self.room_flights
            .join(room_id.clone(), || self.fetch_room_once(&room_id))
            .await
    }
}

impl OnDemand {
    async fn fetch_room_once(&self, room_id: &str) -> Result<RoomFetch, OnDemandError> {
        let asking = self.asking().await?;
        let mut version = asking.version().await?;
        if room_is_complete(&asking, &version, room_id).await? {
            // As of the last look: a small request tells whether anything has come since.
            version = asking.current_version().await?;
            if room_is_complete(&asking, &version, room_id).await? {
                return Ok(RoomFetch {
                    new_keys: 0,
                    asked_server: false,
                });
            }
        }
        match fetch(&asking, &version, room_id).await {
            // A room without keys, or a version that is gone.
            Err(OnDemandError::NoBackup) => match asking.same_version(&version).await? {
                SameVersion::Still(_) | SameVersion::Moved => Err(OnDemandError::Refused),
                // The room may be in the one that is current now.
                SameVersion::Gone => {
                    let current = asking.current_version().await?;
                    fetch(&asking, &current, room_id).await
                }
            },
            result => result,
        }
    }
}

async fn room_is_complete(asking: &Asking<'_>, version: &VersionRow, room_id: &str) -> Result<bool, OnDemandError> {
    let (id, room) = (version.id, room_id.to_owned());
    asking.vault(move |vault| vault.room_is_complete(id, &room)).await
}

async fn fetch(asking: &Asking<'_>, version: &VersionRow, room_id: &str) -> Result<RoomFetch, OnDemandError> {
    let request = KeysRequest::OneRoom(room_id.to_owned());
    let body = asking
        .server(asking.context.homeserver.keys(&version.version, &request))
        .await?;
    let mut reader = BackupReader::one_room();
    let mut room = Room {
        room_id,
        batch: EntryBatch::compared_through(asking.vault(|vault| vault.last_entry()).await?),
        has_entries: false,
    };
    let mut new_keys = 0;
    let mut ended = loop {
        match asking.server(body.next_chunk()).await {
            Ok(Some(chunk)) => match take(asking, version.id, &chunk, &mut reader, &mut room, &mut new_keys).await {
                Ok(()) => {}
                Err(error) => break Err(error),
            },
            Ok(None) => break reader.finish().map_err(|error| HomeserverError::from(error).into()),
            Err(error) => break Err(error),
        }
    };
    if ended.is_ok() && !room.has_entries {
        // Some servers say the same of a version that is not there.
        ended = match asking.same_version(version).await {
            Ok(SameVersion::Still(_)) => Ok(()),
            Ok(SameVersion::Moved | SameVersion::Gone) => Err(OnDemandError::NoBackup),
            Err(error) => Err(error),
        };
    }
    if ended.is_ok() {
        room.batch.complete_room(room_id, version.era);
    }
    new_keys += keep(asking, version.id, &mut room.batch).await?;
    if new_keys > 0 {
        asking.has_fetched(room_id).await;
    }
    ended.map(|()| RoomFetch {
        new_keys,
        asked_server: true,
    })
}

/// Takes a chunk in, however large a transport makes it.
async fn take(
    asking: &Asking<'_>,
    version: i64,
    chunk: &[u8],
    reader: &mut BackupReader,
    room: &mut Room<'_>,
    new_keys: &mut u64,
) -> Result<(), OnDemandError> {
    for part in chunk.chunks(PART_BYTES) {
        reader.push(part, room).map_err(HomeserverError::from)?;
        if room.batch.len() >= BATCH_ENTRIES || room.batch.bodies.len() >= BATCH_BYTES {
            let kept = keep(asking, version, &mut room.batch).await?;
            *new_keys += kept;
            // What is here already takes no room.
            if kept > 0 {
                asking.look_at_the_disk().await?;
            }
        }
    }
    Ok(())
}

async fn keep(asking: &Asking<'_>, version: i64, batch: &mut EntryBatch) -> Result<u64, OnDemandError> {
    if batch.is_empty() {
        return Ok(0);
    }
    // The answer goes on in the next one.
    let taken = Arc::new(Mutex::new(std::mem::take(batch)));
    let shared = taken.clone();
    let insert = move |vault: &mut Connection| {
        let mut batch = shared.lock().map_err(|_| VaultError::Panicked)?;
        batch.take_any();
        vault.insert_beside(version, &mut batch)
    };
    let inserted = asking.vault(insert).await?;
    if let Ok(mut taken) = taken.lock() {
        *batch = taken.next();
    }
    Ok(inserted.taken)
}

struct Room<'a> {
    room_id: &'a str,
    batch: EntryBatch,
    has_entries: bool,
}

impl EntryVisitor for Room<'_> {
    fn room(&mut self, _room_id: &str) {}

    fn entry(&mut self, session_id: &str, entry: RawEntry<'_>) {
        self.has_entries = true;
        self.batch
            .push(0, self.room_id, SessionId::parse(session_id), |packed| {
                entry::pack(entry, packed)
            });
    }
}
