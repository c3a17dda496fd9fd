//! The download: fetches every room key of the server-side backup, in the background, resumably.
//!
//! The three stages of a run (fetch, open, deliver) overlap. Each continues from what the vault holds, so a kill
//! loses no more than one batch.
//!
//! - `object`: the exported object
//! - `policy`: what the download may use
//! - `phases`: the work of a run, as a series of phases; `chores`: upkeep of the vault beside the stages
//! - `run`, `phase`: what a run, and one of its phases, works with
//! - `fetch`: from the network to the vault; `wanted_rooms`: rooms that come first
//! - `open`: from the vault to opened keys; `deliver`: opened keys to the sink
//! - `versions`, `inventory`, `work_left`: what the vault holds, and what is left to do
//! - `outcome`: how a run ended (pure)
//! - `telling`: what the app learns

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
        DownloadProgress, DownloadStage, DownloadStatus, DownloadSummary, FailureCount, VersionState, VersionStatus,
    },
};
