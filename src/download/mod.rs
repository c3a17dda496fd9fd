//! The download: every room key of the server-side backup, in the background, resumably.
//!
//! Three stages overlap in a run. Each goes on from what the vault holds, so a kill costs no more than a batch.
//!
//! - `job`: the exported object; one run at a time
//! - `run`: puts a run together and takes it apart
//! - `plan`: which request comes next (pure)
//! - `fetch`, `ingest`, `ingest_worker`: network to vault
//! - `feed`, `open`, `finished`: vault to opened keys, on all cores, and what is learnt back into the vault
//! - `deliver`: opened keys to the sink
//! - `stop`, `tally`, `notify`, `records`: ending, counting, telling, and in which words

mod deliver;
mod feed;
mod fetch;
mod finished;
mod ingest;
mod ingest_worker;
mod job;
mod notify;
mod open;
mod plan;
mod records;
mod run;
mod stop;
mod tally;

pub use job::KeyDownload;
pub use records::{
    ArrivalCursor, ArrivedPage, ArrivedRoomKeys, BlockedReason, DownloadProgress, DownloadStage, DownloadStatus,
    DownloadSummary, EntryPage, EntryRef, FailureCount, RefusedEntry, RefusedPage, RunFailure, RunOutcome, RunReport,
    StatusError,
};
