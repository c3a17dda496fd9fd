//! Fetches the key of one session.

use super::{
    OnDemand,
    asking::{Asking, SameVersion},
};
use crate::{
    backup::{
        entry,
        reader::{RawEntry, is_entry},
        session_id::SessionId,
    },
    homeserver::HomeserverError,
    ids::{EntryId, VersionRowId},
    job::AccessError,
    lookup::RoomKeyLookup,
    vault::{Connection, EntryBatch, StoredEntry, VersionRow},
};

impl OnDemand {
    /// Returns one key, from the vault or from the server.
    pub(crate) async fn fetch_session(
        &self,
        room_id: String,
        session_id: String,
        better_than: Option<u32>,
    ) -> Result<RoomKeyLookup, AccessError> {
        let wanted = WantedSession {
            room_id,
            session_id,
            better_than,
        };
        self.session_flights
            .join(wanted.clone(), || self.fetch_session_once(&wanted))
            .await
    }
}

/// The key that a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WantedSession {
    room_id: String,
    session_id: String,
    /// The key must begin before this index.
    better_than: Option<u32>,
}

impl WantedSession {
    /// Returns the result of a look-up, or `NotFound` if the key that was found does not begin early enough.
    fn if_it_suits(&self, found: RoomKeyLookup) -> RoomKeyLookup {
        match (&found, self.better_than) {
            (RoomKeyLookup::Found { key, .. }, Some(index)) if key.first_known_index >= index => {
                RoomKeyLookup::NotFound
            }
            _ => found,
        }
    }

    /// Returns the name under which the vault remembers that the server does not have the key.
    fn name(&self) -> String {
        match self.better_than {
            Some(index) => format!("{} before {index}", self.session_id),
            None => self.session_id.clone(),
        }
    }
}

impl OnDemand {
    async fn fetch_session_once(&self, wanted: &WantedSession) -> Result<RoomKeyLookup, AccessError> {
        let WantedSession {
            room_id, session_id, ..
        } = wanted;
        let in_vault = self.find_for_event(wanted).await;
        match &in_vault {
            // The server may have a better copy, or one in a version that is unlocked.
            Ok(RoomKeyLookup::NotFound | RoomKeyLookup::Trimmed | RoomKeyLookup::Unusable { .. })
            | Err(AccessError::Locked) => {}
            _ => return in_vault,
        }
        let asking = self.asking().await?;
        let mut version = match asking.version().await {
            Err(AccessError::NoBackup) if in_vault != Ok(RoomKeyLookup::NotFound) => return what_is_left(in_vault),
            version => version?,
        };
        if in_vault.is_err() && !asking.context.keys.can_open(&version) {
            return Err(AccessError::Locked);
        }
        // Tries twice if the backup has changed, but never as often as a server could make it change.
        for _ in 0..2 {
            let name = (version.clone(), room_id.clone(), wanted.name());
            let is_missing = move |vault: &mut Connection| vault.is_missing(&name.0, &name.1, &name.2);
            if asking.vault(is_missing).await? {
                break;
            }
            let homeserver = &asking.context.homeserver;
            let answer = asking
                .server(homeserver.session_key(&version.version, room_id, session_id))
                .await?;
            if let Some(body) = answer {
                keep(&asking, version.id, room_id, session_id, &body).await?;
                let found = match self.find_for_event(wanted).await? {
                    RoomKeyLookup::NotFound | RoomKeyLookup::Trimmed | RoomKeyLookup::Unusable { .. } => {
                        self.open_alone(version.id, wanted, &body).await?
                    }
                    found => found,
                };
                if found == RoomKeyLookup::NotFound {
                    note_missing(&asking, version, wanted).await?;
                }
                return Ok(found);
            }
            // The server gives the same answer if the version itself is gone.
            match asking.same_version(&version).await? {
                SameVersion::Still(now) => {
                    note_missing(&asking, *now, wanted).await?;
                    break;
                }
                // The version has changed in between, so the answer may be out of date.
                SameVersion::Moved => break,
                SameVersion::Gone => match asking.current_version().await {
                    Ok(current) => version = current,
                    Err(AccessError::NoBackup) => break,
                    Err(error) => return Err(error),
                },
            }
        }
        what_is_left(in_vault)
    }

    async fn find_for_event(&self, wanted: &WantedSession) -> Result<RoomKeyLookup, AccessError> {
        let (room_id, session_id) = (wanted.room_id.clone(), wanted.session_id.clone());
        let found = self
            .lookup
            .look_up(move |lookup| lookup.find(&room_id, &session_id))
            .await?;
        Ok(wanted.if_it_suits(found))
    }

    /// Opens a fetched entry that the vault does not store. The vault has trimmed its own copy, or has none that can
    /// be used.
    async fn open_alone(
        &self,
        version: VersionRowId,
        wanted: &WantedSession,
        body: &[u8],
    ) -> Result<RoomKeyLookup, AccessError> {
        let mut packed = Vec::new();
        entry::pack(RawEntry::Json(body), &mut packed);
        let entry = StoredEntry {
            id: EntryId::NONE,
            version,
            room_id: wanted.room_id.clone(),
            session: SessionId::parse(&wanted.session_id),
            body: packed,
        };
        let opened = self.lookup.look_up(move |lookup| lookup.open_alone(&entry)).await?;
        Ok(wanted.if_it_suits(opened))
    }
}

async fn note_missing(asking: &Asking<'_>, version: VersionRow, wanted: &WantedSession) -> Result<(), AccessError> {
    let (room_id, name) = (wanted.room_id.clone(), wanted.name());
    asking
        .vault(move |vault| vault.note_missing(&version, &room_id, &name))
        .await
}

/// Returns the vault's result for a key that the server does not have.
fn what_is_left(in_vault: Result<RoomKeyLookup, AccessError>) -> Result<RoomKeyLookup, AccessError> {
    Ok(match in_vault? {
        RoomKeyLookup::Trimmed => RoomKeyLookup::NotFound,
        in_vault => in_vault,
    })
}

async fn keep(
    asking: &Asking<'_>,
    version: VersionRowId,
    room_id: &str,
    session_id: &str,
    body: &[u8],
) -> Result<(), AccessError> {
    // A captive portal also answers 200.
    if !is_entry(body) {
        return Err(HomeserverError::NotTheHomeserver.into());
    }
    let (room, session, body) = (room_id.to_owned(), SessionId::parse(session_id), body.to_vec());
    let insert = move |vault: &mut Connection| {
        let mut batch = EntryBatch::compared_through(EntryId::MAX);
        batch.push(0, &room, session.clone(), |packed| {
            entry::pack(RawEntry::Json(&body), packed)
        });
        batch.take_any();
        vault.insert_beside(version, &mut batch)
    };
    if asking.vault(insert).await?.taken > 0 {
        asking.announce_fetched(room_id).await;
    }
    Ok(())
}
