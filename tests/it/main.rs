//! Tests through the public surface, against the small homeserver. One program: it links the crypto crate once.

mod common;
mod conflict;
mod export;
mod faults;
mod interruption;
mod kill;
mod olm_machine;
mod open;
mod preference;
mod readme;
mod restore;
mod unlock;
