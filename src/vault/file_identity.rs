//! Identifies the file at a path, because the vault may be deleted or replaced by another one while it is open.

use std::{io, path::Path};

/// The identity of a file, which distinguishes it from another file at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Returns the identity of the file at `path`, or `None` if there is no file.
    ///
    /// # Errors
    /// Fails if the path cannot be examined. This says nothing about the file.
    #[cfg(unix)]
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        use std::os::unix::fs::MetadataExt;
        match path.metadata() {
            Ok(file) => Ok(Some(Self {
                device: file.dev(),
                inode: file.ino(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns one identity for all files, or `None` if there is no file. On these systems, an open file cannot be
    /// deleted.
    #[cfg(not(unix))]
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        Ok(path.try_exists()?.then_some(Self { device: 0, inode: 0 }))
    }
}
