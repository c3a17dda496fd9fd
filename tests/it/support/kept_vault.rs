//! Vaults that an earlier build left in the middle of its work, in `tests/vaults/`: one directory for each schema.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::Setup;

/// The schema of the files that are made now: the one that this build writes.
pub(crate) const SCHEMA_OF_TODAY: u32 = 4;

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
    unpack(file, &setup.vault_file());
    for (segment, packed) in (1..).map(|number| (segment(&setup.vault_file(), number), segment(file, number))) {
        if !packed.exists() {
            break;
        }
        unpack(&packed, &segment);
    }
}

/// Packs the vault of a setup into that file, and its segments into files beside that.
pub(crate) fn keep_vault(setup: &Setup, file: &Path) {
    assert!(!setup.log_file().exists(), "everything is in the file");
    fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
    pack(&setup.vault_file(), file);
    for number in 1..=setup.segment_files().len() {
        pack(&segment(&setup.vault_file(), number), &segment(file, number));
    }
}

/// Returns the path of a segment, or of a packed one, beside its database.
fn segment(database: &Path, number: usize) -> PathBuf {
    let path = database.to_str().expect("text");
    let (path, suffix) = path.strip_suffix(".gz").map_or((path, ""), |path| (path, ".gz"));
    PathBuf::from(format!("{path}-bodies-{number}{suffix}"))
}

fn unpack(packed: &Path, to: &Path) {
    let mut packed = GzDecoder::new(File::open(packed).expect("a kept vault"));
    io::copy(&mut packed, &mut File::create(to).expect("a file")).expect("a copy");
}

fn pack(from: &Path, to: &Path) {
    let mut packed = GzEncoder::new(File::create(to).expect("a file"), Compression::best());
    io::copy(&mut File::open(from).expect("a file"), &mut packed).expect("a copy");
    packed.finish().expect("it is written");
}
