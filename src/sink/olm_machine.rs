//! A sink over a live `OlmMachine`, for teams that link matrix-sdk-crypto and keyferry into one Rust library.
//!
//! An imported key is never trusted more than a directly received one; what becomes of a session that is there already is in
//! `local_copy`, and in `docs/odd-entries.md`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use matrix_sdk_crypto::{
    OlmMachine,
    olm::ExportedRoomKey,
    store::{CryptoStore, CryptoStoreError, Store},
    types::{EventEncryptionAlgorithm, SigningKey},
    vodozemac::{Curve25519PublicKey, megolm::ExportedSessionKey},
};
use ruma::{DeviceKeyAlgorithm, OwnedRoomId};
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    RoomKeySink, SinkAnswer, SinkError,
    local_copy::{self, Merge},
    local_sessions::{LocalSessions, Presence},
};
use crate::backup::RoomKey;

type MachineSource = dyn Fn() -> Option<OlmMachine> + Send + Sync;

/// Delivers into `OlmMachine::store().import_room_keys`. Feature `matrix-sdk-sink`.
///
/// Of a session that the store has already, each copy gives what it knows better: the earlier ratchet is taken, and a copy that
/// was received directly keeps its sender, its trust and its flag.
///
/// Keys are imported without a backup version: matrix-sdk-crypto would otherwise mark keys of an old version as backed
/// up in the current one, and never upload them there.
pub struct OlmMachineSink {
    machine: Arc<MachineSource>,
    local: Mutex<Option<LocalSessions>>,
}

impl OlmMachineSink {
    /// A sink over one machine.
    pub fn new(machine: OlmMachine) -> Self {
        Self::with_source(move || Some(machine.clone()))
    }

    /// A sink that asks for the machine before every batch, for apps that replace it (after a store was reset, or
    /// when a notification extension took over). `None` means: not now.
    pub fn with_source(source: impl Fn() -> Option<OlmMachine> + Send + Sync + 'static) -> Self {
        Self {
            machine: Arc::new(source),
            local: Mutex::default(),
        }
    }
}

#[async_trait]
impl RoomKeySink for OlmMachineSink {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        let machine = (self.machine)().ok_or_else(|| unavailable("no machine"))?;
        let mut slot = self.local.lock().await;
        let ids: HashSet<&str> = keys.iter().map(|key| key.session_id.as_str()).collect();
        let mut answers = vec![None; keys.len()];
        let mut signing_keys = SigningKeys::default();
        let mut waiting: Vec<_> = (0..keys.len()).collect();
        while !waiting.is_empty() {
            slot.take_if(|local| !local.are_of(&machine) || !local.note_news(|id| ids.contains(id)));
            let local = match &mut *slot {
                Some(local) => local,
                none => none.insert(
                    LocalSessions::of(&machine)
                        .await
                        .map_err(|_| unavailable("the crypto store"))?,
                ),
            };
            let mut offers = Vec::with_capacity(waiting.len());
            let mut seen = HashSet::with_capacity(waiting.len());
            // Of the copies of a session one at a time: the others are held against what the store has then.
            for position in waiting.extract_if(.., |position| seen.insert(&keys[*position].session_id)) {
                match export(&keys[position], &mut signing_keys) {
                    None => answers[position] = Some(refused("invalid key or room id")),
                    Some(key) => offers.push(Offer {
                        position,
                        presence: local.offer(&key.room_id, &key.session_id),
                        key,
                    }),
                }
            }
            let mut imports = JoinSet::new();
            for part in parts(offers) {
                imports.spawn(import(machine.clone(), part));
            }
            while let Some(result) = imports.join_next().await {
                let result = result
                    .map_err(|_| unavailable("the import ended early"))?
                    .map_err(|_| unavailable("the crypto store"))?;
                for (position, answer) in result {
                    if answer.is_none() {
                        waiting.push(position);
                    }
                    answers[position] = answer;
                }
            }
        }
        slot.take_if(|local| !local.note_news(|id| ids.contains(id)));
        Ok(answers.into_iter().flatten().collect())
    }
}

/// A key that is offered to the store, and its place in the batch.
struct Offer {
    position: usize,
    key: ExportedRoomKey,
    presence: Presence,
}

/// Two parts to import at the same time: one is looked up, session by session, while the other is saved.
///
/// Each is sorted and has a range of session ids of its own, so that the store's index is written range by range: a
/// quarter of the time is saved by that.
fn parts(mut offers: Vec<Offer>) -> impl Iterator<Item = Vec<Offer>> {
    offers.sort_unstable_by(|one, other| one.key.session_id.cmp(&other.key.session_id));
    let second = offers.split_off(offers.len() / 2);
    [offers, second].into_iter().filter(|part| !part.is_empty())
}

/// Takes the keys of different sessions into the store. No answer where a key was not looked for, and not wanted: its session
/// has come in by another way.
async fn import(machine: OlmMachine, offers: Vec<Offer>) -> Result<Vec<(usize, Option<SinkAnswer>)>, CryptoStoreError> {
    let store = machine.store();
    let mut answers = Vec::with_capacity(offers.len());
    let mut new = Vec::with_capacity(offers.len());
    let mut not_wanted = HashMap::with_capacity(offers.len());
    for Offer {
        position,
        key,
        presence,
    } in offers
    {
        let answer = match look_and_merge(store, key, presence).await? {
            Merge::Known => SinkAnswer::Known,
            Merge::Refused { reason } => refused(reason),
            Merge::Save(session) => {
                // At once: what comes in meanwhile would be overwritten.
                CryptoStore::save_inbound_group_sessions(&**store, vec![session], None).await?;
                SinkAnswer::Imported
            }
            Merge::Import(key) => {
                let was_looked_for = presence != Presence::No;
                let answer = was_looked_for.then_some(SinkAnswer::Known);
                not_wanted.insert(key.session_id.clone(), (position, answer));
                new.push(key);
                continue;
            }
        };
        answers.push((position, Some(answer)));
    }
    let result = store.import_room_keys(new, None, |_, _| {}).await?;
    for session in result.keys.values().flat_map(|senders| senders.values().flatten()) {
        if let Some((position, _)) = not_wanted.remove(session) {
            answers.push((position, Some(SinkAnswer::Imported)));
        }
    }
    answers.extend(not_wanted.into_values());
    Ok(answers)
}

async fn look_and_merge(store: &Store, key: ExportedRoomKey, presence: Presence) -> Result<Merge, CryptoStoreError> {
    if presence == Presence::No {
        return Ok(Merge::Import(key));
    }
    match store.get_inbound_group_session(&key.room_id, &key.session_id).await {
        Ok(Some(local)) => Ok(local_copy::merge(&local, key).await),
        Ok(None) if presence == Presence::Elsewhere => Ok(Merge::Refused {
            reason: "the store has this session under another room",
        }),
        Ok(None) => Ok(Merge::Import(key)),
        // One row that cannot be read, in a store that can.
        Err(_) if store.load_account().await.is_ok() => Ok(Merge::Refused {
            reason: "the store's own copy cannot be read",
        }),
        Err(error) => Err(error),
    }
}

fn unavailable(detail: &str) -> SinkError {
    SinkError::Unavailable {
        detail: detail.to_owned(),
    }
}

fn refused(reason: &str) -> SinkAnswer {
    SinkAnswer::Refused {
        reason: reason.to_owned(),
    }
}

/// The signing keys of devices that made sessions: few devices make many, and a key is costly to parse.
#[derive(Default)]
struct SigningKeys(BTreeMap<(DeviceKeyAlgorithm, String), Option<SigningKey>>);

impl SigningKeys {
    fn of(&mut self, algorithm: &DeviceKeyAlgorithm, text: &str) -> Option<SigningKey> {
        self.0
            .entry((algorithm.clone(), text.to_owned()))
            .or_insert_with(|| SigningKey::from_parts(algorithm, text.to_owned()).ok())
            .clone()
    }
}

/// The key in that crate's type. Its fields are strict where ours are patient: parts that it would refuse are left out.
fn export(key: &RoomKey, signing_keys: &mut SigningKeys) -> Option<ExportedRoomKey> {
    let sender_claimed_keys = key
        .sender_claimed_keys
        .iter()
        .filter_map(|(algorithm, key)| {
            let algorithm = DeviceKeyAlgorithm::from(algorithm.as_str());
            let signing_key = signing_keys.of(&algorithm, key)?;
            Some((algorithm, signing_key))
        })
        .collect();
    let forwarding_chain: Result<_, _> = key
        .forwarding_curve25519_key_chain
        .iter()
        .map(|key| Curve25519PublicKey::from_base64(key))
        .collect();
    Some(ExportedRoomKey {
        algorithm: EventEncryptionAlgorithm::from(key.algorithm.as_str()),
        room_id: OwnedRoomId::try_from(key.room_id.as_str()).ok()?,
        sender_key: Curve25519PublicKey::from_base64(&key.sender_key).ok()?,
        session_id: key.session_id.clone(),
        session_key: ExportedSessionKey::from_base64(key.session_key.expose()).ok()?,
        sender_claimed_keys,
        forwarding_curve25519_key_chain: forwarding_chain.unwrap_or_default(),
        shared_history: key.shared_history,
    })
}
