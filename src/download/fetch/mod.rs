//! From the network to the vault: which backup versions and rooms are requested, in which order, and how answers are
//! stored.
//!
//! - `versions`: which backup versions, in which order; `older_versions`, `one_version`: the parts of that
//! - `plan`: which request comes next (pure); `execute`: carries the plan out
//! - `stage`: what these share for one version; `requests`: one request for keys
//! - `rooms`, `changes`, `file`: requests room by room, for what has changed, and for answers that come as files
//! - `ingest`, `ingest_message`, `ingest_worker`: from chunks of answers to batches of entries

mod changes;
mod execute;
mod file;
mod ingest;
mod ingest_message;
mod ingest_worker;
mod older_versions;
mod one_version;
mod plan;
mod requests;
mod rooms;
mod stage;
mod versions;

pub(super) use plan::bytes_of;
pub(super) use rooms::valid_room_ids;
pub(super) use stage::FetchEnd;
pub(super) use versions::fetch_versions;
