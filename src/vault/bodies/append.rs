//! Writes the bodies of a batch, all of them to the end of one segment.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    ops::{Range, RangeInclusive},
};

use rusqlite::{OptionalExtension, params};

use super::BodyPlace;
use crate::{
    ids::EntryId,
    vault::{VaultError, VaultTx},
};

/// Bytes of a batch from which its bodies go to a segment: 50 entries. Below that, the second file to make durable
/// costs more than it saves.
const BYTES_FOR_A_SEGMENT: usize = 32 * 1024;
/// Length from which a segment takes no more batches. Short segments give their space back soon when entries are
/// trimmed.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// The bodies of a batch on their way to a segment.
pub(in crate::vault) struct Appending {
    /// `None` if all bodies stay in their rows.
    segment: Option<Segment>,
}

struct Segment {
    number: i64,
    file: File,
    is_new: bool,
    /// Where the batch begins.
    begin: u64,
    /// Bytes of the bodies that have a place.
    length: u64,
    /// Stretches of the batch's buffer, in the order in which they are written.
    parts: Vec<Range<usize>>,
}

impl Appending {
    /// Prepares the writing of a batch with so many bytes.
    pub(in crate::vault) fn begin(tx: &VaultTx<'_>, bytes: usize) -> Result<Self, VaultError> {
        let segment = match bytes >= BYTES_FOR_A_SEGMENT {
            true => Some(last_segment(tx)?),
            false => None,
        };
        Ok(Self { segment })
    }

    /// Returns the place of the body with this position in the batch's buffer. `None` if it stays in its row.
    pub(in crate::vault) fn place(&mut self, body: Range<usize>) -> Option<BodyPlace> {
        let segment = self.segment.as_mut()?;
        let place = BodyPlace {
            segment: segment.number,
            at: segment.begin + segment.length,
            length: body.len(),
        };
        segment.length += body.len() as u64;
        match segment.parts.last_mut() {
            Some(last) if last.end == body.start => last.end = body.end,
            _ => segment.parts.push(body),
        }
        Some(place)
    }

    /// Writes the bodies that have a place, and makes them durable. Their entries are among `entries`.
    pub(in crate::vault) fn end(
        self,
        tx: &VaultTx<'_>,
        buffer: &[u8],
        entries: RangeInclusive<EntryId>,
    ) -> Result<(), VaultError> {
        let Some(mut segment) = self.segment.filter(|segment| segment.length > 0) else {
            return Ok(());
        };
        segment
            .write(buffer)
            .and_then(|()| match segment.is_new {
                true => tx.bodies.files().sync_names(),
                false => Ok(()),
            })
            .map_err(|error| VaultError::of_file(&error))?;
        let end = segment.begin + segment.length;
        tx.prepare_cached(
            "INSERT INTO segment (id, first_entry, last_entry, length, live) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET last_entry = ?3, length = ?4, live = live + ?5",
        )?
        .execute(params![
            segment.number,
            entries.start(),
            entries.end(),
            end,
            segment.length
        ])?;
        Ok(())
    }
}

impl Segment {
    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.begin))?;
        for part in self.parts.drain(..) {
            self.file.write_all(&buffer[part])?;
        }
        self.file.sync_data()
    }
}

/// Returns the segment that takes the next batch.
fn last_segment(tx: &VaultTx<'_>) -> Result<Segment, VaultError> {
    if let Some((number, begin)) = last_committed(tx)?.filter(|(_, length)| *length < SEGMENT_BYTES) {
        let file = match tx.bodies.files().open_to_write(number) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(VaultError::Corrupt),
            Err(error) => return Err(VaultError::of_file(&error)),
        };
        let length = file.metadata().map_err(|error| VaultError::of_file(&error))?.len();
        if length < begin {
            return Err(VaultError::Corrupt);
        }
        return Ok(Segment::at(number, file, begin));
    }
    remove_strays(tx)?;
    let number = tx
        .prepare_cached("SELECT 1 + ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'segment'), 0)")?
        .query_row([], |row| row.get(0))?;
    let file = tx
        .bodies
        .files()
        .create(number)
        .map_err(|error| VaultError::of_file(&error))?;
    Ok(Segment {
        is_new: true,
        ..Segment::at(number, file, 0)
    })
}

/// Returns the number of the last segment, and how many bytes of it are committed.
fn last_committed(tx: &VaultTx<'_>) -> Result<Option<(i64, u64)>, VaultError> {
    let mut last = tx.prepare_cached("SELECT id, length FROM segment ORDER BY id DESC LIMIT 1")?;
    Ok(last.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Cuts off bodies that were written and not committed. A full disk needs the space.
pub(in crate::vault) fn cut_off_uncommitted(tx: &VaultTx<'_>) -> Result<(), VaultError> {
    remove_strays(tx)?;
    if let Some((number, length)) = last_committed(tx)? {
        let cut = |file: File| match file.metadata()?.len() > length {
            true => file.set_len(length),
            false => Ok(()),
        };
        let file = tx.bodies.files().open_to_write(number);
        file.and_then(cut).map_err(|error| VaultError::of_file(&error))?;
    }
    Ok(())
}

/// Removes files that no transaction has committed, or whose removal was interrupted.
fn remove_strays(tx: &VaultTx<'_>) -> Result<(), VaultError> {
    let mut known = tx.prepare_cached("SELECT id FROM segment")?;
    let known: HashSet<i64> = known.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let files = tx.bodies.files();
    let removed = files.numbers().and_then(|numbers| {
        let mut strays = numbers.into_iter().filter(|number| !known.contains(number));
        strays.try_for_each(|number| files.remove(number))
    });
    removed.map_err(|error| VaultError::of_file(&error))
}

impl Segment {
    fn at(number: i64, file: File, begin: u64) -> Self {
        Self {
            number,
            file,
            is_new: false,
            begin,
            length: 0,
            parts: Vec::new(),
        }
    }
}
