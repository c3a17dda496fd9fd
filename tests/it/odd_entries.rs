//! Odd entries that contain a key nevertheless: what keyferry does with each, and what matrix-sdk-crypto does alone.
//!
//! The table is that of `docs/odd-entries.md`, line by line.

use keyferry::{RoomKeyLookup, RunBudget};
use keyferry_test_homeserver::{EndpointKind, Fault, TrueKey};
use matrix_sdk_crypto::{
    OlmMachine, olm::ExportedRoomKey, store::types::BackupDecryptionKey, vodozemac::Curve25519PublicKey,
};
use ruma::{RoomId, api::client::backup::KeyBackupData, device_id, user_id};
use serde_json::{Map, Value, json};

use crate::support::{Setup, WHOLE, backup_entry, homeserver, status};

/// One way to make an entry odd: changes to its plaintext, and to the entry around it.
struct Odd {
    name: &'static str,
    plaintext: fn(&mut Map<String, Value>),
    entry: fn(&mut Map<String, Value>),
}

const fn within(name: &'static str, plaintext: fn(&mut Map<String, Value>)) -> Odd {
    Odd {
        name,
        plaintext,
        entry: |_| {},
    }
}

const fn around(name: &'static str, entry: fn(&mut Map<String, Value>)) -> Odd {
    Odd {
        name,
        plaintext: |_| {},
        entry,
    }
}

fn set(fields: &mut Map<String, Value>, name: &str, value: Value) {
    fields.insert(name.to_owned(), value);
}

/// Adds padding to a base64 text.
fn pad(value: &mut Value) {
    let text = value.as_str().expect("a text");
    let padding = "=".repeat((4 - text.len() % 4) % 4);
    *value = format!("{text}{padding}").into();
}

const ALL: &[Odd] = &[
    within("nothing odd", |_| {}),
    around("`is_verified` missing", |entry| drop(entry.remove("is_verified"))),
    around("`is_verified` 0", |entry| set(entry, "is_verified", json!(0))),
    around("`forwarded_count` missing", |entry| {
        drop(entry.remove("forwarded_count"))
    }),
    around("`forwarded_count` a string", |entry| {
        set(entry, "forwarded_count", json!("0"))
    }),
    around("`first_message_index` missing", |entry| {
        drop(entry.remove("first_message_index"))
    }),
    around("`first_message_index` -1", |entry| {
        set(entry, "first_message_index", json!(-1))
    }),
    around("`first_message_index` 2^70", |entry| {
        set(entry, "first_message_index", json!(2_f64.powi(70)))
    }),
    around("unknown fields around it", |entry| {
        set(entry, "x", json!({ "sessions": [1] }))
    }),
    around("ciphertext and ephemeral key padded", |entry| {
        pad(&mut entry["session_data"]["ciphertext"]);
        pad(&mut entry["session_data"]["ephemeral"]);
        pad(&mut entry["session_data"]["mac"]);
    }),
    around("a MAC that does not fit", |entry| {
        entry["session_data"]["mac"] = json!("AAAAAAAAAAA")
    }),
    within("`sender_claimed_keys` missing", |key| {
        drop(key.remove("sender_claimed_keys"))
    }),
    within("`sender_claimed_keys` `[]`", |key| {
        set(key, "sender_claimed_keys", json!([]))
    }),
    within("`sender_claimed_keys` null", |key| {
        set(key, "sender_claimed_keys", Value::Null)
    }),
    within("`sender_claimed_keys` misspelt", |key| {
        let keys = key.remove("sender_claimed_keys").expect("it is there");
        set(key, "sender_clencaimed_keys", keys);
    }),
    within("the claimed ed25519 key too short", |key| {
        key["sender_claimed_keys"]["ed25519"] = json!("AAAA")
    }),
    within("the claimed ed25519 key empty", |key| {
        key["sender_claimed_keys"]["ed25519"] = json!("")
    }),
    within("`forwarding_curve25519_key_chain` missing", |key| {
        drop(key.remove("forwarding_curve25519_key_chain"))
    }),
    within("`forwarding_curve25519_key_chain` null", |key| {
        set(key, "forwarding_curve25519_key_chain", Value::Null)
    }),
    within("one bad key in `forwarding_curve25519_key_chain`", |key| {
        set(key, "forwarding_curve25519_key_chain", json!(["no key"]))
    }),
    within("`session_key` padded", |key| pad(&mut key["session_key"])),
    within("`sender_key` padded", |key| pad(&mut key["sender_key"])),
    within("unknown fields inside", |key| set(key, "x", json!([{ "y": null }]))),
    within("`shared_history` true", |key| set(key, "shared_history", json!(true))),
    within("`m.shared_history` true", |key| {
        set(key, "m.shared_history", json!(true))
    }),
    within("`org.matrix.msc3061.shared_history` true", |key| {
        set(key, "org.matrix.msc3061.shared_history", json!(true))
    }),
    within("both of matrix-sdk's names true", |key| {
        set(key, "m.shared_history", json!(true));
        set(key, "org.matrix.msc3061.shared_history", json!(true));
    }),
    within("all three names, the first false", |key| {
        set(key, "shared_history", json!(false));
        set(key, "m.shared_history", json!(true));
        set(key, "org.matrix.msc3061.shared_history", json!(true));
    }),
    within("`m.shared_history` null", |key| {
        set(key, "m.shared_history", Value::Null)
    }),
    within("`m.shared_history` \"true\"", |key| {
        set(key, "m.shared_history", json!("true"))
    }),
    within("`org.matrix.msc3061.shared_history` 1", |key| {
        set(key, "org.matrix.msc3061.shared_history", json!(1))
    }),
];

fn entry(odd: &Odd, key: &TrueKey, public_key: Curve25519PublicKey) -> Value {
    let mut plaintext = backup_entry::plaintext(key);
    (odd.plaintext)(plaintext.as_object_mut().expect("an object"));
    let mut entry = backup_entry::seal(&plaintext, key.first_known_index, public_key);
    (odd.entry)(entry.as_object_mut().expect("an object"));
    entry
}

/// Returns the words of the table for what became of a key and of its flag.
fn verdict(shared_history: Option<bool>) -> &'static str {
    match shared_history {
        Some(true) => "kept, may be shared",
        Some(false) => "kept",
        None => "lost",
    }
}

async fn in_machine(machine: &OlmMachine, key: &TrueKey) -> Option<bool> {
    let keys = machine
        .store()
        .export_room_keys(|session| session.session_id() == key.session_id);
    let keys = keys.await.expect("an export");
    keys.iter()
        .find(|exported| exported.session_key.to_base64() == key.session_key)
        .map(|exported| exported.shared_history)
}

async fn machine() -> OlmMachine {
    OlmMachine::new(user_id!("@alice:localhost"), device_id!("DEVICE")).await
}

/// Opens and imports an entry as matrix-sdk does. Returns the flag of the imported key, or `None` if the key is lost.
async fn theirs(entry: &Value, key: &TrueKey, decryption_key: &BackupDecryptionKey) -> Option<bool> {
    let entry: KeyBackupData = serde_json::from_value(entry.clone()).ok()?;
    let opened = decryption_key.decrypt_session_data(entry.session_data).ok()?;
    let room_id = RoomId::parse(&key.room_id).expect("a room id");
    let exported = ExportedRoomKey::from_backed_up_room_key(room_id, key.session_id.clone(), opened);
    let machine = machine().await;
    let imported = machine.store().import_room_keys(vec![exported], None, |_, _| {});
    imported.await.expect("an import");
    in_machine(&machine, key).await
}

#[tokio::test]
async fn the_table_in_the_docs_is_true() {
    let homeserver = homeserver(ALL.len() as u64, 1);
    let setup = Setup::new(&homeserver);
    let decryption_key = BackupDecryptionKey::from_base64(&setup.account.backup_decryption_key_base64);
    let decryption_key = decryption_key.expect("a key");
    let public_key = backup_entry::public_key(&setup.account);
    let keys: Vec<_> = (0..)
        .map(|index| homeserver.truth().key(index))
        .take(ALL.len())
        .collect();
    let entries: Vec<_> = ALL
        .iter()
        .zip(&keys)
        .map(|(odd, key)| entry(odd, key, public_key))
        .collect();
    let sessions: Map<_, _> = keys
        .iter()
        .map(|key| key.session_id.clone())
        .zip(entries.clone())
        .collect();
    let body = json!({ "rooms": { keys[0].room_id.as_str(): { "sessions": sessions } } });
    homeserver.set_faults(vec![Fault::from(status(200, body)).on(EndpointKind::AllKeys)]);

    let sink = machine().await;
    let client = setup.open_into_machine(sink.clone()).await;
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);

    let mut table = String::new();
    for ((odd, key), entry) in ALL.iter().zip(&keys).zip(&entries) {
        let found = client.find_room_key(key.room_id.clone(), key.session_id.clone()).await;
        let ours = match found.expect("a look-up") {
            RoomKeyLookup::Found { key: found, .. } => {
                assert_eq!(found.session_key.expose(), key.session_key, "{}", odd.name);
                Some(found.shared_history)
            }
            _ => None,
        };
        let (ours, sink) = (verdict(ours), verdict(in_machine(&sink, key).await));
        let theirs = verdict(theirs(entry, key, &decryption_key).await);
        table.push_str(&format!("| {} | {ours} | {sink} | {theirs} |\n", odd.name));
    }
    let docs = include_str!("../../docs/odd-entries.md");
    assert!(docs.contains(&table), "the table in the docs differs from\n{table}");
}
