//! Fetches all keys of one room.

use std::sync::{Arc, Mutex};

use super::{
    OnDemand, RoomFetch,
    asking::{Asking, SameVersion},
};
use crate::{
    backup::{
        entry,
        reader::{BackupReader, EntryVisitor, RawEntry},
        session_id::SessionId,
    },
    homeserver::{HomeserverError, KeysRequest},
    ids::VersionRowId,
    job::AccessError,
    locked::locked,
    vault::{Connection, EntryBatch, VersionRow},
};

/// Number of entries at which a transaction is made: few, because a run may be waiting.
const BATCH_ENTRIES: usize = 500;
/// Number of bytes at which a transaction is made, for entries that are larger than usual.
const BATCH_BYTES: usize = 1024 * 1024;
/// Number of bytes that are parsed at a time.
const PART_BYTES: usize = 32 * 1024;

impl OnDemand {
    /// Fetches all keys of a room, unless the vault has them.
    pub(crate) async fn fetch_room(&self, room_id: String) -> Result<RoomFetch, AccessError> {
        self.room_flights
            .join(room_id.clone(), || self.fetch_room_once(&room_id))
            .await
    }
}

impl OnDemand {
    async fn fetch_room_once(&self, room_id: &str) -> Result<RoomFetch, AccessError> {
        let asking = self.asking().await?;
        let mut version = asking.version().await?;
        if room_is_complete(&asking, &version, room_id).await? {
            // The room was complete when the server was last asked: a small request shows whether anything has
            // changed since.
            version = asking.current_version().await?;
            if room_is_complete(&asking, &version, room_id).await? {
                return Ok(RoomFetch {
                    new_keys: 0,
                    asked_server: false,
                });
            }
        }
        match fetch(&asking, &version, room_id).await {
            // Either the room has no keys, or the version is gone.
            Err(AccessError::NoBackup) => match asking.same_version(&version).await? {
                SameVersion::Still(_) | SameVersion::Moved => Err(AccessError::RefusedByServer),
                // The room may be in the version that is current now.
                SameVersion::Gone => {
                    let current = asking.current_version().await?;
                    fetch(&asking, &current, room_id).await
                }
            },
            result => result,
        }
    }
}

async fn room_is_complete(asking: &Asking<'_>, version: &VersionRow, room_id: &str) -> Result<bool, AccessError> {
    let (id, room) = (version.id, room_id.to_owned());
    asking.vault(move |vault| vault.room_is_complete(id, &room)).await
}

async fn fetch(asking: &Asking<'_>, version: &VersionRow, room_id: &str) -> Result<RoomFetch, AccessError> {
    let request = KeysRequest::OneRoom(room_id.to_owned());
    let body = asking
        .server(asking.context.homeserver.keys(&version.version, &request))
        .await?;
    let mut reader = BackupReader::one_room();
    let mut room = IncomingRoom {
        version: version.id,
        room_id,
        batch: EntryBatch::compared_through(asking.vault(|vault| vault.last_entry()).await?),
        has_entries: false,
        new_keys: 0,
    };
    let mut ended = loop {
        match asking.server(body.next_chunk()).await {
            Ok(Some(chunk)) => match take(asking, &chunk, &mut reader, &mut room).await {
                Ok(()) => {}
                Err(error) => break Err(error),
            },
            Ok(None) => break reader.finish().map_err(|error| HomeserverError::from(error).into()),
            Err(error) => break Err(error),
        }
    };
    if ended.is_ok() && !room.has_entries {
        // Some servers give the same answer for a version that is gone.
        ended = match asking.same_version(version).await {
            Ok(SameVersion::Still(_)) => Ok(()),
            Ok(SameVersion::Moved | SameVersion::Gone) => Err(AccessError::NoBackup),
            Err(error) => Err(error),
        };
    }
    if ended.is_ok() {
        room.batch.complete_room(room_id, version.era);
    }
    keep(asking, &mut room).await?;
    if room.new_keys > 0 {
        asking.announce_fetched(room_id).await;
    }
    ended.map(|()| RoomFetch {
        new_keys: room.new_keys,
        asked_server: true,
    })
}

/// Parses a chunk, however large the transport makes it, and stores full batches.
async fn take(
    asking: &Asking<'_>,
    chunk: &[u8],
    reader: &mut BackupReader,
    room: &mut IncomingRoom<'_>,
) -> Result<(), AccessError> {
    for part in chunk.chunks(PART_BYTES) {
        reader.push(part, room).map_err(HomeserverError::from)?;
        if room.batch.len() >= BATCH_ENTRIES || room.batch.bodies.len() >= BATCH_BYTES {
            let before = room.new_keys;
            keep(asking, room).await?;
            // Entries that the vault already has take no space.
            if room.new_keys > before {
                asking.check_disk_limit().await?;
            }
        }
    }
    Ok(())
}

/// Stores the batch.
async fn keep(asking: &Asking<'_>, room: &mut IncomingRoom<'_>) -> Result<(), AccessError> {
    if room.batch.is_empty() {
        return Ok(());
    }
    // The next batch continues the same answer.
    let (version, taken) = (room.version, Arc::new(Mutex::new(std::mem::take(&mut room.batch))));
    let shared = taken.clone();
    let insert = move |vault: &mut Connection| {
        let mut batch = locked(&shared);
        batch.take_any();
        vault.insert_beside(version, &mut batch)
    };
    let inserted = asking.vault(insert).await?;
    room.batch = locked(&taken).next();
    room.new_keys += inserted.taken;
    Ok(())
}

/// A room on its way into the vault.
struct IncomingRoom<'a> {
    version: VersionRowId,
    room_id: &'a str,
    batch: EntryBatch,
    has_entries: bool,
    /// Entries that the vault has taken.
    new_keys: u64,
}

impl EntryVisitor for IncomingRoom<'_> {
    fn room(&mut self, _room_id: &str) {}

    fn entry(&mut self, session_id: &str, entry: RawEntry<'_>) {
        self.has_entries = true;
        self.batch
            .push(0, self.room_id, SessionId::parse(session_id), |packed| {
                entry::pack(entry, packed)
            });
    }
}
