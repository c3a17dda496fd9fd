//! Files of a vault: only this user can access them. SQLite gives its side files the mode of the database.

use std::fs::OpenOptions;

/// Returns the options for writing such a file. The caller says how it is created.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
