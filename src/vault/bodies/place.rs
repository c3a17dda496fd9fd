//! Where a body is, as the row of its entry says.

use rusqlite::Row;

/// The columns of `entry` that [`Stored::from_row`] reads.
pub(in crate::vault) const BODY: &str = "body, segment, at, length";

/// A place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vault) struct BodyPlace {
    pub(in crate::vault) segment: i64,
    pub(in crate::vault) at: u64,
    pub(in crate::vault) length: usize,
}

/// A body as its row has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vault) enum Stored<'a> {
    Here(&'a [u8]),
    InSegment(BodyPlace),
}

impl<'a> Stored<'a> {
    /// Reads the columns [`BODY`], of which the first one is `column`.
    pub(in crate::vault) fn from_row(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Self> {
        let Some(segment) = row.get(column + 1)? else {
            return Ok(Self::Here(row.get_ref(column)?.as_blob()?));
        };
        Ok(Self::InSegment(BodyPlace {
            segment,
            at: row.get(column + 2)?,
            length: row.get::<_, u32>(column + 3)? as usize,
        }))
    }

    /// Returns the number of bytes of the body.
    pub(in crate::vault) fn len(&self) -> usize {
        match self {
            Self::Here(body) => body.len(),
            Self::InSegment(place) => place.length,
        }
    }
}
