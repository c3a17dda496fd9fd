//! Secrets stay where they belong: not one is in a log line of the whole test run, in an error, or in a file of the
//! vault.

use std::{
    collections::HashSet,
    fs,
    io::ErrorKind,
    path::Path,
    sync::{Mutex, Once, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use keyferry::{ClientOptions, RunBudget, UnlockSecret, VaultProtection};
use keyferry_test_homeserver::{AccountInfo, Homeserver};

use crate::support::{Setup, WHOLE, homeserver, slow, spawn_run};

/// The secrets of the running tests, which no log line may contain.
static FORBIDDEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Reads every log line of all crates, at every level. A line that contains a secret ends the test run.
struct Censor;

impl log::Log for Censor {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        let ours = record.target().starts_with("keyferry");
        if let Some(found) = find_forbidden(&line, ours) {
            // A panic here would be caught, and end only one of many threads.
            #[allow(clippy::print_stderr, reason = "the last words of the test run")]
            {
                eprintln!("a line of {} holds {found}: {line}", record.target());
            }
            std::process::abort();
        }
    }

    fn flush(&self) {}
}

/// Makes sure that every log line is checked, and adds the secrets of this account to what no line may contain.
pub(crate) fn keep_out_of_logs(account: &AccountInfo) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Censor).expect("there is no other logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
    let mut forbidden = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    forbidden.get_or_insert_default().extend(secrets_of(account));
}

/// Returns the secrets of an account, in all forms in which they could be written.
fn secrets_of(account: &AccountInfo) -> Vec<String> {
    let texts = [
        &account.access_token,
        &account.recovery_key,
        &account.backup_recovery_key,
        &account.secret_storage_passphrase,
        &account.backup_decryption_key_base64,
    ];
    let mut secrets: Vec<String> = texts.into_iter().cloned().collect();
    secrets.extend(texts.map(|text| text.replace(' ', "")));
    let raw = STANDARD_NO_PAD
        .decode(&account.backup_decryption_key_base64)
        .expect("base64");
    secrets.push(raw.iter().map(|byte| format!("{byte:02x}")).collect());
    // As `Debug` writes it.
    secrets.push(format!("{raw:?}"));
    secrets
}

/// Returns the kind of forbidden text that a line contains, if any. Our own lines must not contain ids and addresses
/// either.
fn find_forbidden(line: &str, ours: bool) -> Option<&'static str> {
    let forbidden = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    if forbidden.iter().flatten().any(|secret| line.contains(secret.as_str())) {
        return Some("a secret");
    }
    // A session key in the export format has 220 characters.
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let longest = line.split(|c| !is_base64(c)).map(str::len).max().unwrap_or(0);
    if longest >= 200 {
        return Some("what may be a session key");
    }
    let names = ["!", "@alice", "http://", "https://", "Bearer"];
    if ours && (longest >= 43 || names.iter().any(|name| line.contains(name))) {
        return Some("an id or an address");
    }
    None
}

#[test]
fn a_line_with_a_secret_is_found() {
    let homeserver = homeserver(1, 1);
    let account = homeserver.account();
    keep_out_of_logs(account);
    for line in [
        format!("token {}", account.access_token),
        format!("key {}.", account.backup_decryption_key_base64),
        account.recovery_key.replace(' ', ""),
        format!("{:?}", STANDARD_NO_PAD.decode(&account.backup_decryption_key_base64)),
        homeserver.truth().key(0).session_key,
    ] {
        assert!(find_forbidden(&line, false).is_some(), "{line}");
    }
    for line in [
        homeserver.truth().room_id(0),
        homeserver.truth().key(0).session_id,
        account.user_id.clone(),
        homeserver.url().to_owned(),
    ] {
        assert!(find_forbidden(&line, true).is_some(), "{line}");
        assert!(find_forbidden(&line, false).is_none(), "{line}");
    }
    assert_eq!(find_forbidden("run ended: Completed; 3 of 3 keys fetched", true), None);
}

/// Returns the bytes of all files below a directory.
pub(crate) fn bytes_below(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            bytes.extend(bytes_below(&path));
            continue;
        }
        match fs::read(path) {
            Ok(read) => bytes.extend(read),
            // In the middle of a run, files of SQLite come and go.
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
    }
    bytes
}

pub(crate) fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    memchr::memmem::find(bytes, secret).is_some()
}

/// Returns what must not be in the files of a vault, each secret with a description.
fn secrets_at_rest(homeserver: &Homeserver, setup: &Setup, passphrase: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut secrets: Vec<_> = secrets_of(&setup.account)
        .into_iter()
        .map(|text| ("a secret of the account", text.into_bytes()))
        .collect();
    let raw = |text: &str| STANDARD_NO_PAD.decode(text).expect("base64");
    secrets.push(("the decryption key", raw(&setup.account.backup_decryption_key_base64)));
    secrets.push(("the vault's passphrase", passphrase.as_bytes().to_vec()));
    for index in 0..homeserver.truth().len() {
        let key = homeserver.truth().key(index);
        // The ratchet. Before it are a version and an index, and after it is a public key.
        let session = raw(&key.session_key);
        secrets.push(("a session key", session[5..133].to_vec()));
        secrets.push(("a session key in base64", key.session_key.into_bytes()));
    }
    secrets.push(("the user id", setup.account.user_id.clone().into_bytes()));
    secrets
}

/// Restores into a vault with this protection, and checks its files all the while.
async fn restore_and_look(protection: VaultProtection, passphrase: &str) {
    let homeserver = slow(300, 3, 200_000);
    let setup = Setup::with_sink(&homeserver);
    let has_key = !matches!(protection, VaultProtection::NoProtection);
    let options = ClientOptions {
        protection,
        ..setup.options()
    };
    let client = setup.open_with(options).await.expect("the client opens");
    client.unlock(setup.recovery_key()).await.expect("it fits");
    let mut secrets = secrets_at_rest(&homeserver, &setup, passphrase);
    let rooms = (0..3).map(|room| ("a room id", homeserver.truth().room_id(room).into_bytes()));
    if has_key {
        secrets.extend(rooms.clone());
    }
    let look = || {
        let bytes = bytes_below(&setup.vault_directory());
        for (what, secret) in &secrets {
            assert!(!holds(&bytes, secret), "{what} is in the vault");
        }
        bytes
    };
    look();
    let run = spawn_run(&client);
    // Looks during the run, too, when the log and its index are beside the file.
    let mut looks = 0;
    while !run.is_finished() {
        let status = client.download().status().await.expect("a status").summary;
        look();
        looks += u64::from((1..300).contains(&status.delivered));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(looks > 2);
    assert_eq!(run.await.expect("a report").outcome, WHOLE);
    let truth = homeserver.truth().key(3);
    let found = client.find_room_key(truth.room_id, truth.session_id).await;
    found.expect("it is there");
    look();
    client.shutdown();
    let bytes = look();
    // The search finds what is there: the public part of a key and, without a vault key, the room ids.
    let session_id = STANDARD_NO_PAD
        .decode(homeserver.truth().key(0).session_id)
        .expect("base64");
    assert!(bytes.len() > 100_000 && holds(&bytes, &session_id));
    assert!(has_key || rooms.into_iter().all(|(_, room)| holds(&bytes, &room)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_vault_hold_no_secret() {
    let passphrase = "correct horse battery staple";
    let protection = VaultProtection::Passphrase {
        passphrase: passphrase.into(),
    };
    restore_and_look(protection, passphrase).await;
    let key = vec![0x5a; 32];
    restore_and_look(VaultProtection::Key { key: key.into() }, &"Z".repeat(32)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_without_protection_keeps_no_key() {
    restore_and_look(VaultProtection::NoProtection, "correct horse battery staple").await;
}

#[tokio::test]
async fn no_error_names_a_secret() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    let account = &setup.account;
    let typed = [
        format!("{}x", account.recovery_key),
        account.recovery_key.replace(' ', "").to_lowercase(),
        account.access_token.clone(),
    ];
    let mut said = Vec::new();
    for text in &typed {
        for secret in [
            UnlockSecret::RecoveryKey {
                text: text.as_str().into(),
            },
            UnlockSecret::Passphrase {
                text: text.as_str().into(),
            },
            UnlockSecret::DecryptionKey {
                base64: text.as_str().into(),
            },
        ] {
            said.push(format!("{secret:?}"));
            let error = client.unlock(secret).await.expect_err("it does not fit");
            said.push(format!("{error} {error:?}"));
        }
    }
    said.push(format!(
        "{:?} {:?}",
        setup.options().protection,
        setup.options().account
    ));
    homeserver.set_access_token("another one", true);
    let report = client.download().run(RunBudget::default()).await;
    said.push(format!("{report:?}"));
    let truth = homeserver.truth().key(1);
    let answer = client
        .fetch_session(truth.room_id.clone(), truth.session_id.clone(), None)
        .await;
    said.push(format!("{answer:?}"));
    said.push(format!("{:?}", client.preference().refresh().await));
    client.shutdown();
    said.push(format!(
        "{:?}",
        client.find_room_key(truth.room_id, truth.session_id).await
    ));
    for text in said {
        for secret in secrets_of(account).iter().chain(&typed) {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
        assert_eq!(find_forbidden(&text, false), None, "{text}");
    }
}
