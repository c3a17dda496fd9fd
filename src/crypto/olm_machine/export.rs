//! Converts keys to matrix-sdk-crypto's type.

use std::collections::BTreeMap;

use matrix_sdk_crypto::{
    olm::ExportedRoomKey,
    types::{EventEncryptionAlgorithm, SigningKey},
    vodozemac::{Curve25519PublicKey, megolm::ExportedSessionKey},
};
use ruma::{DeviceKeyAlgorithm, OwnedRoomId};

use crate::backup::RoomKey;

/// Caches the signing keys of devices that created sessions: few devices create many, and a key is costly to parse.
#[derive(Default)]
pub(super) struct SigningKeys(BTreeMap<(DeviceKeyAlgorithm, String), Option<SigningKey>>);

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
pub(super) fn export(key: &RoomKey, signing_keys: &mut SigningKeys) -> Option<ExportedRoomKey> {
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
