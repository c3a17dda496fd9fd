//! Tests against a real Synapse. `scripts/test.sh synapse` installs one and runs them.

mod backup;
mod common;
mod history;
mod preference;
mod reset;
mod restore;
#[path = "../support/token_host.rs"]
mod token_host;
mod upload;
