//! The vault: a SQLite file in the app's data directory, with every entry, all progress, and sealed secrets, and files
//! beside it with the bodies of the entries.
//!
//! SQL is used only in this module. Nothing here knows about the network, the stages of a run or the host. A
//! [`Vault`] is a path and its keys; it holds no connection. A connection is opened for one piece of work and
//! closed after it, so that a suspended app holds no file lock.
//!
//! - `open`: creates and opens a vault, and checks the account and the protection
//! - `connection`: connections, and the check that every write of a run passes
//! - `lease`: which run has the vault, and since when; `reserve`: the space that a run keeps for its end
//! - `shared_writer`: the writer of a run, shared by its threads
//! - `schema`, `migrations`: the tables and pragmas; creating the tables, and upgrading older ones
//! - `seal`: which values are sealed, and with which key
//! - `versions`, `rooms`, `entries`, `outcomes`, `job`: one group of tables each
//! - `bodies`: the encrypted content of entries, in files beside the database
//! - `copies`: sessions with several copies
//! - `rests`: how long failing requests wait before they are tried again
//! - `pending`: entries that wait to be opened or delivered, page by page
//! - `failures`: re-queues entries that an older version of the crate could not open
//! - `sharing`: counts the keys of a room that may be shared
//! - `trim`: removes delivered entries, in small steps
//! - `backup_move`: how far the move of the backup to a new key has come
//! - `preference`: what was seen of the preference, and the wish that is not yet written
//! - `known`: recognises entries of earlier runs
//! - `session_index`: finds the entries of a session
//! - `file_places`: how far answers that were downloaded into files have been read
//! - `private_file`: how the files of a vault are created
//! - `file_identity`: whether the vault's file is still the one that was opened
//! - `mirror`: which entries of the version to which the backup moves the server still has
//! - `missing`: sessions that the server does not have
//! - `lookup`: reads entries for the app, page by page; `arrivals`: those that were opened since it last asked
//! - `write_ahead_log`: folds the log into the file, and measures what both take on disk

mod arrivals;
mod backup_move;
mod bodies;
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
mod migrations;
mod mirror;
mod missing;
mod open;
mod outcomes;
mod pending;
mod preference;
mod private_file;
mod reserve;
mod rests;
mod rooms;
mod row_ids;
mod schema;
mod seal;
mod session_index;
mod shared_writer;
mod sharing;
mod trim;
mod versions;
mod write_ahead_log;

pub(crate) use backup_move::MoveRow;
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
