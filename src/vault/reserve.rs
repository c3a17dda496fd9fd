//! Space that a run keeps on the disk for its end. Without it, a run that has filled the disk could not release the vault,
//! and the next one would have to wait until the lease expires.

use std::{ffi::OsString, fs, io::Write, path::Path};

use super::{VaultError, private_file};

/// What follows the path of the database in the name of the file.
pub(super) const SUFFIX: &str = "-reserve";
/// Two pages of the log in a vault of an earlier version, eight in a new one.
const BYTES: usize = 64 * 1024;

/// Takes the space. Fails if the disk is full.
pub(super) fn take(database: &Path) -> Result<(), VaultError> {
    let path = path(database);
    let file = private_file::options().create(true).truncate(true).open(&path);
    // Zeros might take no space.
    let taken = file.and_then(|mut file| file.write_all(&[0x55; BYTES]));
    taken.map_err(|error| {
        // What was written of it is of no use.
        let _ = fs::remove_file(path);
        VaultError::of_file(&error)
    })
}

/// Gives the space back, if there is any.
pub(super) fn give_back(database: &Path) {
    // Without it, everything else goes on.
    let _ = fs::remove_file(path(database));
}

fn path(database: &Path) -> OsString {
    let mut path = OsString::from(database);
    path.push(SUFFIX);
    path
}
