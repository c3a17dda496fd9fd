//! Compares copies of a session where fingerprints alone cannot tell whether they connect: decrypts the earlier
//! ratchet and advances it to the later index.
//!
//! Used where keys are opened and where they are looked up. `backup::copies` decides what follows from the result.

use zeroize::Zeroizing;

use crate::{
    backup::{copies::Presence, ratchet::Ratchet, session_id::SessionId},
    decryption_keys::DecryptionKeys,
    ids::EntryId,
    vault::{CopyState, Fingerprint, Placement, StoredCopy, Vault},
};

/// The result of comparing a copy with the other copies in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Placed(Placement),
    /// The session id is not an Ed25519 key: none of the copies can be used.
    Unusable,
    /// A copy that it must be compared with cannot be decrypted now.
    Locked,
}

/// Compares the copies of one session, with the keys that the caller has.
pub(crate) struct Comparer<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) keys: &'a DecryptionKeys,
    pub(crate) session: &'a SessionId,
}

impl Comparer<'_> {
    /// Compares one opened copy with the copies of its room that already belong to a class.
    pub(crate) fn compare(&self, copies: &[StoredCopy], entry: EntryId) -> Compared {
        let Some(own) = copies.iter().find(|copy| copy.entry == entry) else {
            return Compared::Locked;
        };
        let Some((own_index, own_print)) = index_and_print(own) else {
            return Compared::Locked;
        };
        let in_classes: Vec<(&StoredCopy, EntryId)> = copies
            .iter()
            .filter(|copy| copy.entry != entry && copy.room_hash == own.room_hash)
            .filter_map(|copy| Some((copy, copy.facts()?.class)))
            .collect();
        let mut classes: Vec<EntryId> = in_classes.iter().map(|(_, class)| *class).collect();
        classes.sort_unstable();
        classes.dedup();
        let mut begins_later_than_one_that_left = false;
        for class in classes {
            let members = in_classes
                .iter()
                .filter(|(_, other)| *other == class)
                .map(|(copy, _)| *copy);
            match self.connects(own, own_index, own_print, members) {
                Connects::Yes => return Compared::Placed(Placement::Joins(class)),
                Connects::No => {}
                Connects::CannotTell { has_left } => begins_later_than_one_that_left |= has_left,
                Connects::Unusable => return Compared::Unusable,
                Connects::Locked => return Compared::Locked,
            }
        }
        Compared::Placed(match begins_later_than_one_that_left {
            true => Placement::NotNeeded,
            false => Placement::Founds,
        })
    }

    /// Whether a copy connects to a class. All members of a class continue the earliest of them, so comparing with
    /// one is enough.
    fn connects<'c>(
        &self,
        own: &StoredCopy,
        own_index: u32,
        own_print: Fingerprint,
        members: impl Iterator<Item = &'c StoredCopy>,
    ) -> Connects {
        let mut members: Vec<(&StoredCopy, u32, Fingerprint)> = members
            .filter_map(|copy| index_and_print(copy).map(|(index, print)| (copy, index, print)))
            .collect();
        members.sort_by_key(|(copy, index, _)| (*index, copy.presence != Presence::Here));
        if let Some((_, _, print)) = members.iter().find(|(_, index, _)| *index == own_index) {
            return if *print == own_print {
                Connects::Yes
            } else {
                Connects::No
            };
        }
        // Advances this copy if it begins before all members; otherwise advances the earliest member that is in the
        // vault and begins before this copy.
        let (earlier, index, print) = match members.first() {
            Some((_, index, print)) if own_index < *index => (own, *index, *print),
            _ => {
                let here = members
                    .iter()
                    .find(|(copy, index, _)| copy.presence == Presence::Here && *index < own_index);
                match here {
                    Some((copy, ..)) => (*copy, own_index, own_print),
                    None => {
                        let has_left = members.iter().any(|(copy, ..)| copy.presence == Presence::Trimmed);
                        return Connects::CannotTell { has_left };
                    }
                }
            }
        };
        let Some(session) = self.open(earlier) else {
            return Connects::Locked;
        };
        match Ratchet::import(&session) {
            None => Connects::Unusable,
            Some(mut ratchet) => match ratchet.at(index) {
                Some(advanced) if self.vault.fingerprint(&advanced) == print => Connects::Yes,
                _ => Connects::No,
            },
        }
    }

    /// Returns the session of a copy, in the export format.
    fn open(&self, copy: &StoredCopy) -> Option<Zeroizing<Vec<u8>>> {
        let key = self.keys.get(copy.version)?;
        let session = key.open(&copy.body, self.session, &mut Zeroizing::default(), |opened| {
            Zeroizing::new(opened.session().to_vec())
        });
        session.ok()
    }
}

enum Connects {
    Yes,
    No,
    /// It begins later than a member, and no member that begins earlier is in the vault to be advanced.
    CannotTell {
        /// Whether members were delivered and have left the vault.
        has_left: bool,
    },
    Unusable,
    Locked,
}

fn index_and_print(copy: &StoredCopy) -> Option<(u32, Fingerprint)> {
    match copy.state {
        CopyState::Opened {
            first_index,
            fingerprint: Some(fingerprint),
            ..
        } => Some((first_index, fingerprint)),
        _ => None,
    }
}
