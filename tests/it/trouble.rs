//! Trouble with the vault itself: it is damaged, cut short, deleted, or restored without its keyring. Each case has a
//! clear state and a way to go on.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use keyferry::{
    AccessError, ClientOptions, OpenError, RoomKeyLookup, RunBudget, RunFailure, RunOutcome, VaultProtection,
    set_vault_aside,
};
use keyferry_test_homeserver::Homeserver;

use crate::support::{MemoryKeyring, Setup, WHOLE, assert_true, assert_vault_complete, homeserver, slow, spawn_run};

const GONE: RunOutcome = RunOutcome::Failed {
    reason: RunFailure::VaultGone,
};

/// Creates a vault with all keys, and closes it.
async fn filled(homeserver: &Homeserver) -> Setup {
    let setup = Setup::new(homeserver);
    let client = setup.open_unlocked().await;
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    client.close_lookups().await;
    client.shutdown();
    setup
}

/// Asserts that one can go on: setting the vault aside deletes nothing, and a new vault gets everything again.
async fn recovers_after_setting_aside(setup: &Setup, homeserver: &Homeserver) {
    let directory = setup.options().data_dir;
    let damaged = fs::read(setup.vault_file()).expect("it is there");
    let segments = setup.segment_files().len();
    let aside = set_vault_aside(directory.clone())
        .await
        .expect("it moves")
        .expect("there was one");
    assert_eq!(fs::read(&aside).expect("it is kept"), damaged);
    let moved = setup.segment_files();
    let is_aside = |file: &PathBuf| file.to_string_lossy().starts_with(&*aside);
    assert!(moved.len() == segments && moved.iter().all(is_aside), "{moved:?}");
    assert_eq!(set_vault_aside(directory).await, Ok(None));
    let client = setup.open_unlocked().await;
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_vault_complete(&client, homeserver).await;
}

#[tokio::test]
async fn a_vault_that_does_not_open_is_set_aside_and_replaced() {
    let homeserver = homeserver(300, 3);
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let ways: [(&str, Damage); 4] = [
        ("the header", |mut bytes| {
            bytes[..100].fill(0x55);
            bytes
        }),
        ("cut to nothing", |_| Vec::new()),
        ("cut in the middle", |mut bytes| {
            bytes.truncate(40_000);
            bytes
        }),
        ("the schema", |mut bytes| {
            bytes[100..30_000].fill(0);
            bytes
        }),
    ];
    for (what, damage) in ways {
        let setup = filled(&homeserver).await;
        let file = setup.vault_file();
        fs::write(&file, damage(fs::read(&file).expect("it is there"))).expect("it can be damaged");
        let opened = setup.open_with(setup.options()).await;
        match opened {
            Err(error) => assert_eq!(error, OpenError::VaultDamaged, "{what}"),
            // Only a part is damaged, which shows when it is read.
            Ok(client) => {
                let report = client.download().run(RunBudget::default()).await;
                let damaged = RunOutcome::Failed {
                    reason: RunFailure::VaultDamaged,
                };
                assert_eq!(report.outcome, damaged, "{what}");
                client.shutdown();
            }
        }
        recovers_after_setting_aside(&setup, &homeserver).await;
    }
}

#[tokio::test]
async fn damage_in_the_database_is_reported_and_the_rest_is_read() {
    let homeserver = homeserver(3_000, 3);
    let setup = filled(&homeserver).await;
    let vault = rusqlite::Connection::open(setup.vault_file()).expect("the vault");
    let page = "SELECT (pageno - 1) * pgsize FROM dbstat WHERE name = 'entry' AND pagetype = 'leaf' LIMIT 1 OFFSET 1";
    let page: usize = vault.query_row(page, [], |row| row.get(0)).expect("a page");
    drop(vault);
    damage(&setup.vault_file(), page, 10_000);
    some_keys_are_lost(&setup, &homeserver).await;
}

#[tokio::test]
async fn damage_in_a_segment_is_reported_and_the_rest_is_read() {
    let homeserver = homeserver(3_000, 3);
    let ways: [fn(&Path); 2] = [
        |file| damage(file, 500_000, 200_000),
        |file| {
            let file = fs::File::options().write(true).open(file).expect("it opens");
            file.set_len(1_000_000).expect("it can be cut");
        },
    ];
    for way in ways {
        let setup = filled(&homeserver).await;
        let [segment] = setup.segment_files().try_into().expect("one segment");
        way(&segment);
        some_keys_are_lost(&setup, &homeserver).await;
    }
}

#[tokio::test]
async fn a_vault_without_its_segments_is_damaged() {
    let homeserver = homeserver(3_000, 3);
    let setup = filled(&homeserver).await;
    for segment in setup.segment_files() {
        fs::remove_file(segment).expect("it can be removed");
    }
    let client = setup.open().await;
    let truth = homeserver.truth().key(5);
    let found = client.find_room_key(truth.room_id, truth.session_id).await;
    assert_eq!(found, Err(AccessError::VaultDamaged));
    client.close_lookups().await;
    client.shutdown();
    recovers_after_setting_aside(&setup, &homeserver).await;
}

fn damage(file: &Path, at: usize, bytes: usize) {
    let mut content = fs::read(file).expect("it is there");
    content[at..at + bytes].fill(0xaa);
    fs::write(file, content).expect("it can be damaged");
}

/// Checks that some keys of the vault are lost, that the others are found, and that a new vault can take its place.
async fn some_keys_are_lost(setup: &Setup, homeserver: &Homeserver) {
    let client = setup.open().await;
    let mut damaged = 0;
    for index in 0..homeserver.truth().len() {
        let truth = homeserver.truth().key(index);
        let found = client
            .find_room_key(truth.room_id.clone(), truth.session_id.clone())
            .await;
        match found {
            Ok(RoomKeyLookup::Found { key, .. }) => assert_true(&key, &truth),
            // A key that damage has removed from an index looks like one that was never there.
            Ok(RoomKeyLookup::NotFound | RoomKeyLookup::Unusable { .. }) | Err(AccessError::VaultDamaged) => {
                damaged += 1
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1..3_000).contains(&damaged), "{damaged}");
    client.close_lookups().await;
    client.shutdown();
    recovers_after_setting_aside(setup, homeserver).await;
}

#[tokio::test]
async fn a_vault_that_is_deleted_under_a_run_is_noticed() {
    let homeserver = slow(8_000, 10, 3_000_000);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let download = client.download();
    let run = spawn_run(&client);
    while download.status().await.expect("a status").summary.fetched == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fs::remove_dir_all(setup.vault_directory()).expect("it can be deleted");
    let report = run.await.expect("it ends");
    assert_eq!(report.outcome, GONE);
    assert_eq!(download.status().await.err(), Some(AccessError::VaultGone));
    assert_eq!(download.run(RunBudget::default()).await.outcome, GONE);
    client.shutdown();
    let client = setup.open_unlocked().await;
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_vault_in_use_is_not_set_aside_and_old_clients_report_it_gone() {
    let homeserver = slow(4_000, 10, 3_000_000);
    let setup = Setup::new(&homeserver);
    let old = setup.open_unlocked().await;
    let run = spawn_run(&old);
    while old.download().status().await.expect("a status").summary.fetched == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let directory = setup.options().data_dir;
    assert_eq!(set_vault_aside(directory.clone()).await, Err(OpenError::VaultInUse));
    assert_eq!(run.await.expect("it ends").outcome, WHOLE);
    assert_vault_complete(&old, &homeserver).await;
    old.close_lookups().await;

    set_vault_aside(directory)
        .await
        .expect("it moves")
        .expect("there was one");
    let new = setup.open_unlocked().await;
    assert_eq!(old.download().status().await.err(), Some(AccessError::VaultGone));
    assert_eq!(old.download().run(RunBudget::default()).await.outcome, GONE);
    let key = homeserver.truth().key(1);
    let found = old.find_room_key(key.room_id, key.session_id).await;
    assert_eq!(found, Err(AccessError::VaultGone));
    let status = new.download().status().await.expect("a status");
    assert_eq!((status.summary.fetched, status.running), (0, None));
    assert_eq!(new.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_vault_complete(&new, &homeserver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_open_a_new_vault_at_once_share_it() {
    let homeserver = homeserver(10, 1);
    for _ in 0..5 {
        let setup = Setup::new(&homeserver);
        let keyring = Arc::new(MemoryKeyring {
            delay: Duration::from_millis(20),
            ..MemoryKeyring::default()
        });
        let options = || ClientOptions {
            protection: VaultProtection::Keyring {
                keyring: keyring.clone(),
            },
            ..setup.options()
        };
        let opened = futures_util::future::join_all((0..8).map(|_| setup.open_with(options()))).await;
        for client in opened {
            let client = client.expect("it opens");
            client.download().status().await.expect("it is the same vault");
        }
    }
}

#[tokio::test]
async fn a_log_without_its_vault_is_not_used_for_a_new_one() {
    let homeserver = homeserver(300, 3);
    let setup = filled(&homeserver).await;
    let file = setup.vault_file();
    let log = setup.log_file();
    let vault = rusqlite::Connection::open(&file).expect("the vault");
    vault
        .execute_batch(
            "PRAGMA wal_autocheckpoint = 0; UPDATE job SET generation = 99; UPDATE backup_version SET fetched = 7;",
        )
        .expect("it can be written");
    let bytes = fs::read(&log).expect("the log");
    drop(vault);
    fs::remove_file(&file).expect("it can be deleted");
    fs::write(&log, bytes).expect("a log that was left");
    let client = setup.open_unlocked().await;
    let versions = client.download().status().await.expect("a status").versions;
    assert_eq!((versions.len(), versions[0].fetched), (1, 0), "{versions:?}");
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
async fn a_vault_restored_without_its_keyring_reports_that_and_is_replaced() {
    let homeserver = homeserver(100, 2);
    let setup = filled(&homeserver).await;
    // As after a restore to another phone.
    let with_keyring = ClientOptions {
        protection: VaultProtection::Keyring {
            keyring: Arc::new(MemoryKeyring::default()),
        },
        ..setup.options()
    };
    let lost = OpenError::KeyringUnavailable { key_lost: true };
    assert_eq!(setup.open_with(with_keyring).await.err(), Some(lost));
    recovers_after_setting_aside(&setup, &homeserver).await;
}

#[tokio::test]
async fn a_keyring_for_a_vault_without_protection_is_another_protection() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let with = |protection| ClientOptions {
        protection,
        ..setup.options()
    };
    let client = setup.open_with(with(VaultProtection::NoProtection)).await;
    client.expect("it opens").shutdown();
    let keyring = VaultProtection::Keyring {
        keyring: Arc::new(MemoryKeyring::default()),
    };
    assert_eq!(
        setup.open_with(with(keyring)).await.err(),
        Some(OpenError::OtherProtection)
    );
}

#[tokio::test]
async fn a_lease_from_another_boot_is_ignored() {
    let homeserver = homeserver(100, 2);
    let setup = filled(&homeserver).await;
    // As after a restore from a phone's backup that was made during a run: another boot, with a clock that counts from
    // there.
    let vault = rusqlite::Connection::open(setup.vault_file()).expect("the vault");
    vault
        .execute(
            "INSERT OR REPLACE INTO lease (id, holder, process_id, process_began, process_space, since_ms, heartbeat_ms)
             VALUES (1, 'app', 4711, 99, 'another boot', 1700000000000, ?1)",
            [i64::MAX / 2],
        )
        .expect("it can be written");
    drop(vault);
    let client = setup.open().await;
    let status = client.download().status().await.expect("a status");
    assert_eq!(status.running, None);
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn entries_unknown_to_an_older_release_are_opened_by_this_one() {
    let homeserver = homeserver(100, 2);
    let setup = filled(&homeserver).await;
    let vault = rusqlite::Connection::open(setup.vault_file()).expect("the vault");
    // As that version left the vault: with thirty keys of an algorithm that it did not know.
    vault
        .execute_batch(
            "UPDATE opened SET failure = 6, first_index = NULL, shared_history = NULL, sender_key = NULL
             WHERE entry % 10 < 3;
             UPDATE backup_version SET opened = 70, failed = 30;
             UPDATE job SET opens = 0;",
        )
        .expect("it can be written");
    drop(vault);
    let client = setup.open().await;
    let before = client.download().status().await.expect("a status").summary;
    assert_eq!((before.opened, before.failed), (70, 30));
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    assert_eq!((report.summary.opened, report.summary.failed), (100, 0));
}
