//! Vaults that an earlier build left in the middle of its work, in `tests/vaults/`: one directory for each schema.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::Setup;

/// The schema of the files that are made now: the one that this build writes.
pub(crate) const SCHEMA_OF_TODAY: u32 = 3;

/// Returns the path of a kept vault.
pub(crate) fn kept(schema: u32, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vaults")
        .join(format!("schema_{schema}"))
        .join(format!("{name}.sqlite3.gz"))
}

/// Unpacks a vault to where the client of the setup opens it.
pub(crate) fn put_vault(setup: &Setup, file: &Path) {
    fs::create_dir(setup.vault_directory()).expect("a directory");
    let mut packed = GzDecoder::new(File::open(file).expect("a kept vault"));
    let mut vault = File::create(setup.vault_file()).expect("a file");
    io::copy(&mut packed, &mut vault).expect("a copy");
}

/// Packs the vault of a setup into that file.
pub(crate) fn keep_vault(setup: &Setup, file: &Path) {
    assert!(!setup.log_file().exists(), "everything is in the file");
    fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
    let mut vault = File::open(setup.vault_file()).expect("a vault");
    let mut packed = GzEncoder::new(File::create(file).expect("a file"), Compression::best());
    io::copy(&mut vault, &mut packed).expect("a copy");
    packed.finish().expect("it is written");
}
