//! Sessions of which a store and a backup have different copies.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use keyferry::{BackupOrigin, RoomKey};
use matrix_sdk_crypto::{
    OlmMachine,
    olm::{InboundGroupSession, SenderData},
    store::CryptoStore,
    types::{DeviceKeys, EventEncryptionAlgorithm, Signatures},
    vodozemac::{
        Curve25519PublicKey, Ed25519PublicKey, Ed25519SecretKey,
        megolm::{GroupSession, SessionConfig},
    },
};
use matrix_sdk_sqlite::SqliteCryptoStore;
use ruma::{device_id, room_id, user_id};

/// Where the store's copy came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Origin {
    /// Received directly from a device that is not known yet.
    DirectOfUnknown,
    DirectOfDevice,
    DirectOfVerified,
    Imported,
    Bundle,
}

/// What the backup's copy claims about its sender.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Claims {
    AsTheStore,
    Nothing,
    AnotherSender,
}

/// A session from which different copies are made.
pub(crate) struct Original {
    pub(crate) group: GroupSession,
    pub(crate) sender_key: Curve25519PublicKey,
    pub(crate) signing_key: Ed25519PublicKey,
}

impl Original {
    /// Creates a session of a sender whom nobody knows.
    pub(crate) fn new() -> Self {
        Self {
            group: GroupSession::new(SessionConfig::version_1()),
            sender_key: Curve25519PublicKey::from_bytes([1; 32]),
            signing_key: Ed25519SecretKey::new().public_key(),
        }
    }

    /// Returns the session from its first message onwards.
    pub(crate) fn whole(&self, sender_data: SenderData, shared_history: bool) -> InboundGroupSession {
        InboundGroupSession::new(
            self.sender_key,
            self.signing_key,
            room_id!("!r:localhost"),
            &self.group.session_key(),
            sender_data,
            None,
            EventEncryptionAlgorithm::MegolmV1AesSha2,
            None,
            shared_history,
        )
        .expect("a session")
    }

    /// Returns the copy of a store, from this index onwards.
    pub(crate) async fn local(&self, origin: Origin, index: u32, shared_history: bool) -> InboundGroupSession {
        let owner = DeviceKeys::new(
            user_id!("@bob:localhost").to_owned(),
            device_id!("BOB").to_owned(),
            Vec::new(),
            BTreeMap::new(),
            Signatures::new(),
        );
        let sender_data = match origin {
            Origin::DirectOfDevice => SenderData::device_info(owner),
            Origin::DirectOfVerified => {
                SenderData::sender_verified(user_id!("@bob:localhost"), device_id!("BOB"), self.signing_key)
            }
            _ => SenderData::unknown(),
        };
        let whole = self.whole(sender_data, shared_history);
        let exported = whole.export_at_index(index).await;
        let imported = InboundGroupSession::from_export(&exported).expect("a session");
        if origin == Origin::Imported {
            return imported;
        }
        let mut pickle = whole.pickle().await;
        pickle.pickle = imported.pickle().await.pickle;
        if origin == Origin::Bundle {
            pickle.imported = true;
            let forwarder =
                SenderData::sender_verified(user_id!("@carol:localhost"), device_id!("CAROL"), self.signing_key);
            pickle.forwarder_data = (&forwarder).try_into().ok();
        }
        InboundGroupSession::from_pickle(pickle).expect("a session")
    }

    /// Returns the copy of a backup, from this index onwards.
    pub(crate) async fn backed_up(&self, index: u32, shared_history: bool, claims: Claims) -> RoomKey {
        let exported = self
            .whole(SenderData::unknown(), shared_history)
            .export_at_index(index)
            .await;
        let ed25519 = match claims {
            Claims::AsTheStore => Some(self.signing_key),
            Claims::Nothing => None,
            Claims::AnotherSender => Some(Ed25519SecretKey::new().public_key()),
        };
        let sender_key = match claims {
            Claims::AnotherSender => Curve25519PublicKey::from_bytes([2; 32]),
            _ => self.sender_key,
        };
        RoomKey {
            room_id: exported.room_id.to_string(),
            session_id: exported.session_id.clone(),
            algorithm: exported.algorithm.to_string(),
            sender_key: sender_key.to_base64(),
            session_key: exported.session_key.to_base64().as_str().into(),
            sender_claimed_keys: ed25519
                .map(|key| ("ed25519".to_owned(), key.to_base64()))
                .into_iter()
                .collect(),
            forwarding_curve25519_key_chain: Vec::new(),
            first_known_index: index,
            shared_history,
            origin: BackupOrigin {
                version: "1".to_owned(),
                public_key: String::new(),
                is_current: true,
            },
        }
    }

    /// Returns a key with the same session id and another ratchet.
    pub(crate) async fn with_another_ratchet(&self) -> RoomKey {
        let mut key = self.backed_up(0, true, Claims::AsTheStore).await;
        let mut bytes = STANDARD_NO_PAD.decode(key.session_key.expose()).expect("base64");
        bytes[5..133].fill(7);
        key.session_key = STANDARD_NO_PAD.encode(bytes).as_str().into();
        key
    }
}

/// Saves a session in the store of a machine.
pub(crate) async fn save(machine: &OlmMachine, session: InboundGroupSession) {
    let saved = CryptoStore::save_inbound_group_sessions(&**machine.store(), vec![session], None);
    saved.await.expect("it is saved");
}

/// Returns a session from the store of a machine.
pub(crate) async fn stored(machine: &OlmMachine, session_id: &str) -> InboundGroupSession {
    let session = machine
        .store()
        .get_inbound_group_session(room_id!("!r:localhost"), session_id);
    session.await.expect("a look-up").expect("it is there")
}

/// Returns a machine with a database, and one in memory.
pub(crate) async fn machines(directory: &Path) -> [OlmMachine; 2] {
    let (user_id, device_id) = (user_id!("@alice:localhost"), device_id!("DEVICE"));
    let store = SqliteCryptoStore::open(directory, None).await.expect("a store");
    let in_database = OlmMachine::with_store(user_id, device_id, store, None).await;
    [
        in_database.expect("a machine"),
        OlmMachine::new(user_id, device_id).await,
    ]
}
