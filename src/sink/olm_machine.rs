//! A sink over a live `OlmMachine`, for teams that link matrix-sdk-crypto and keyferry into one Rust library.
//!
//! It keeps that crate's merge and trust rules: an imported key is never trusted more than a directly received one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
use tokio::task::JoinSet;

use super::{RoomKeySink, SinkAnswer, SinkError};
use crate::backup::RoomKey;

type MachineSource = dyn Fn() -> Option<OlmMachine> + Send + Sync;

/// Delivers into `OlmMachine::store().import_room_keys`. Feature `matrix-sdk-sink`.
///
/// Keys are imported without a backup version: matrix-sdk-crypto would otherwise mark keys of an old version as backed
/// up in the current one, and never upload them there.
pub struct OlmMachineSink {
    machine: Arc<MachineSource>,
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
        }
    }
}

#[async_trait]
impl RoomKeySink for OlmMachineSink {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        let unavailable = |detail: &str| SinkError::Unavailable {
            detail: detail.to_owned(),
        };
        let machine = (self.machine)().ok_or_else(|| unavailable("no machine"))?;
        let mut answers = vec![SinkAnswer::Known; keys.len()];
        let mut exported = Vec::with_capacity(keys.len());
        let mut positions: HashMap<(OwnedRoomId, String), usize> = HashMap::with_capacity(keys.len());
        let mut signing_keys = SigningKeys::default();
        for (position, key) in keys.iter().enumerate() {
            match export(key, &mut signing_keys) {
                Some(key) => {
                    positions.insert((key.room_id.clone(), key.session_id.clone()), position);
                    exported.push(key);
                }
                None => {
                    answers[position] = SinkAnswer::Refused {
                        reason: "invalid key or room id".to_owned(),
                    }
                }
            }
        }
        let mut imports = JoinSet::new();
        for part in parts(exported) {
            let machine = machine.clone();
            imports.spawn(async move { machine.store().import_room_keys(part, None, |_, _| {}).await });
        }
        while let Some(result) = imports.join_next().await {
            let result = result
                .map_err(|_| unavailable("import_room_keys ended early"))?
                .map_err(|_| unavailable("import_room_keys"))?;
            for (room_id, session) in imported(&result.keys) {
                if let Some(position) = positions.get(&(room_id.clone(), session.clone())) {
                    answers[*position] = SinkAnswer::Imported;
                }
            }
        }
        Ok(answers)
    }
}

/// Two parts to import at the same time: one is looked up, session by session, while the other is saved.
///
/// Each is sorted and has a range of session ids of its own, so that the store's index is written range by range: a
/// quarter of the time is saved by that. Copies of a session stay in one part, where one is merged into the other.
fn parts(mut keys: Vec<ExportedRoomKey>) -> impl Iterator<Item = Vec<ExportedRoomKey>> {
    keys.sort_unstable_by(|one, other| one.session_id.cmp(&other.session_id));
    let middle = keys.get(keys.len() / 2).map(|key| key.session_id.clone());
    let begin = keys.partition_point(|key| middle.as_ref().is_some_and(|middle| key.session_id < *middle));
    let second = keys.split_off(begin);
    [keys, second].into_iter().filter(|part| !part.is_empty())
}

fn imported(
    keys: &BTreeMap<OwnedRoomId, BTreeMap<String, BTreeSet<String>>>,
) -> impl Iterator<Item = (&OwnedRoomId, &String)> {
    keys.iter()
        .flat_map(|(room_id, senders)| senders.values().flatten().map(move |session| (room_id, session)))
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
