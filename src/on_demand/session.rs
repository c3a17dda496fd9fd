//! One session.

use super::{OnDemandError, asking::Asking};
use crate::{
    backup::{
        entry,
        reader::{RawEntry, is_entry},
        session_id::SessionId,
    },
    blocking::blocking,
    client::KeyBackupClient,
    homeserver::HomeserverError,
    lookup::{LookupError, RoomKeyLookup},
    vault::{EntryBatch, StoredEntry},
};

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupClient {
    /// The key of a message that cannot be decrypted right now: from the vault, else from the server. Costs one request;
    /// two or three where the server does not have it, as that may mean that the backup has changed. Asked for by many at once
    /// it is requested once. `NotFound` is remembered for ten minutes, or until the backup changes.
    ///
    /// Name the room that the message is in. A key that stands under two rooms is given out here, as the message says which
    /// room is meant; whether that is true shows when it is decrypted, as its plaintext names the room.
    ///
    /// # Errors
    /// An [`OnDemandError`].
    pub async fn fetch_session(&self, room_id: String, session_id: String) -> Result<RoomKeyLookup, OnDemandError> {
        let key = (room_id.clone(), session_id.clone());
        self.session_flights
            .join(key, || self.fetch_session_once(&room_id, &session_id))
            .await
    }
}

impl KeyBackupClient {
    async fn fetch_session_once(&self, room_id: &str, session_id: &str) -> Result<RoomKeyLookup, OnDemandError> {
        let in_vault = self.find_for_event(room_id, session_id).await;
        match &in_vault {
            // There may be a better copy, or one of a version that is unlocked.
            Ok(RoomKeyLookup::NotFound | RoomKeyLookup::Trimmed | RoomKeyLookup::Unusable { .. })
            | Err(LookupError::Locked) => {}
            _ => return Ok(in_vault?),
        }
        let asking = self.asking().await?;
        let mut version = match asking.version().await {
            Err(OnDemandError::NoBackup) if in_vault != Ok(RoomKeyLookup::NotFound) => return what_is_left(in_vault),
            version => version?,
        };
        if in_vault.is_err() && !asking.parts.keys.can_open(&version) {
            return Err(OnDemandError::Locked);
        }
        // Twice where the backup has changed, not as often as a server likes.
        for _ in 0..2 {
            let name = (version.clone(), room_id.to_owned(), session_id.to_owned());
            let is_missing = move |vault: &mut crate::vault::Connection| vault.is_missing(&name.0, &name.1, &name.2);
            if asking.vault(is_missing).await? {
                break;
            }
            let homeserver = &asking.parts.homeserver;
            let answer = asking
                .server(homeserver.session_key(&version.version, room_id, session_id))
                .await?;
            if let Some(body) = answer {
                keep(&asking, version.id, room_id, session_id, &body).await?;
                return match self.find_for_event(room_id, session_id).await? {
                    RoomKeyLookup::NotFound | RoomKeyLookup::Trimmed | RoomKeyLookup::Unusable { .. } => {
                        self.open_alone(version.id, room_id, session_id, &body).await
                    }
                    found => Ok(found),
                };
            }
            // The same answer is given where the version itself is gone.
            let current = match asking.current_version().await {
                Ok(current) => current,
                Err(OnDemandError::NoBackup) => break,
                Err(error) => return Err(error),
            };
            if current.id == version.id {
                // If it has changed in between, the answer was of before.
                if current.era == version.era {
                    let name = (room_id.to_owned(), session_id.to_owned());
                    asking
                        .vault(move |vault| vault.note_missing(&current, &name.0, &name.1))
                        .await?;
                }
                break;
            }
            version = current;
        }
        what_is_left(in_vault)
    }

    async fn find_for_event(&self, room_id: &str, session_id: &str) -> Result<RoomKeyLookup, LookupError> {
        self.may_look_up()?;
        let (lookup, room_id, session_id) = (self.lookup.clone(), room_id.to_owned(), session_id.to_owned());
        blocking(move || lookup.find_for_event(&room_id, &session_id))
            .await
            .unwrap_or(Err(LookupError::Internal))
    }

    /// The vault has given its own copy up, or has none, and does not take it.
    async fn open_alone(
        &self,
        version: i64,
        room_id: &str,
        session_id: &str,
        body: &[u8],
    ) -> Result<RoomKeyLookup, OnDemandError> {
        let mut packed = Vec::new();
        entry::pack(RawEntry::Json(body), &mut packed);
        let entry = StoredEntry {
            id: 0,
            version,
            room_id: room_id.to_owned(),
            session: SessionId::parse(session_id),
            body: packed,
        };
        let lookup = self.lookup.clone();
        let opened = blocking(move || lookup.open_alone(&entry)).await;
        Ok(opened.unwrap_or(Err(LookupError::Internal))?)
    }
}

/// What the vault says, where the server has nothing.
fn what_is_left(in_vault: Result<RoomKeyLookup, LookupError>) -> Result<RoomKeyLookup, OnDemandError> {
    Ok(match in_vault? {
        RoomKeyLookup::Trimmed => RoomKeyLookup::NotFound,
        in_vault => in_vault,
    })
}

async fn keep(
    asking: &Asking<'_>,
    version: i64,
    room_id: &str,
    session_id: &str,
    body: &[u8],
) -> Result<(), OnDemandError> {
    // A captive portal says 200, too.
    if !is_entry(body) {
        return Err(HomeserverError::NotTheHomeserver.into());
    }
    let mut batch = EntryBatch::default();
    batch.push(room_id, SessionId::parse(session_id), |packed| {
        entry::pack(RawEntry::Json(body), packed);
    });
    let inserted = asking.vault(move |vault| vault.insert_beside(version, &batch)).await?;
    if inserted.inserted > 0 {
        asking.has_fetched(room_id).await;
    }
    Ok(())
}
