//! A small file system for a vault.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// A small tmpfs, unmounted when it is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a disk of this size on a new directory. That needs root or a namespace, as in `scripts/test-chaos.sh`.
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

    /// Removes what `fill` has written.
    pub(crate) fn empty(&self) {
        // The disk may not have been filled.
        let _ = fs::remove_file(self.0.join("filler"));
    }

    /// Mounts the disk again, read-only or not.
    pub(crate) fn set_read_only(&self, read_only: bool) {
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
