//! The download: every room key of the server-side backup, in the background, resumably.
//!
//! Three stages overlap in a run. Each goes on from what the vault holds, so a kill costs no more than a batch.
//!
//! - `object`: the exported object
//! - `policy`: what it may use
//! - `phases`: a run is a row of phases
//! - `fetch`: network to vault; `wanted_rooms`: rooms that come first
//! - `open`: vault to opened keys; `deliver`: opened keys to the sink
//! - `inventory`, `work_left`: what the vault has, in the words of apps, and what is left to do
//! - `outcome`: how it ended (pure)
//! - `telling`: what the app is told

mod chores;
mod current_version;
mod deliver;
mod fetch;
mod inventory;
mod object;
mod open;
mod outcome;
mod phase;
mod phases;
mod policy;
mod run;
mod telling;
mod versions;
mod wanted_rooms;
mod work_left;

pub use object::KeyDownload;
pub use policy::DownloadPolicy;
pub(crate) use telling::DownloadListener;
pub use telling::{
    pages::{
        ArrivalCursor, ArrivedPage, ArrivedRoomKeys, ConflictCause, ConflictNotice, ConflictPage, EntryPage, EntryRef,
        KeyConflict, RefusedEntry, RefusedPage,
    },
    report::{CompletionProof, MissingKeys, RunOutcome, RunReport},
    status::{
        DownloadProgress, DownloadStage, DownloadStatus, DownloadSummary, FailureCount, StatusError, VersionState,
        VersionStatus,
    },
};
