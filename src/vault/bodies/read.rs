//! Reads bodies. Those of a page usually lie together in a segment, and are read at once.

use std::{
    cell::RefCell,
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom},
    ops::Range,
};

use super::{BodyPlace, SegmentFiles, Stored};
use crate::vault::VaultError;

/// Reads the segments of one connection.
pub(in crate::vault) struct Bodies {
    files: SegmentFiles,
    /// The segment that was read last. Reads nearly always stay in it.
    open: RefCell<Option<(i64, File)>>,
}

impl Bodies {
    pub(in crate::vault) fn new(files: SegmentFiles) -> Self {
        Self {
            files,
            open: RefCell::new(None),
        }
    }

    pub(in crate::vault) fn files(&self) -> &SegmentFiles {
        &self.files
    }

    /// Returns one body.
    pub(in crate::vault) fn read(&self, stored: Stored<'_>) -> Result<Vec<u8>, VaultError> {
        let mut gathered = GatheredBodies::default();
        gathered.push(stored);
        gathered.read(self)
    }

    /// Whether the stored body is this one.
    pub(in crate::vault) fn is(&self, stored: Stored<'_>, body: &[u8]) -> Result<bool, VaultError> {
        Ok(stored.len() == body.len() && self.read(stored)? == body)
    }

    fn read_into(&self, place: BodyPlace, out: &mut [u8]) -> Result<(), VaultError> {
        let mut open = self.open.borrow_mut();
        let (_, file) = match open.take_if(|(segment, _)| *segment == place.segment) {
            Some(same) => open.insert(same),
            None => {
                let file = self.files.open(place.segment).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => VaultError::SegmentMissing,
                    _ => VaultError::of_file(&error),
                })?;
                open.insert((place.segment, file))
            }
        };
        file.seek(SeekFrom::Start(place.at))
            .and_then(|_| file.read_exact(out))
            .map_err(|error| VaultError::of_file(&error))
    }
}

/// Bodies that are read together into one buffer.
#[derive(Debug, Default)]
pub(in crate::vault) struct GatheredBodies {
    buffer: Vec<u8>,
    /// Parts of the buffer that are still to be read, each from one stretch of a segment.
    missing: Vec<(Range<usize>, BodyPlace)>,
}

impl GatheredBodies {
    pub(in crate::vault) fn with_capacity(bytes: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(bytes),
            missing: Vec::new(),
        }
    }

    /// Returns the number of bytes of all bodies.
    pub(in crate::vault) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Adds a body. Returns its position in the buffer.
    pub(in crate::vault) fn push(&mut self, stored: Stored<'_>) -> Range<usize> {
        let begin = self.buffer.len();
        match stored {
            Stored::Here(body) => self.buffer.extend_from_slice(body),
            Stored::InSegment(place) => {
                self.buffer.resize(begin + place.length, 0);
                match self.missing.last_mut() {
                    Some((part, last)) if part.end == begin && last.is_followed_by(&place) => {
                        part.end = self.buffer.len();
                        last.length += place.length;
                    }
                    _ => self.missing.push((begin..self.buffer.len(), place)),
                }
            }
        }
        begin..self.buffer.len()
    }

    /// Reads what is in segments, and returns the buffer. To be called while the statement that returned the rows is
    /// open, because the segments of a row are kept only as long as the row.
    pub(in crate::vault) fn read(mut self, bodies: &Bodies) -> Result<Vec<u8>, VaultError> {
        for (part, place) in self.missing {
            bodies.read_into(place, &mut self.buffer[part])?;
        }
        Ok(self.buffer)
    }
}

impl BodyPlace {
    fn is_followed_by(&self, other: &Self) -> bool {
        self.segment == other.segment && self.at + self.length as u64 == other.at
    }
}
