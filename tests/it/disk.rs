//! How a vault behaves on a disk that is full or read-only.

use std::fs;

use keyferry::{OpenError, RunBudget, RunFailure, RunOutcome};

use crate::support::{Setup, SmallDisk, WHOLE, assert_vault_complete, homeserver};

#[tokio::test]
#[ignore = "needs to mount a small tmpfs: scripts/test-chaos.sh runs it"]
async fn a_full_disk_is_reported_and_loses_no_key() {
    let homeserver = homeserver(20_000, 20);
    let setup = Setup::new(&homeserver);
    let disk = SmallDisk::mount(&setup.vault_directory(), 40);
    disk.fill();
    assert_eq!(setup.open_with(setup.options()).await.err(), Some(OpenError::DiskFull));
    disk.empty();
    let client = setup.open_unlocked().await;
    let full = RunOutcome::Failed {
        reason: RunFailure::DiskFull,
    };
    disk.fill();
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, full);
    disk.empty();
    // There is room for some of the keys: the disk fills up in the middle of the run.
    let ballast = setup.vault_directory().join("ballast");
    fs::write(&ballast, vec![1; 33 << 20]).expect("it fits");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, full);
    let summary = client.download().status().await.expect("a status").summary;
    assert!(summary.fetched < 20_000, "{}", summary.fetched);
    fs::remove_file(ballast).expect("it is there");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (WHOLE, 20_000));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
#[ignore = "needs to mount a small tmpfs: scripts/test-chaos.sh runs it"]
async fn a_read_only_directory_is_reported() {
    let homeserver = homeserver(300, 3);
    let setup = Setup::new(&homeserver);
    let disk = SmallDisk::mount(&setup.vault_directory(), 40);
    disk.set_read_only(true);
    let opened = setup.open_with(setup.options()).await;
    assert_eq!(opened.err(), Some(OpenError::UnusableDataDir));
    disk.set_read_only(false);
    let client = setup.open_unlocked().await;
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    client.close_lookups().await;
    client.shutdown();
    disk.set_read_only(true);
    let opened = setup.open_with(setup.options()).await;
    assert_eq!(opened.err(), Some(OpenError::UnusableDataDir));
    disk.set_read_only(false);
    let client = setup.open().await;
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
#[ignore = "needs to mount a small tmpfs: scripts/test-chaos.sh runs it"]
async fn a_vault_is_created_completely_or_not_at_all_on_a_full_disk() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let directory = setup.vault_directory();
    let _disk = SmallDisk::mount(&directory, 8);
    let mut refused = 0;
    for spare_kib in (0..3_000).step_by(100) {
        let ballast = directory.join("ballast");
        fs::write(&ballast, vec![1; (8 << 20) - (spare_kib << 10)]).expect("it fits");
        match setup.open_with(setup.options()).await {
            Ok(client) => client.shutdown(),
            Err(error) => {
                assert_eq!(error, OpenError::DiskFull, "{spare_kib} KiB");
                refused += 1;
            }
        }
        fs::remove_file(ballast).expect("it is there");
        let client = setup.open_with(setup.options()).await.expect("there is room");
        client.download().status().await.expect("it is sound");
        client.shutdown();
        for left in fs::read_dir(&directory).expect("the directory") {
            fs::remove_file(left.expect("a file").path()).expect("it is there");
        }
    }
    assert!((2..30).contains(&refused), "{refused}");
}
