//! Tests through the public surface, against the small homeserver. One program: it links the crypto crate once.

mod backup_entry;
mod backup_marks;
mod better_copies;
#[cfg(target_os = "linux")]
mod bounded_memory;
mod chaos;
mod common;
mod completeness;
mod conflict;
mod disk;
mod export;
mod faults;
mod from_file;
mod hostile;
mod interruption;
mod kill;
mod lease;
mod odd_entries;
mod olm_machine;
mod on_demand;
mod open;
mod pause;
mod phone;
mod preference;
mod quiescence;
mod readme;
mod restore;
mod secrets;
mod servers;
mod sessions;
mod sharing;
mod trim;
mod trouble;
mod unlock;
mod versions;
mod wake_up;
