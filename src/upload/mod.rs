//! From the vault, and from the app's crypto, to the backup on the server.
//!
//! - `object`, `records`: keeping the backup up to date, as apps see it; `run`: one call of `flush`
//! - `outbox`: which entries a version lacks, encrypted to its key
//! - `batch`: one upload, and how large it may be
//! - `send`: one upload after the other, into the right version and over nobody else's keys
//! - `page`, `flush`: pages of keys from the app's crypto

mod batch;
mod flush;
mod object;
mod outbox;
mod page;
mod records;
mod run;
mod send;

pub(crate) use flush::{Flush, flush};
pub use object::KeyUpload;
pub(crate) use outbox::Outbox;
#[cfg(any(fuzzing, test))]
pub(crate) use page::read_page;
pub use records::{PendingUpload, UploadHindrance, UploadOutcome, UploadReport, UploadStatus};
pub(crate) use send::{Announced, SendEnd, Sender, Sent, Target, end_of};
