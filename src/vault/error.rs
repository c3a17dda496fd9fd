//! What can go wrong with the vault once it is open.

/// A failure of the vault. Sources are kept for the log at debug level; they hold no secrets and no ids.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    /// A newer run has taken over: this one must not write any more.
    #[error("a newer run has taken over")]
    Overtaken,
    /// No space left.
    #[error("the disk is full")]
    DiskFull,
    /// Someone else holds the write lock.
    #[error("the vault is busy")]
    Busy,
    /// The file cannot be read or written now: permissions, no memory, or the phone is locked.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The file is damaged.
    #[error("the vault is damaged")]
    Corrupt,
    /// The file is not where it was: it was deleted, or replaced by another one.
    #[error("the vault is gone")]
    Gone,
    /// A thread at work on it panicked: a bug of ours, and nothing that the vault has.
    #[error("work on the vault panicked")]
    Panicked,
    /// What is sealed does not open with this vault key.
    #[error("a sealed value does not open")]
    Unsealable,
    /// Anything else that SQLite reports.
    #[error("the vault failed: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

/// What a failure of the vault means to whoever has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VaultMeaning {
    /// Another process writes. Passes by itself.
    Busy,
    /// The vault cannot be read or written now: the phone is locked, as a rule. Passes by itself.
    Inaccessible,
    /// The disk is full. Passes when the user makes room.
    DiskFull,
    /// A newer run has the vault.
    Overtaken,
    /// Another vault lies in its place, or none: a new client has to be opened.
    Gone,
    /// The vault is damaged: it has to be set aside.
    Damaged,
    /// A bug of this crate.
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
            Self::Corrupt | Self::Unsealable | Self::Sqlite(_) => VaultMeaning::Damaged,
            Self::Panicked => VaultMeaning::Bug,
        }
    }
}

impl From<rusqlite::Error> for VaultError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{ErrorCode, ffi::SQLITE_IOERR_SHMSIZE};
        match error.sqlite_error_code() {
            // The index of the log found no room to grow.
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
