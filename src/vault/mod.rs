//! The vault: one SQLite file in the app's data directory with every entry, all progress, and sealed secrets.
//!
//! Nothing above this module knows SQL, and nothing in it knows a network, a stage or the host. A [`Vault`] is a place
//! and its keys; it holds no connection. Connections are opened for a piece of work and closed with it, so that a
//! suspended app holds no file lock.
//!
//! - `open`: creating and opening, the account check, the protection
//! - `lease`: who runs, and since when
//! - `shared_writer`: the one writer of a run, for all its threads
//! - `schema`: tables, pragmas, migrations
//! - `seal`: what is sealed, and with which key
//! - `versions`, `rooms`, `entries`, `outcomes`, `job`: one table family each
//! - `copies`: sessions that are here several times
//! - `rests`: until when what does not come through is left alone
//! - `pending`: entries that wait, page by page
//! - `failures`: opening anew what an older version of the crate did not know
//! - `sharing`: how many keys of a room may be shared
//! - `trim`: taking delivered entries out, in small steps
//! - `preference`: what was seen of it, and the wish that is not yet written
//! - `known`: recognising entries of earlier runs
//! - `session_index`: from a session to its entries; `session_filter`: which of them are surely not there yet
//! - `file_places`: how far answers that lie in a file have been read
//! - `file_identity`: whether the file is still the one that was opened
//! - `missing`: what the server said it does not have
//! - `lookup`: reading for the app, page by page
//! - `write_ahead_log`: folding the log, and what both take on disk

mod connection;
mod copies;
mod entries;
mod error;
mod failures;
mod file_identity;
mod file_places;
mod job;
mod known;
mod lease;
mod lookup;
mod missing;
mod open;
mod outcomes;
mod pending;
mod preference;
mod rests;
mod rooms;
mod row_ids;
mod schema;
mod seal;
mod session_filter;
mod session_index;
mod shared_writer;
mod sharing;
mod trim;
mod versions;
mod write_ahead_log;

pub(crate) use connection::{Connection, Patience, Vault, VaultTx, Writer};
pub(crate) use copies::{CopyState, Judged, Placement, StoredCopy, room_number};
pub(crate) use entries::EntryBatch;
pub(crate) use error::{VaultError, VaultMeaning};
pub(crate) use file_places::{AskedUnder, FilePlace};
pub(crate) use job::{FetchProgress, UserIntent};
pub(crate) use known::{Known, KnownEntries, KnownRoom};
pub(crate) use lease::{BegunRun, HEARTBEAT_MS, LeaseRow};
pub(crate) use lookup::{HeldBackCause, ListedEntry, StoredEntry};
pub(crate) use open::{OpenVaultError, Protection};
pub(crate) use outcomes::{DeliveredAnswer, OpenedCopies, Outcome};
pub(crate) use pending::{PendingEntries, PendingEntry, Waiting};
pub(crate) use preference::{FormCodes, PreferenceRow, WishRow};
pub(crate) use rests::Fault;
pub(crate) use rooms::{RoomRow, RoomToFetch};
pub(crate) use schema::BUSY_TIMEOUT;
pub(crate) use seal::{Fingerprint, new_vault_key};
pub(crate) use shared_writer::{SharedWriter, WriterKeeper};
pub(crate) use versions::{KeyCounts, VersionRow};
