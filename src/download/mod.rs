//! The download: every room key of the server-side backup, in the background, resumably.
//!
//! Three stages overlap in a run. Each goes on from what the vault holds, so a kill costs no more than a batch.
//!
//! - `job`, `holding`, `listing`, `known_versions`: the exported object
//! - `pause`, `policy`, `control`: what holds it, what it may use, and where that is kept (the first two pure)
//! - `run`, `phases`: takes the vault, works in phases, leaves nothing behind; `keeper`, `activity`: until all has ended
//! - `inventory`: what the vault has, in the words of apps
//! - `versions`: which backup versions, in which order; `plan`: which request comes next (pure)
//! - `fetch`, `rooms`, `grown`, `request`, `from_file`, `ingest`, `ingest_worker`: network to vault; `priority`: rooms that are wanted first
//! - `feed`, `settled`, `open`, `settle`, `finished`: vault to opened keys, on all cores, and what is learnt back into the vault
//! - `deliver`: opened keys to the sink
//! - `outcome`, `wake_up`: how it ended, and when the host is to call again (pure)
//! - `stop`, `tally`, `notify`, `records`: ending, counting, telling, and in which words

mod activity;
mod control;
mod current_version;
mod deliver;
mod feed;
mod fetch;
mod finished;
mod from_file;
mod grown;
mod holding;
mod ingest;
mod ingest_worker;
mod inventory;
mod job;
mod keeper;
mod known_versions;
mod listing;
mod notify;
mod open;
mod outcome;
mod pause;
mod phases;
mod plan;
mod policy;
mod priority;
mod records;
mod request;
mod rooms;
mod run;
mod settle;
mod settled;
mod stop;
mod tally;
mod versions;
mod wake_up;

pub(crate) use activity::AtWork;
pub use job::KeyDownload;
pub use pause::PauseCause;
pub(crate) use pause::Work;
pub use policy::DownloadPolicy;
pub use records::{
    ArrivalCursor, ArrivedPage, ArrivedRoomKeys, BlockedReason, CompletionProof, ConflictCause, ConflictNotice,
    ConflictPage, DownloadProgress, DownloadStage, DownloadStatus, DownloadSummary, EntryPage, EntryRef, FailureCount,
    KeyConflict, MissingKeys, RefusedEntry, RefusedPage, RunFailure, RunHolder, RunOutcome, RunReport, StatusError,
    VersionState, VersionStatus,
};
