//! Builds backup entries as clients do, and answers of a server with them.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use keyferry_test_homeserver::{AccountInfo, TrueKey};
use matrix_sdk_crypto::{
    store::types::BackupDecryptionKey,
    vodozemac::{
        Curve25519PublicKey, megolm::ExportedSessionKey, megolm::InboundGroupSession, pk_encryption::PkEncryption,
    },
};
use serde_json::{Value, json};

/// Returns the public key of the account's backup.
pub(crate) fn public_key(account: &AccountInfo) -> Curve25519PublicKey {
    let key = BackupDecryptionKey::from_base64(&account.backup_decryption_key_base64).expect("a key");
    let public_key = key.megolm_v1_public_key().to_base64();
    Curve25519PublicKey::from_base64(&public_key).expect("a key")
}

/// Returns the plaintext that the entry of a key contains.
pub(crate) fn plaintext(key: &TrueKey) -> Value {
    json!({
        "algorithm": "m.megolm.v1.aes-sha2",
        "sender_key": key.sender_key,
        "session_key": key.session_key,
        "sender_claimed_keys": { "ed25519": key.sender_claimed_ed25519 },
        "forwarding_curve25519_key_chain": [],
    })
}

/// Encrypts a plaintext into an entry that claims this first message index.
pub(crate) fn seal(plaintext: &Value, first_message_index: u32, public_key: Curve25519PublicKey) -> Value {
    let sealed = PkEncryption::from_key(public_key)
        .encrypt(plaintext.to_string().as_bytes())
        .expect("it is encrypted");
    json!({
        "first_message_index": first_message_index,
        "forwarded_count": 0,
        "is_verified": false,
        "session_data": {
            "ciphertext": STANDARD_NO_PAD.encode(&sealed.ciphertext),
            "mac": STANDARD_NO_PAD.encode(&sealed.mac),
            "ephemeral": sealed.ephemeral_key.to_base64(),
        },
    })
}

/// Returns what a server says about a version.
pub(crate) fn version_info(version: &str, etag: &str, count: u64, auth_data: Value) -> Value {
    json!({
        "version": version,
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "etag": etag,
        "count": count,
        "auth_data": auth_data,
    })
}

/// Returns the JSON text of one room with its entries, by session id. A session may stand in it twice.
pub(crate) fn room(room_id: &str, entries: &[(impl AsRef<str>, impl AsRef<str>)]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|(session, entry)| format!("\"{}\":{}", session.as_ref(), entry.as_ref()))
        .collect();
    format!("\"{room_id}\":{{\"sessions\":{{{}}}}}", entries.join(","))
}

/// Returns the JSON text of an answer with these rooms. A room may stand in it twice.
pub(crate) fn rooms(rooms: &[String]) -> String {
    format!("{{\"rooms\":{{{}}}}}", rooms.join(","))
}

/// Returns the key of the same session from a later index onwards.
pub(crate) fn from_index(key: &TrueKey, index: u32) -> TrueKey {
    let session_key = ExportedSessionKey::from_base64(&key.session_key).expect("a session key");
    let mut session = InboundGroupSession::import(&session_key, Default::default());
    let later = session.export_at(index).expect("the session begins before the index");
    TrueKey {
        session_key: later.to_base64(),
        first_known_index: index,
        ..key.clone()
    }
}

/// Forges a key that claims to be the same session from its first message onwards. That takes no key of the session,
/// because an exported session is not signed.
pub(crate) fn forged(plaintext: &Value) -> Value {
    let session = plaintext["session_key"].as_str().expect("a session key");
    let mut bytes = STANDARD_NO_PAD.decode(session).expect("base64");
    bytes[1..5].fill(0);
    bytes[5..133].fill(0x5a);
    let mut forged = plaintext.clone();
    forged["session_key"] = STANDARD_NO_PAD.encode(bytes).into();
    forged
}
