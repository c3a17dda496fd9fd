//! Looking keys up in the vault, offline: for a message that is on screen and does not decrypt.
//!
//! The look-up connection and the unsealed keys are opened by the first look-up and kept for the next ones, which then
//! cost one decryption. `close_lookups`, and `shutdown`, give both up: call it before the app is suspended.

use std::sync::{Arc, Mutex};

use crate::{
    backup::{FailureReason, RoomKey},
    blocking::blocking,
    client::KeyBackupClient,
    download::{StatusError, Work},
    unlock::DecryptionKeys,
    vault::{Connection, Found, StoredEntry, Vault, VaultError},
};

/// Keys of a page, at most.
const MAX_PAGE: u32 = 1_000;

/// What the vault says of a session in a room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum RoomKeyLookup {
    /// Here it is.
    Found {
        /// The key.
        key: RoomKey,
    },
    /// It is not in the vault. It may be in the backup: see whether the download is complete.
    NotFound,
    /// The app's crypto has taken it, and by the app's policy it has left the vault: `fetch_session` gets it again.
    Trimmed,
    /// The same session stands under another room too: the server may be moving keys, and neither is given out.
    Conflict,
    /// The entry is there, and can never be opened.
    Unusable {
        /// Why.
        reason: FailureReason,
    },
}

/// Keys of a room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RoomKeyPage {
    /// The keys; those that cannot be opened or are in conflict are left out.
    pub keys: Vec<RoomKey>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}

/// A key could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The backup has not been unlocked: call `unlock`.
    #[error("the backup is not unlocked")]
    Locked,
    /// Another process writes for longer than five seconds, or the phone is locked. Passes by itself.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The vault was deleted, set aside or replaced since this client was opened: shut it down, and open another one.
    #[error("the vault is gone")]
    Gone,
    /// The vault is damaged: shut the client down, `set_vault_aside`, and open another one.
    #[error("the vault is damaged")]
    Damaged,
    /// A bug in the crate: the log says more.
    #[error("a bug in the crate")]
    Internal,
    /// The client is shut down.
    #[error("the client is shut down")]
    ShutDown,
}

impl From<StatusError> for LookupError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Busy | StatusError::Inaccessible => Self::Inaccessible,
            StatusError::Gone => Self::Gone,
            StatusError::Damaged => Self::Damaged,
            StatusError::Internal => Self::Internal,
            StatusError::ShutDown => Self::ShutDown,
        }
    }
}

impl From<VaultError> for LookupError {
    fn from(error: VaultError) -> Self {
        StatusError::from(error).into()
    }
}

/// The look-up connection, while it is held.
pub(crate) struct Lookup {
    vault: Vault,
    keys: Arc<DecryptionKeys>,
    session: Mutex<LookupState>,
}

enum LookupState {
    Closed,
    Open(Box<Session>),
    ShutDown,
}

struct Session {
    connection: Connection,
    /// Keys of its own: a run that ends drops the shared ones.
    keys: DecryptionKeys,
}

impl Lookup {
    pub(crate) fn new(vault: Vault, keys: Arc<DecryptionKeys>) -> Self {
        Self {
            vault,
            keys,
            session: Mutex::new(LookupState::Closed),
        }
    }

    pub(crate) fn close(&self) {
        if let Ok(mut state) = self.session.lock()
            && matches!(*state, LookupState::Open(_))
        {
            *state = LookupState::Closed;
        }
    }

    pub(crate) fn shut_down(&self) {
        if let Ok(mut state) = self.session.lock() {
            *state = LookupState::ShutDown;
        }
    }

    fn with<T>(&self, work: impl FnOnce(&Session) -> Result<T, LookupError>) -> Result<T, LookupError> {
        let mut state = self.session.lock().map_err(|_| LookupError::Internal)?;
        if matches!(*state, LookupState::Closed) {
            let connection = self.vault.connect()?;
            let keys = self.keys.snapshot(&connection)?;
            *state = LookupState::Open(Box::new(Session { connection, keys }));
        }
        match &*state {
            LookupState::Open(session) => work(session),
            LookupState::Closed | LookupState::ShutDown => Err(LookupError::ShutDown),
        }
    }

    fn open(&self, session: &Session, entry: &StoredEntry) -> Result<Result<RoomKey, FailureReason>, LookupError> {
        let mut key = session.keys.get(entry.version).or_else(|| self.keys.get(entry.version));
        if key.is_none() {
            // Unlocked since the connection was opened.
            session.keys.load(&session.connection)?;
            key = session.keys.get(entry.version);
        }
        let key = key.ok_or(LookupError::Locked)?;
        Ok(key.open(&entry.body, &entry.session, &mut Vec::new(), |opened| {
            opened.room_key(&entry.room_id)
        }))
    }

    fn find(&self, room_id: &str, session_id: &str) -> Result<RoomKeyLookup, LookupError> {
        self.with(|session| match session.connection.find(room_id, session_id)? {
            Found::Conflict(_) => Ok(RoomKeyLookup::Conflict),
            Found::Entries(entries) => self.best(session, &entries),
        })
    }

    /// The same for an event of that room: it names the room, and its decryption will show whether that is true.
    pub(crate) fn find_for_event(&self, room_id: &str, session_id: &str) -> Result<RoomKeyLookup, LookupError> {
        self.with(|session| match session.connection.find(room_id, session_id)? {
            Found::Conflict(entries) | Found::Entries(entries) => self.best(session, &entries),
        })
    }

    /// Opens what has just come and is not kept.
    pub(crate) fn open_alone(&self, entry: &StoredEntry) -> Result<RoomKeyLookup, LookupError> {
        self.with(|session| self.best(session, std::slice::from_ref(entry)))
    }

    /// Of the copies that open, the one that begins earliest, and of several the newest; else what is wrong with the newest.
    fn best(&self, session: &Session, entries: &[StoredEntry]) -> Result<RoomKeyLookup, LookupError> {
        let mut best: Option<RoomKey> = None;
        let mut newest = None;
        for entry in entries {
            if entry.body.is_empty() {
                newest.get_or_insert(Ok(RoomKeyLookup::Trimmed));
                continue;
            }
            let answer = match self.open(session, entry) {
                Ok(Ok(key)) => {
                    if best
                        .as_ref()
                        .is_none_or(|best| key.first_known_index < best.first_known_index)
                    {
                        best = Some(key);
                    }
                    if best.as_ref().is_some_and(|best| best.first_known_index == 0) {
                        break;
                    }
                    continue;
                }
                Ok(Err(reason)) => Ok(RoomKeyLookup::Unusable { reason }),
                Err(error) => Err(error),
            };
            newest.get_or_insert(answer);
        }
        match best {
            Some(key) => Ok(RoomKeyLookup::Found { key }),
            None => newest.unwrap_or(Ok(RoomKeyLookup::NotFound)),
        }
    }

    fn room_keys(&self, room_id: &str, after: i64, limit: usize) -> Result<RoomKeyPage, LookupError> {
        self.with(|session| {
            let page = session.connection.room_entries(room_id, after, limit)?;
            let last = page.entries.last().map(|entry| entry.id);
            let next = last.filter(|_| page.is_full);
            let mut keys = Vec::with_capacity(page.entries.len());
            let mut locked = false;
            for entry in &page.entries {
                match self.open(session, entry) {
                    Ok(key) => keys.extend(key.ok()),
                    // Of a version that nobody has unlocked: others may be.
                    Err(LookupError::Locked) => locked = true,
                    Err(error) => return Err(error),
                }
            }
            if locked && keys.is_empty() && next.is_none() {
                return Err(LookupError::Locked);
            }
            Ok(RoomKeyPage { keys, next })
        })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupClient {
    /// Looks for a key in the vault, offline. Costs about one decryption; the first call after opening or
    /// `close_lookups` a little more.
    ///
    /// # Errors
    /// A [`LookupError`]; [`LookupError::Locked`] only if the entry is there.
    pub async fn find_room_key(&self, room_id: String, session_id: String) -> Result<RoomKeyLookup, LookupError> {
        self.may_look_up()?;
        let lookup = self.lookup.clone();
        blocking(move || lookup.find(&room_id, &session_id))
            .await
            .unwrap_or(Err(LookupError::Internal))
    }

    /// The keys of a room, at most `limit` (1 to 1,000), from `after` on (`None`: from the first).
    ///
    /// # Errors
    /// A [`LookupError`].
    pub async fn room_keys(&self, room_id: String, after: Option<i64>, limit: u32) -> Result<RoomKeyPage, LookupError> {
        self.may_look_up()?;
        let lookup = self.lookup.clone();
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        blocking(move || lookup.room_keys(&room_id, after.unwrap_or(0), limit))
            .await
            .unwrap_or(Err(LookupError::Internal))
    }

    /// Closes the connection that look-ups keep open, and wipes the keys that it holds. Call it before the app is
    /// suspended; the next look-up opens it again.
    pub async fn close_lookups(&self) {
        let lookup = self.lookup.clone();
        blocking(move || lookup.close()).await;
    }
}

impl KeyBackupClient {
    pub(crate) fn may_look_up(&self) -> Result<(), LookupError> {
        if self.download.control.now().causes().stop(Work::AskVault) {
            return Err(LookupError::Inaccessible);
        }
        Ok(())
    }
}
