//! A sink over a live `OlmMachine`, for teams that link matrix-sdk-crypto and keyferry into one Rust library.
//!
//! An imported key is never trusted more than a directly received one. `local_copy` and `docs/odd-entries.md` say
//! what happens to a session that is already there.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use matrix_sdk_crypto::{
    OlmMachine,
    olm::ExportedRoomKey,
    types::{EventEncryptionAlgorithm, SigningKey},
    vodozemac::{Curve25519PublicKey, megolm::ExportedSessionKey},
};
use ruma::{DeviceKeyAlgorithm, OwnedRoomId};
use tokio::sync::Mutex;

use super::{
    MachineSource,
    backup_marks::BackupMarks,
    import::{Offer, import, refused, unavailable},
    local_sessions::LocalSessions,
};
use crate::{
    backup::RoomKey,
    crypto::sink::{RoomKeySink, SinkAnswer, SinkError},
};

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
        }
    }
}

#[async_trait]
impl RoomKeySink for OlmMachineSink {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        let machine = (self.machine)().ok_or_else(|| unavailable("no machine"))?;
        let mut slot = self.local.lock().await;
        let marks = Arc::new(BackupMarks::for_delivery_to(&machine).await);
        let answers = deliver(&machine, &mut slot, &keys, &marks).await;
        // Also after a failure: part of the batch may be in the store.
        marks
            .settle(&machine)
            .await
            .map_err(|_| unavailable("the crypto store"))?;
        answers
    }
}

async fn deliver(
    machine: &OlmMachine,
    slot: &mut Option<LocalSessions>,
    keys: &[RoomKey],
    marks: &Arc<BackupMarks>,
) -> Result<Vec<SinkAnswer>, SinkError> {
    let ids: HashSet<&str> = keys.iter().map(|key| key.session_id.as_str()).collect();
    let mut answers = vec![None; keys.len()];
    let mut signing_keys = SigningKeys::default();
    let mut waiting: Vec<_> = (0..keys.len()).collect();
    while !waiting.is_empty() {
        slot.take_if(|local| !local.are_of(machine) || !local.note_news(|id| ids.contains(id)));
        let local = match &mut *slot {
            Some(local) => local,
            none => none.insert(
                LocalSessions::of(machine)
                    .await
                    .map_err(|_| unavailable("the crypto store"))?,
            ),
        };
        let mut offers = Vec::with_capacity(waiting.len());
        let mut seen = HashSet::with_capacity(waiting.len());
        // One copy of a session at a time: the next is then compared with what the store has by then.
        for position in waiting.extract_if(.., |position| seen.insert(&keys[*position].session_id)) {
            match export(&keys[position], &mut signing_keys) {
                None => answers[position] = Some(refused("invalid key or room id")),
                Some(key) => offers.push(Offer {
                    position,
                    presence: local.offer(&key.room_id, &key.session_id),
                    key,
                    may_be_marked: marks.may_be_made(&keys[position].origin),
                }),
            }
        }
        for (position, answer) in import(machine, offers, marks).await? {
            if answer.is_none() {
                waiting.push(position);
            }
            answers[position] = answer;
        }
    }
    slot.take_if(|local| !local.note_news(|id| ids.contains(id)));
    Ok(answers.into_iter().flatten().collect())
}

/// Caches the signing keys of devices that created sessions: few devices create many, and a key is costly to parse.
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

/// Converts a key to matrix-sdk-crypto's type. Its fields are strict where ours are lenient: parts that it would
/// refuse are left out. Returns `None` if the key is useless without such a part.
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
