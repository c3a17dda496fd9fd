//! The source files of this repository, for tests of the source itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the Rust files in a directory of the repository and below it.
pub(crate) fn rust_files(directory: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    add_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut files);
    files
}

fn add_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            add_files(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}
