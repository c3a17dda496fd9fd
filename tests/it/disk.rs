//! A small file system for a vault, and how a vault behaves when it is full or read-only. Mounting needs root or a
//! namespace, which `scripts/test-chaos.sh` provides.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use keyferry::{OpenError, RunBudget, RunFailure, RunOutcome};

use crate::common::{Setup, WHOLE, assert_vault_complete, homeserver};

/// A small tmpfs, unmounted when it is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(path: &Path, mebibytes: u32) -> Self {
        fs::create_dir(path).expect("a mount point");
        let options = format!("size={mebibytes}m,mode=0700");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], path);
        Self(path.to_owned())
    }

    /// Fills the disk up to the last few pages.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("a file");
        let full = io::copy(&mut io::repeat(1), &mut file);
        assert!(full.is_err_and(|error| error.kind() == io::ErrorKind::StorageFull));
    }

    pub(crate) fn empty(&self) {
        // The disk may not have been filled.
        let _ = fs::remove_file(self.0.join("filler"));
    }

    fn is_read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        mount(&["-o", how], &self.0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // If this fails, the mount disappears with the mount namespace of the test.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], path: &Path) {
    let status = Command::new("mount").args(arguments).arg(path).status();
    assert!(status.is_ok_and(|status| status.success()), "the mount failed");
}

#[tokio::test]
#[ignore = "needs to mount a small tmpfs: scripts/test-chaos.sh runs it"]
async fn a_full_disk_is_told_and_nothing_is_lost() {
    let homeserver = homeserver(20_000, 20);
    let setup = Setup::new(&homeserver);
    let disk = SmallDisk::mount(&setup.directory.path().join("vault"), 40);
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
    fs::write(setup.directory.path().join("vault/ballast"), vec![1; 33 << 20]).expect("it fits");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, full);
    let summary = client.download().status().await.expect("a status").summary;
    assert!(summary.fetched < 20_000, "{}", summary.fetched);
    fs::remove_file(setup.directory.path().join("vault/ballast")).expect("it is there");
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.opened), (WHOLE, 20_000));
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
#[ignore = "needs to mount a small tmpfs: scripts/test-chaos.sh runs it"]
async fn a_directory_that_cannot_be_written_is_told() {
    let homeserver = homeserver(300, 3);
    let setup = Setup::new(&homeserver);
    let disk = SmallDisk::mount(&setup.directory.path().join("vault"), 40);
    disk.is_read_only(true);
    let opened = setup.open_with(setup.options()).await;
    assert_eq!(opened.err(), Some(OpenError::UnusableDataDir));
    disk.is_read_only(false);
    let client = setup.open_unlocked().await;
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    client.close_lookups().await;
    client.shutdown();
    disk.is_read_only(true);
    let opened = setup.open_with(setup.options()).await;
    assert_eq!(opened.err(), Some(OpenError::UnusableDataDir));
    disk.is_read_only(false);
    let client = setup.open().await;
    assert_vault_complete(&client, &homeserver).await;
}

#[tokio::test]
#[ignore = "needs to mount a small tmpfs: scripts/test-chaos.sh runs it"]
async fn a_vault_is_made_whole_or_not_at_all_however_little_room_there_is() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let directory = setup.directory.path().join("vault");
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
