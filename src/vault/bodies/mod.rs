//! Where the bodies of entries are: in segments, which are files beside the database, or in the row of the entry.
//!
//! A body never changes. In the database it would be written twice, into the log and into the file, and would make
//! every page of entries twelve times as long. So the bodies of a batch go to the end of a segment, which is made
//! durable before the transaction that refers to it is committed. What follows the committed length of a segment was
//! never committed, and is written over. A few bodies are not worth a file: they stay in their rows.
//!
//! Only the transaction that writes to the database writes to a segment, so no two processes do at a time. The number
//! of a segment is never given to another one. `docs/adr/0011-segments.md` has the reasons and the figures.
//!
//! - `files`: the files, by their numbers
//! - `place`: where a body is, as its row says
//! - `read`: reads bodies, of many entries at once if they lie together
//! - `append`: writes the bodies of a batch
//! - `sweep`: removes segments that are no longer needed

mod append;
mod files;
mod place;
mod read;
mod sweep;

#[cfg(test)]
mod tests;

pub(super) use append::{Appending, cut_off_uncommitted};
pub(super) use files::SegmentFiles;
pub(super) use place::{BODY, BodyPlace, Stored};
pub(super) use read::{Bodies, GatheredBodies};
