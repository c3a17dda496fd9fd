//! Against a real Synapse. `scripts/test.sh synapse` installs one and runs this; without it there is nothing to test
//! against.

mod backup;
mod common;
mod preference;
mod restore;
mod upload;
