//! Looking keys up in the vault, offline: for a message that is on screen and does not decrypt.
//!
//! The look-up connection and the unsealed keys are opened by the first look-up and kept for the next ones, which then
//! cost one decryption. `close_lookups`, and `shutdown`, give both up: call it before the app is suspended.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::{
    backup::{
        FailureReason, RoomKey,
        copies::{Copy, Presence, best_in_room, may_be_shared},
        decryption::BackupDecryptionKey,
        ratchet::{MegolmEvent, Ratchet},
        session_id::SessionId,
    },
    blocking::blocking,
    client::KeyBackupClient,
    compare::{Compared, Comparer},
    decryption_keys::DecryptionKeys,
    download::StatusError,
    job::{PauseCause, Work},
    vault::{
        Connection, CopyState, Fingerprint, ListedEntry, Placement, StoredCopy, StoredEntry, Vault, VaultError,
        room_number,
    },
};

/// Keys of a page, at most.
const MAX_PAGE: u32 = 1_000;

/// What the vault says of a session in a room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "bindings have no boxes, and it is made once for a call"
)]
pub enum RoomKeyLookup {
    /// Here it is. Of several copies that connect, the one that begins earliest; of several that do not, the one that an event
    /// has proved, else the one that came first.
    Found {
        /// The key.
        key: RoomKey,
        /// Other rooms that the same session stands under, none as a rule: the server may be moving keys. Whether the key is
        /// this room's shows when it decrypts, as the plaintext of an event names its room.
        other_rooms: Vec<String>,
    },
    /// It is not in the vault. It may be in the backup: see whether the download is complete.
    NotFound,
    /// The app's crypto has taken it, and by the app's policy it has left the vault: `fetch_session` gets it again.
    Trimmed,
    /// The entry is there, and can never be used.
    Unusable {
        /// Why.
        reason: FailureReason,
    },
}

/// Keys of a room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RoomKeyPage {
    /// The keys, each once: as `find_room_key` has it. Those that cannot be opened are left out.
    pub keys: Vec<RoomKey>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}

/// A key could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
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

    fn fingerprint(&self, key: &RoomKey) -> Option<Fingerprint> {
        let session = Ratchet::of(key)?.at(key.first_known_index)?;
        Some(self.vault.fingerprint(&session))
    }

    fn key(&self, session: &Session, version: i64) -> Result<Option<Arc<BackupDecryptionKey>>, LookupError> {
        if let Some(key) = session.keys.get(version).or_else(|| self.keys.get(version)) {
            return Ok(Some(key));
        }
        // Unlocked since the connection was opened.
        session.keys.load(&session.connection)?;
        Ok(session.keys.get(version))
    }

    fn open(
        &self,
        session: &Session,
        version: i64,
        room_id: &str,
        id: &SessionId,
        body: &[u8],
    ) -> Result<Result<RoomKey, FailureReason>, LookupError> {
        let key = self.key(session, version)?.ok_or(LookupError::Locked)?;
        let current = session.connection.current_version()?.map(|current| current.id);
        let row = session.connection.version_by_id(version)?;
        let origin = row.and_then(|row| row.origin(Some(version) == current));
        let origin = origin.ok_or(LookupError::Locked)?;
        let opened = key.open(body, id, &mut Vec::new(), |opened| {
            Ratchet::import(opened.session()).map(|_| opened.room_key(room_id, &origin))
        });
        Ok(opened.and_then(|key| key.ok_or(FailureReason::InvalidSessionKey)))
    }

    pub(crate) fn find(&self, room_id: &str, session_id: &str) -> Result<RoomKeyLookup, LookupError> {
        self.with(|session| self.find_in(session, room_id, &SessionId::parse(session_id)))
    }

    fn find_in(&self, session: &Session, room_id: &str, id: &SessionId) -> Result<RoomKeyLookup, LookupError> {
        let copies = session.connection.copies(room_id, id)?;
        let in_room = InRoom::of(self, session, room_id, id, copies)?;
        in_room.answer()
    }

    /// Opens what has just come and is not kept, and holds it against what is here.
    pub(crate) fn open_alone(&self, entry: &StoredEntry) -> Result<RoomKeyLookup, LookupError> {
        self.with(|session| {
            let opened = self.open(session, entry.version, &entry.room_id, &entry.session, &entry.body)?;
            let key = match opened {
                Ok(key) => key,
                Err(reason) => return Ok(RoomKeyLookup::Unusable { reason }),
            };
            let copies = session.connection.copies(&entry.room_id, &entry.session)?;
            let is_rival = copies
                .iter()
                .any(|copy| copy.counts() && copy.presence != Presence::Here && !self.continues(copy, &key));
            match is_rival {
                // What the app's crypto has taken is another key.
                true => Ok(RoomKeyLookup::NotFound),
                false => Ok(RoomKeyLookup::Found {
                    key,
                    other_rooms: Vec::new(),
                }),
            }
        })
    }

    /// Whether a key that has come connects to a copy that has left the vault, as far as that can be told.
    fn continues(&self, copy: &StoredCopy, key: &RoomKey) -> bool {
        let CopyState::Opened {
            first_index,
            fingerprint: Some(print),
            ..
        } = copy.state
        else {
            return true;
        };
        if key.first_known_index > first_index {
            return true;
        }
        let advanced = Ratchet::of(key).and_then(|mut ratchet| ratchet.at(first_index));
        advanced.is_some_and(|session| self.vault.fingerprint(&session) == print)
    }

    /// Whether an event proves one of the copies; what it proves is kept.
    fn prove(&self, room_id: &str, id: &SessionId, event: &MegolmEvent) -> Result<KeyProof, LookupError> {
        let proved = self.with(|session| {
            let copies = session.connection.copies(room_id, id)?;
            let in_room = InRoom::of(self, session, room_id, id, copies)?;
            in_room.proved_by(self, session, room_id, id, event)
        })?;
        match proved {
            Proved::By(entry) => {
                let mut connection = self.vault.connect()?;
                connection.prove(entry)?;
                Ok(KeyProof::Proved)
            }
            Proved::No => Ok(KeyProof::NotProved),
            Proved::NotHere => Ok(KeyProof::NotFound),
        }
    }

    fn room_keys(&self, room_id: &str, after: i64, limit: usize) -> Result<RoomKeyPage, LookupError> {
        self.with(|session| {
            let page = session.connection.room_entries(room_id, after, limit)?;
            let last = page.entries.last().map(|listed| listed.entry.id);
            let next = last.filter(|_| page.is_full);
            let mut keys = Vec::with_capacity(page.entries.len());
            let mut locked = false;
            for ListedEntry { entry, has_copies } in &page.entries {
                let opened = match has_copies {
                    true => self.one_of_several(session, room_id, entry),
                    false => self
                        .open(session, entry.version, room_id, &entry.session, &entry.body)
                        .map(Result::ok),
                };
                match opened {
                    Ok(key) => keys.extend(key),
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

    /// A key that stands several times comes with the copy that look-ups have.
    fn one_of_several(
        &self,
        session: &Session,
        room_id: &str,
        entry: &StoredEntry,
    ) -> Result<Option<RoomKey>, LookupError> {
        let copies = session.connection.copies(room_id, &entry.session)?;
        let in_room = InRoom::of(self, session, room_id, &entry.session, copies)?;
        Ok(in_room.best().filter(|(best, _)| *best == entry.id).map(|(_, key)| key))
    }
}

/// Whether an event shows that a key is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum KeyProof {
    /// It does. From now on this key ranks before every other copy of its session, everywhere and over restarts.
    Proved,
    /// No copy in the vault decrypts the event, or its plaintext names another room. That proves nothing: the event may be
    /// forged, or from before the key begins. `fetch_room` may bring another copy.
    NotProved,
    /// The vault has no key that this could be about.
    NotFound,
}

enum Proved {
    By(i64),
    No,
    NotHere,
}

/// The copies of a session, as a look-up in one room sees them: those that wait to be opened or compared are, for this once.
struct InRoom {
    room: i64,
    copies: Vec<StoredCopy>,
    keys: HashMap<i64, RoomKey>,
    other_rooms: Vec<String>,
    is_locked: bool,
}

impl InRoom {
    fn of(
        lookup: &Lookup,
        session: &Session,
        room_id: &str,
        id: &SessionId,
        mut copies: Vec<StoredCopy>,
    ) -> Result<Self, LookupError> {
        let hash = session.connection.room_hash(room_id);
        let mut other_rooms = Vec::new();
        for copy in copies.iter().filter(|copy| copy.room_hash != hash && copy.is_opened()) {
            let name = session.connection.room_of_copy(copy)?;
            if !other_rooms.contains(&name) {
                other_rooms.push(name);
            }
        }
        copies.retain(|copy| copy.room_hash == hash);
        let mut in_room = Self {
            room: room_number(&hash),
            copies,
            keys: HashMap::new(),
            other_rooms,
            is_locked: false,
        };
        in_room.open_all(lookup, session, room_id, id)?;
        Ok(in_room)
    }

    /// Opens what may be given out: all where they have to be compared, else the one that counts.
    fn open_all(
        &mut self,
        lookup: &Lookup,
        session: &Session,
        room_id: &str,
        id: &SessionId,
    ) -> Result<(), LookupError> {
        for position in 0..self.copies.len() {
            let copy = &self.copies[position];
            if copy.state != CopyState::Unopened || copy.body.is_empty() {
                continue;
            }
            let entry = copy.entry;
            let state = match lookup.open(session, copy.version, room_id, id, &copy.body) {
                Ok(Ok(key)) => {
                    let state = CopyState::Opened {
                        first_index: key.first_known_index,
                        shared_history: key.shared_history,
                        fingerprint: lookup.fingerprint(&key),
                    };
                    self.keys.insert(entry, key);
                    state
                }
                Ok(Err(reason)) => CopyState::Failed(reason),
                Err(LookupError::Locked) => {
                    self.is_locked = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.copies[position].state = state;
            self.copies[position].class = None;
        }
        self.compare_all(lookup, session, id);
        while let Some(best) = self.best_copy() {
            let entry = best.entry;
            if self.keys.contains_key(&entry) {
                break;
            }
            match lookup.open(session, best.version, room_id, id, &best.body)? {
                Ok(key) => drop(self.keys.insert(entry, key)),
                // Then the next best one counts.
                Err(reason) => {
                    for copy in self.copies.iter_mut().filter(|copy| copy.entry == entry) {
                        copy.state = CopyState::Failed(reason);
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts what has not been compared yet into its class.
    fn compare_all(&mut self, lookup: &Lookup, session: &Session, id: &SessionId) {
        let mut order: Vec<usize> = (0..self.copies.len()).collect();
        order.sort_by_key(|position| self.copies[*position].entry);
        for position in order {
            let copy = &self.copies[position];
            if !copy.is_opened() || copy.class.is_some() {
                continue;
            }
            let entry = copy.entry;
            let comparer = Comparer {
                vault: &lookup.vault,
                keys: &session.keys,
                session: id,
            };
            let class = match comparer.compare(&self.copies, entry) {
                Compared::Placed(Placement::Joins(class)) => Some(class),
                Compared::Placed(Placement::Founds) => Some(entry),
                // Nobody can tell now: what is compared ranks before it.
                Compared::Placed(Placement::NotNeeded) | Compared::Locked => None,
                Compared::Unusable => {
                    self.copies[position].state = CopyState::Failed(FailureReason::InvalidSessionKey);
                    continue;
                }
            };
            self.copies[position].set_class(class);
        }
    }

    fn facts(&self) -> Vec<Copy> {
        self.copies.iter().filter_map(StoredCopy::facts).collect()
    }

    fn best_copy(&self) -> Option<&StoredCopy> {
        let facts = self.facts();
        let best = facts[best_in_room(&facts, self.room)?].entry;
        self.copies.iter().find(|copy| copy.entry == best)
    }

    /// The entry and the key that look-ups have.
    fn best(&self) -> Option<(i64, RoomKey)> {
        let best = self.best_copy()?;
        let mut key = self.keys.get(&best.entry)?.clone();
        key.shared_history = may_be_shared(&self.facts(), self.room, best.class.unwrap_or(best.entry));
        Some((best.entry, key))
    }

    fn answer(&self) -> Result<RoomKeyLookup, LookupError> {
        if let Some((_, key)) = self.best() {
            return Ok(RoomKeyLookup::Found {
                key,
                other_rooms: self.other_rooms.clone(),
            });
        }
        if self.copies.iter().any(|copy| copy.presence == Presence::Trimmed) {
            return Ok(RoomKeyLookup::Trimmed);
        }
        if self.is_locked {
            return Err(LookupError::Locked);
        }
        let failures = self.copies.iter().rev().filter_map(|copy| match copy.state {
            CopyState::Failed(reason) => Some(reason),
            _ => None,
        });
        Ok(match failures.into_iter().next() {
            Some(reason) => RoomKeyLookup::Unusable { reason },
            None => RoomKeyLookup::NotFound,
        })
    }

    /// The copy that the event proves: of the class that counts before others, the one that begins earliest.
    fn proved_by(
        &self,
        lookup: &Lookup,
        session: &Session,
        room_id: &str,
        id: &SessionId,
        event: &MegolmEvent,
    ) -> Result<Proved, LookupError> {
        let mut any = false;
        for copy in self
            .copies
            .iter()
            .filter(|copy| copy.is_opened() && !copy.body.is_empty())
        {
            let key = match self.keys.get(&copy.entry) {
                Some(key) => key.clone(),
                None => match lookup.open(session, copy.version, room_id, id, &copy.body)? {
                    Ok(key) => key,
                    Err(_) => continue,
                },
            };
            any = true;
            if Ratchet::of(&key).is_some_and(|mut ratchet| ratchet.is_proved_by(event, room_id)) {
                return Ok(Proved::By(copy.entry));
            }
        }
        match any {
            true => Ok(Proved::No),
            false if self.is_locked => Err(LookupError::Locked),
            false => Ok(Proved::NotHere),
        }
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
        self.look_up(move |lookup| lookup.find(&room_id, &session_id)).await
    }

    /// The keys of a room, at most `limit` (1 to 1,000), from `after` on (`None`: from the first).
    ///
    /// # Errors
    /// A [`LookupError`].
    pub async fn room_keys(&self, room_id: String, after: Option<i64>, limit: u32) -> Result<RoomKeyPage, LookupError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        self.look_up(move |lookup| lookup.room_keys(&room_id, after.unwrap_or(0), limit))
            .await
    }

    /// Takes an event that was encrypted with a session as proof that the vault's key of it is genuine: the event's JSON, or that
    /// of its content, as it came from the server (`m.room.encrypted`; at most 256 KiB). It proves the key if it decrypts with it
    /// and names the room in its plaintext; then look-ups, sinks and exports have that key, whatever came first. Nothing else
    /// proves a key: entries of a backup are not signed. Call it where a message does not decrypt with the key that the app has,
    /// or where a session stands under two rooms.
    ///
    /// # Errors
    /// A [`LookupError`].
    pub async fn prove_room_key(
        &self,
        room_id: String,
        session_id: String,
        event_json: String,
    ) -> Result<KeyProof, LookupError> {
        let Some(event) = MegolmEvent::parse(&event_json) else {
            return Ok(KeyProof::NotProved);
        };
        if event.session_id.as_ref().is_some_and(|named| *named != session_id) {
            return Ok(KeyProof::NotProved);
        }
        let proof = self
            .look_up(move |lookup| lookup.prove(&room_id, &SessionId::parse(&session_id), &event))
            .await?;
        if proof == KeyProof::Proved {
            self.download.ask_for_a_run().await;
        }
        Ok(proof)
    }

    /// Closes the connection that look-ups keep open, and wipes the keys that it holds. Call it before the app is
    /// suspended; the next look-up opens it again.
    pub async fn close_lookups(&self) {
        let lookup = self.lookup.clone();
        blocking(move || lookup.close()).await;
    }
}

impl KeyBackupClient {
    /// One look-up, if it may be made now. While the app is in the background the database is open for that call only: an app
    /// that is suspended with an open one is killed.
    pub(crate) async fn look_up<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Lookup) -> Result<T, LookupError> + Send + 'static,
    ) -> Result<T, LookupError> {
        self.may_look_up()?;
        let (lookup, control) = (self.lookup.clone(), self.download.control.clone());
        let answer = blocking(move || {
            let answer = work(&lookup);
            if control.now().causes().has(PauseCause::InBackground) {
                lookup.close();
            }
            answer
        });
        answer.await.unwrap_or(Err(LookupError::Internal))
    }

    pub(crate) fn may_look_up(&self) -> Result<(), LookupError> {
        if self.download.control.now().causes().stop(Work::AskVault) {
            return Err(LookupError::Inaccessible);
        }
        Ok(())
    }
}
