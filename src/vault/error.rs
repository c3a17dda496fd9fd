//! Errors of an open vault, and what they mean for the caller.

use std::io::{self, ErrorKind};

/// An error of the vault. Its source is kept for the debug log, and holds no secrets and no ids.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    /// A newer run has taken over, so this run must no longer write.
    #[error("a newer run has taken over")]
    Overtaken,
    /// There is no space left on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// Another connection holds the write lock.
    #[error("the vault is busy")]
    Busy,
    /// The file cannot be read or written now: permissions or memory are missing, or the phone is locked.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The file is damaged.
    #[error("the vault is damaged")]
    Corrupt,
    /// The file is no longer at its path: it was deleted, moved, or replaced by another one.
    #[error("the vault is gone")]
    Gone,
    /// A file with the bodies of entries is missing. If it was removed after the row of an entry was read, the row is
    /// gone, too.
    #[error("a part of the vault is missing")]
    SegmentMissing,
    /// A thread that used the vault panicked. This is a bug in this crate, and not damage to the vault.
    #[error("work on the vault panicked")]
    Panicked,
    /// A sealed value does not open with this vault key.
    #[error("a sealed value does not open")]
    Unsealable,
    /// Anything else that SQLite reports.
    #[error("the vault failed: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

/// What an error of the vault means for the code that has to react to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VaultMeaning {
    /// Another process is writing. Resolves by itself.
    Busy,
    /// The vault cannot be read or written now, usually because the phone is locked. Resolves by itself.
    Inaccessible,
    /// The disk is full. Resolves when the user frees space.
    DiskFull,
    /// A newer run has taken over the vault.
    Overtaken,
    /// The vault is missing, or another one is in its place: the app has to open a new client.
    Gone,
    /// The vault is damaged: the app has to set it aside.
    Damaged,
    /// A bug in this crate.
    Bug,
}

impl VaultError {
    pub(crate) fn meaning(&self) -> VaultMeaning {
        match self {
            Self::Busy => VaultMeaning::Busy,
            Self::Inaccessible => VaultMeaning::Inaccessible,
            Self::DiskFull => VaultMeaning::DiskFull,
            Self::Overtaken => VaultMeaning::Overtaken,
            Self::Gone => VaultMeaning::Gone,
            Self::Corrupt | Self::SegmentMissing | Self::Unsealable | Self::Sqlite(_) => VaultMeaning::Damaged,
            Self::Panicked => VaultMeaning::Bug,
        }
    }

    /// Returns the error for a failed access to a file that belongs to the database.
    pub(super) fn of_file(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull,
            // The file is shorter than the database says.
            ErrorKind::UnexpectedEof => Self::Corrupt,
            _ => Self::Inaccessible,
        }
    }
}

impl From<rusqlite::Error> for VaultError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{ErrorCode, ffi::SQLITE_IOERR_SHMSIZE};
        match error.sqlite_error_code() {
            // The index of the log (the `-shm` file) could not grow because the disk is full.
            _ if error
                .sqlite_error()
                .is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE) =>
            {
                Self::DiskFull
            }
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Self::Busy
            }
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::AuthorizationForStatementDenied
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory,
            ) => Self::Inaccessible,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt,
            _ => Self::Sqlite(error),
        }
    }
}
