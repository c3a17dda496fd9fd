//! Network to vault: which backup versions and which requests, in which order, and what comes of them.
//!
//! - `versions`: which backup versions, in which order
//! - `plan`: which request comes next (pure); `execute`: carries it out
//! - `requests`: one request for keys; `rooms`, `changes`, `file`: rooms, what has changed, answers that come by file
//! - `ingest`, `ingest_worker`: chunks in, batches of entries out

mod changes;
mod execute;
mod file;
mod ingest;
mod ingest_worker;
mod plan;
mod requests;
mod rooms;
mod versions;

pub(super) use execute::FetchEnd;
pub(super) use plan::bytes_of;
pub(super) use rooms::sound;
pub(super) use versions::fetch_versions;
