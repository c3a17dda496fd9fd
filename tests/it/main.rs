//! Tests through the public surface, against the small homeserver. One program: it links the crypto crate once.

mod chaos;
mod common;
mod conflict;
mod export;
mod faults;
mod from_file;
mod interruption;
mod kill;
mod lease;
mod olm_machine;
mod on_demand;
mod open;
mod pause;
mod phone;
mod preference;
mod quiescence;
mod readme;
mod restore;
mod trim;
mod unlock;
mod versions;
mod wake_up;
