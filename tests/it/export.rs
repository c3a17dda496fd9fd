//! The key export file, read back with matrix-sdk-crypto.

use std::{collections::HashMap, fs::File};

use keyferry::{ExportError, RunBudget};
use keyferry_test_homeserver::Config;
use matrix_sdk_crypto::decrypt_room_key_export;

use crate::support::{Setup, homeserver, start};

#[tokio::test]
async fn matrix_sdk_crypto_imports_the_export() {
    let homeserver = start(Config {
        keys: 3_000,
        rooms: 5,
        odd_entries: true,
        odd_every: 100,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let path = setup.directory.path().join("keys.txt");
    let summary = client
        .export_room_keys("pass phrase".into(), path.display().to_string())
        .await
        .expect("an export");

    let usable = (0..3_000).filter(|index| homeserver.truth().key(*index).usable).count() as u64;
    assert_eq!(
        (summary.exported, summary.failed, summary.conflicts, summary.locked),
        (usable, 3_000 - usable, 0, 0)
    );
    let keys = decrypt_room_key_export(File::open(&path).expect("a file"), "pass phrase").expect("a sound export");
    let keys: HashMap<_, _> = keys.into_iter().map(|key| (key.session_id.clone(), key)).collect();
    assert_eq!(keys.len() as u64, usable);
    for index in 0..3_000 {
        let truth = homeserver.truth().key(index);
        if truth.usable {
            let key = &keys[&truth.session_id];
            assert_eq!(key.session_key.to_base64(), truth.session_key);
            assert_eq!(
                (key.room_id.as_str(), key.shared_history),
                (truth.room_id.as_str(), truth.shared_history)
            );
        }
    }
    assert!(decrypt_room_key_export(File::open(&path).expect("a file"), "other").is_err());
}

#[tokio::test]
async fn an_export_opens_entries_that_were_not_opened_yet() {
    let homeserver = homeserver(500, 5);
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    client.download().run(RunBudget::default()).await;
    let path = setup.directory.path().join("keys.txt").display().to_string();
    let summary = client
        .export_room_keys("p".into(), path.clone())
        .await
        .expect("an export");
    assert_eq!((summary.exported, summary.locked), (0, 500));
    client
        .unlock(setup.recovery_key())
        .await
        .expect("the recovery key fits");
    let summary = client.export_room_keys("p".into(), path).await.expect("an export");
    assert_eq!((summary.exported, summary.locked), (500, 0));
}

#[tokio::test]
async fn a_failed_or_cancelled_export_leaves_the_directory_unchanged() {
    let homeserver = homeserver(20_000, 5);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let path = setup.directory.path().join("keys.txt");
    let text = path.display().to_string();
    assert_eq!(
        client.export_room_keys("".into(), text.clone()).await,
        Err(ExportError::EmptyPassphrase)
    );
    assert_eq!(
        client
            .export_room_keys("p".into(), "/nowhere/keys.txt".to_owned())
            .await,
        Err(ExportError::UnwritableFile)
    );
    std::fs::write(&path, "what was there").expect("a file");
    let export = {
        let client = client.clone();
        tokio::spawn(async move { client.export_room_keys("p".into(), text).await })
    };
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    client.cancel_export();
    assert_eq!(export.await.expect("it ends"), Err(ExportError::Cancelled));
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "what was there");
    assert_eq!(
        std::fs::read_dir(setup.directory.path()).expect("a directory").count(),
        2
    );
}

#[cfg(unix)]
#[tokio::test]
async fn an_export_is_readable_only_by_its_owner_despite_older_files() {
    use std::os::unix::fs::PermissionsExt;
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let path = setup.directory.path().join("keys.txt");
    for left in ["keys.txt", "keys.txt.part"] {
        let left = setup.directory.path().join(left);
        std::fs::write(&left, "x").expect("a file");
        std::fs::set_permissions(&left, PermissionsExt::from_mode(0o666)).expect("the mode can be changed");
    }
    let summary = client.export_room_keys("p".into(), path.display().to_string()).await;
    assert_eq!(summary.expect("an export").exported, 10);
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_cancelled_export_does_not_block_the_next() {
    let homeserver = homeserver(5_000, 5);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let path = setup.directory.path().join("keys.txt");
    let text = path.display().to_string();
    for wait in [20, 100, 250, 400] {
        let export = client.export_room_keys("p".into(), text.clone());
        let _ = tokio::time::timeout(std::time::Duration::from_millis(wait), export).await;
        let summary = client.export_room_keys("p".into(), text.clone()).await;
        assert_eq!(summary.expect("an export").exported, 5_000, "after {wait} ms");
        let keys = decrypt_room_key_export(File::open(&path).expect("a file"), "p").expect("a sound export");
        assert_eq!(keys.len(), 5_000);
    }
}
