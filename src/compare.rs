//! Compares copies of a session where fingerprints alone do not tell: the earlier ratchet is decrypted and advanced.
//!
//! Used where keys are opened and where they are looked up. What follows from it is decided in `backup::copies`.

use zeroize::Zeroizing;

use crate::{
    backup::{copies::Presence, ratchet::Ratchet, session_id::SessionId},
    decryption_keys::DecryptionKeys,
    vault::{CopyState, Fingerprint, Placement, StoredCopy, Vault},
};

/// What comparing a copy with the others of its room showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Placed(Placement),
    /// Its id is no Ed25519 key: none of the copies can be used.
    Unusable,
    /// A copy that it has to be compared with cannot be decrypted now.
    Locked,
}

/// Compares with the keys of a piece of work.
pub(crate) struct Comparer<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) keys: &'a DecryptionKeys,
    pub(crate) session: &'a SessionId,
}

impl Comparer<'_> {
    /// Holds one copy, which has been opened, against those of its room that are in a class already.
    pub(crate) fn compare(&self, copies: &[StoredCopy], entry: i64) -> Compared {
        let Some(own) = copies.iter().find(|copy| copy.entry == entry) else {
            return Compared::Locked;
        };
        let Some((own_index, own_print)) = index_and_print(own) else {
            return Compared::Locked;
        };
        let in_classes: Vec<(&StoredCopy, i64)> = copies
            .iter()
            .filter(|copy| copy.entry != entry && copy.room_hash == own.room_hash)
            .filter_map(|copy| Some((copy, copy.facts()?.class)))
            .collect();
        let mut classes: Vec<i64> = in_classes.iter().map(|(_, class)| *class).collect();
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

    /// Whether a copy connects to a class. All members of a class are what the earliest of them becomes: one is enough.
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
        // Where it begins first, it is advanced; else the member that begins first and is here.
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

    /// The session of a copy, in the export format.
    fn open(&self, copy: &StoredCopy) -> Option<Zeroizing<Vec<u8>>> {
        let key = self.keys.get(copy.version)?;
        let session = key.open(&copy.body, self.session, &mut Vec::new(), |opened| {
            Zeroizing::new(opened.session().to_vec())
        });
        session.ok()
    }
}

enum Connects {
    Yes,
    No,
    /// It begins later than every member, and none of them is here to be advanced.
    CannotTell {
        /// Some have been delivered and have left the vault.
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
