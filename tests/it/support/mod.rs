//! What several tests use: a server, a client in its own directory with a host and a sink that record what they
//! receive, runs, and comparisons with the truth.

pub(crate) mod backup_entry;
mod dice;
pub(crate) mod kept_vault;
mod keyring;
mod listener;
mod os_downloads;
mod phone;
mod preference;
mod recorder;
mod run;
mod server;
pub(crate) mod sessions;
mod setup;
pub(crate) mod sinks;
mod small_disk;
pub(crate) mod sources;
pub(crate) mod transport;
mod truth;

pub(crate) use dice::{Dice, number_from_env, seed};
pub(crate) use keyring::MemoryKeyring;
pub(crate) use os_downloads::OsDownloads;
pub(crate) use phone::{BATCH, Deliveries, Phone, example, spawn_example};
pub(crate) use preference::{STABLE, UNSTABLE, both, forms};
pub(crate) use recorder::without_repeats;
pub(crate) use run::{COUNTED, WHOLE, budget, needs_unlock, run_to_completion, spawn_run, unlock_version};
pub(crate) use server::{homeserver, slow, start, status};
pub(crate) use setup::Setup;
pub(crate) use small_disk::SmallDisk;
pub(crate) use truth::{assert_all_once, assert_true, assert_vault_complete};
