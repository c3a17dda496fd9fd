//! Which file lies at a place: the vault may be deleted, or replaced by another one, while it is open.

use std::{io, path::Path};

/// A file, as it can be told from another one at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// `None` if there is nothing.
    ///
    /// # Errors
    /// What keeps the place from being looked at: that says nothing about the file.
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

    /// Elsewhere an open file cannot be deleted.
    #[cfg(not(unix))]
    pub(super) fn of(path: &Path) -> io::Result<Option<Self>> {
        Ok(path.try_exists()?.then_some(Self { device: 0, inode: 0 }))
    }
}
