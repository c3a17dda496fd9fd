//! Opens the served entries and secrets with code that shares nothing with the code that wrote them.

use aws_lc_rs::{agreement, cipher, hkdf, hmac, iv::FixedLength, pbkdf2};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use keyferry_test_homeserver::{Config, Homeserver, Oddity, TrueKey, Truth, VersionAction};
use serde_json::Value;

use crate::client::{V3, escape, get};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[test]
fn every_served_entry_opens_to_the_true_key() {
    let homeserver = Homeserver::start(Config {
        room_sizes: vec![1100, 1, 0, 250],
        odd_entries: true,
        odd_every: 10,
        ..Config::default()
    })
    .expect("it starts");
    let truth = homeserver.truth();
    let private = decode(&homeserver.account().backup_decryption_key_base64);

    let served = get(&homeserver, &format!("{V3}/room_keys/keys?version=1")).json();
    let rooms = served["rooms"].as_object().expect("there are rooms");
    assert_eq!(rooms.len(), 3, "a room without keys is left out");
    assert_eq!(truth.len(), 1351);
    open_all(truth, &private, &served);
}

#[test]
fn a_version_with_another_key_holds_the_same_room_keys() {
    let homeserver = Homeserver::start(Config {
        odd_entries: true,
        odd_every: 10,
        ..Config::default()
    })
    .expect("it starts");
    let truth = homeserver.truth();
    let account = homeserver.account();
    let secret = homeserver.account_data("m.megolm_backup.v1");
    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    assert_eq!(homeserver.account_data("m.megolm_backup.v1"), secret);

    let private = homeserver.decryption_key_of("2").expect("there is a second version");
    assert_ne!(private, account.backup_decryption_key_base64);
    let private = decode(&private);
    let typed = homeserver.recovery_key_of("2").expect("there is a second version");
    let typed = bs58::decode(typed.replace(' ', "")).into_vec().expect("it is base58");
    assert_eq!(typed[2..34], private);
    let version = get(&homeserver, &format!("{V3}/room_keys/version")).json();
    assert_eq!((&version["version"], &version["count"]), (&"2".into(), &100.into()));
    assert_eq!(decode_value(&version["auth_data"]["public_key"]), public_half(&private));

    let served = get(&homeserver, &format!("{V3}/room_keys/keys?version=2")).json();
    open_all(truth, &private, &served);
    for room in 0..truth.rooms() {
        let room_id = truth.room_id(room);
        let path = format!("{V3}/room_keys/keys/{}", escape(&room_id));
        let expected = &served["rooms"][&room_id];
        assert_eq!(&get(&homeserver, &format!("{path}?version=2")).json(), expected);
        for index in truth.room_range(room) {
            let session_id = truth.key(index).session_id;
            let alone = get(&homeserver, &format!("{path}/{}?version=2", escape(&session_id))).json();
            assert_eq!(alone, expected["sessions"][&session_id]);
        }
    }

    // The first version has not changed.
    assert_eq!(
        homeserver.decryption_key_of("1").as_ref(),
        Some(&account.backup_decryption_key_base64)
    );
    assert_eq!(
        homeserver.recovery_key_of("1").as_ref(),
        Some(&account.backup_recovery_key)
    );
    let served = get(&homeserver, &format!("{V3}/room_keys/keys?version=1")).json();
    open_all(truth, &decode(&account.backup_decryption_key_base64), &served);
    homeserver.set_version_state(VersionAction::Delete);
    assert_eq!(homeserver.decryption_key_of("2"), None);
}

/// Opens every entry, some of which are odd, and compares it with the truth.
fn open_all(truth: &Truth, private: &[u8], served: &Value) {
    let mut usable = 0;
    for index in 0..truth.len() {
        let expected = truth.key(index);
        let entry = &served["rooms"][&expected.room_id]["sessions"][&expected.session_id];
        let opened = open(private, entry);
        assert_eq!(
            opened.is_some(),
            expected.usable || expected.oddity == Some(Oddity::ForeignSessionId),
            "entry {index} is {:?}",
            expected.oddity
        );
        if let Some(opened) = opened {
            compare(&opened, &expected);
            usable += u64::from(expected.usable);
        }
    }
    assert!(usable < truth.len(), "some entries are odd");
}

fn compare(opened: &Value, expected: &TrueKey) {
    assert_eq!(opened["algorithm"], "m.megolm.v1.aes-sha2");
    assert_eq!(opened["sender_key"], expected.sender_key);
    assert_eq!(opened["session_key"], expected.session_key);
    let claimed = opened["sender_claimed_keys"]["ed25519"].as_str();
    assert_eq!(claimed, expected.sender_claimed_ed25519.as_deref());
    let flags = [
        "shared_history",
        "m.shared_history",
        "org.matrix.msc3061.shared_history",
    ];
    let flags: Vec<&Value> = flags.iter().filter_map(|name| opened.get(name)).collect();
    assert_eq!(flags.len(), 1, "the flag is written under one name only");
    assert_eq!(flags[0].as_bool().unwrap_or(false), expected.shared_history);

    let key = decode(&expected.session_key);
    assert_eq!(key.len(), 165);
    assert_eq!(key[0], 1);
    assert_eq!(key[1..5], expected.first_known_index.to_be_bytes());
    let foreign = expected.oddity == Some(Oddity::ForeignSessionId);
    assert_eq!(key[133..] == decode(&expected.session_id), !foreign);
}

#[test]
fn the_secret_is_behind_the_recovery_key_and_behind_the_passphrase() {
    let homeserver = Homeserver::start(Config::default()).expect("it starts");
    let account = homeserver.account();
    let data = |kind: &str| homeserver.account_data(kind).expect("it is set");

    let default = data("m.secret_storage.default_key");
    assert_eq!(default["key"], account.secret_storage_key_id);
    let typed = bs58::decode(account.recovery_key.replace(' ', ""));
    let typed = typed.into_vec().expect("it is base58");
    let description = data(&format!("m.secret_storage.key.{}", account.passphrase_key_id));
    let info = &description["passphrase"];
    let mut derived = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        1000.try_into().expect("it is not zero"),
        info["salt"].as_str().expect("it is text").as_bytes(),
        account.secret_storage_passphrase.as_bytes(),
        &mut derived,
    );

    let secret = data("m.megolm_backup.v1");
    for (id, key) in [
        (&account.secret_storage_key_id, &typed[2..34]),
        (&account.passphrase_key_id, &derived[..]),
    ] {
        let opened = open_secret(key, "m.megolm_backup.v1", &secret["encrypted"][id]);
        assert_eq!(opened, account.backup_decryption_key_base64.as_bytes());
        let mut check = data(&format!("m.secret_storage.key.{id}"));
        let mut zeros = hkdf_bytes(key, b"", 64);
        let mac_key = zeros.split_off(32);
        let mut nothing = [0; 32];
        ctr(&zeros, &decode_value(&check["iv"]), &mut nothing);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &mac_key), &nothing);
        assert_eq!(decode_value(&check["mac"].take()), mac.as_ref());
    }
    let backup_key = bs58::decode(account.backup_recovery_key.replace(' ', ""));
    let backup_key = backup_key.into_vec().expect("it is base58");
    assert_eq!(backup_key[2..34], decode(&account.backup_decryption_key_base64));
}

#[test]
fn a_legacy_passphrase_gives_the_backup_key() {
    let homeserver = Homeserver::start(Config {
        keys: 1,
        legacy_passphrase: Some("a long time ago".to_owned()),
        ..Config::default()
    })
    .expect("it starts");
    let version = get(&homeserver, &format!("{V3}/room_keys/version")).json();
    let auth_data = &version["auth_data"];
    let iterations = auth_data["private_key_iterations"].as_u64();
    let iterations = iterations.and_then(|number| u32::try_from(number).ok()?.try_into().ok());
    let mut derived = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        iterations.expect("there are iterations"),
        auth_data["private_key_salt"]
            .as_str()
            .expect("there is a salt")
            .as_bytes(),
        b"a long time ago",
        &mut derived,
    );
    assert_eq!(decode_value(&auth_data["public_key"]), public_half(&derived));
}

fn public_half(private: &[u8]) -> Vec<u8> {
    let private = agreement::PrivateKey::from_private_key(&agreement::X25519, private).expect("32 bytes are a key");
    let public = private.compute_public_key().expect("it has a public half");
    public.as_ref().to_vec()
}

/// Decrypts an entry. Returns `None` if it holds no room key that can be read.
fn open(private: &[u8], entry: &Value) -> Option<Value> {
    let data = entry["session_data"].as_object()?;
    let private = agreement::PrivateKey::from_private_key(&agreement::X25519, private).expect("32 bytes are a key");
    let ephemeral = decode_value(&data["ephemeral"]);
    let ephemeral = agreement::UnparsedPublicKey::new(&agreement::X25519, ephemeral);
    let keys = agreement::agree(&private, ephemeral, (), |secret| Ok(hkdf_bytes(secret, b"", 80)))
        .expect("the ephemeral key is a good one");
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys[32..64]), b"");
    assert_eq!(decode_value(&data["mac"]), mac.as_ref()[..8]);

    let key = cipher::UnboundCipherKey::new(&cipher::AES_256, &keys[..32]).expect("32 bytes");
    let key = cipher::PaddedBlockDecryptingKey::cbc_pkcs7(key).expect("AES has a CBC mode");
    let iv: [u8; 16] = keys[64..].try_into().expect("16 bytes");
    let iv = cipher::DecryptionContext::Iv128(FixedLength::from(iv));
    let mut text = decode_value(&data["ciphertext"]);
    let plaintext = key.decrypt(&mut text, iv).ok()?;
    serde_json::from_slice(plaintext).ok()
}

fn open_secret(key: &[u8], name: &str, sealed: &Value) -> Vec<u8> {
    let keys = hkdf_bytes(key, name.as_bytes(), 64);
    let mut text = decode_value(&sealed["ciphertext"]);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys[32..]), &text);
    assert_eq!(decode_value(&sealed["mac"]), mac.as_ref());
    let iv = decode_value(&sealed["iv"]);
    assert_eq!(iv[8] & 0x80, 0, "bit 63 is cleared");
    ctr(&keys[..32], &iv, &mut text);
    text
}

fn ctr(key: &[u8], iv: &[u8], data: &mut [u8]) {
    let key = cipher::UnboundCipherKey::new(&cipher::AES_256, key).expect("32 bytes");
    let key = cipher::DecryptingKey::ctr(key).expect("AES has a CTR mode");
    let iv: [u8; 16] = iv.try_into().expect("16 bytes");
    let iv = cipher::DecryptionContext::Iv128(FixedLength::from(iv));
    key.decrypt(data, iv).expect("AES-CTR takes any data");
}

fn hkdf_bytes(secret: &[u8], info: &[u8], length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[0; 32])
        .extract(secret)
        .expand(&[info], Length(length))
        .and_then(|okm| okm.fill(&mut out))
        .expect("the length is allowed");
    out
}

fn decode_value(text: &Value) -> Vec<u8> {
    decode(text.as_str().expect("it is text"))
}

fn decode(text: &str) -> Vec<u8> {
    BASE64.decode(text).expect("it is base64")
}
