//! The files of the segments, by their numbers. Knows nothing about their content.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::vault::private_file;

/// What stands between the path of the database and the number of a segment.
const INFIX: &str = "-bodies-";

/// The segments of the database at a path.
#[derive(Clone, Debug)]
pub(in crate::vault) struct SegmentFiles {
    database: Arc<Path>,
}

impl SegmentFiles {
    pub(in crate::vault) fn of(database: Arc<Path>) -> Self {
        Self { database }
    }

    /// Opens a segment for reading.
    pub(super) fn open(&self, number: i64) -> io::Result<File> {
        File::open(self.path(number))
    }

    /// Opens a segment for writing.
    pub(super) fn open_to_write(&self, number: i64) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path(number))
    }

    /// Creates a segment, empty even if there is a file of this name.
    pub(super) fn create(&self, number: i64) -> io::Result<File> {
        let mut options = private_file::options();
        options.create(true).truncate(true).open(self.path(number))
    }

    /// Makes the names of new segments durable.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        // Elsewhere a directory cannot be opened, and names need no such call.
        #[cfg(unix)]
        File::open(self.directory())?.sync_all()?;
        Ok(())
    }

    /// Removes a segment, if it exists.
    pub(super) fn remove(&self, number: i64) -> io::Result<()> {
        unless_missing(fs::remove_file(self.path(number)))
    }

    /// Removes all segments.
    pub(in crate::vault) fn remove_all(&self) -> io::Result<()> {
        self.numbers()?.into_iter().try_for_each(|number| self.remove(number))
    }

    /// Renames all segments to those of another path of the database.
    pub(in crate::vault) fn move_to(&self, other: &Self) -> io::Result<()> {
        for number in self.numbers()? {
            unless_missing(fs::rename(self.path(number), other.path(number)))?;
        }
        Ok(())
    }

    /// Returns the numbers of all segments that exist as files.
    pub(super) fn numbers(&self) -> io::Result<Vec<i64>> {
        let prefix = self.with_suffix("");
        let prefix = prefix.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut numbers = Vec::new();
        for file in fs::read_dir(self.directory())? {
            let name = file?.file_name();
            let name = name.to_string_lossy();
            let number = prefix.as_ref().and_then(|prefix| name.strip_prefix(prefix.as_str()));
            numbers.extend(number.and_then(|number| number.parse::<i64>().ok()));
        }
        Ok(numbers)
    }

    fn directory(&self) -> &Path {
        match self.database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    fn path(&self, number: i64) -> PathBuf {
        self.with_suffix(&number.to_string())
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut path = OsString::from(&*self.database);
        path.push(INFIX);
        path.push(suffix);
        path.into()
    }
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
