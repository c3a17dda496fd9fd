//! Network to vault: which backup versions and which requests, in which order, and what comes of them.
//!
//! - `versions`: which backup versions, in which order
//! - `plan`: which request comes next (pure); `execute`: carries it out
//! - `stage`: what these share for one version; `requests`: one request for keys
//! - `rooms`, `changes`, `file`: room by room, what has changed, answers that come by file
//! - `ingest`, `ingest_message`, `ingest_worker`: chunks in, batches of entries out

mod changes;
mod execute;
mod file;
mod ingest;
mod ingest_message;
mod ingest_worker;
mod plan;
mod requests;
mod rooms;
mod stage;
mod versions;

pub(super) use plan::bytes_of;
pub(super) use rooms::valid_room_ids;
pub(super) use stage::FetchEnd;
pub(super) use versions::fetch_versions;
