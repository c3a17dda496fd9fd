//! Decides which copy of a key counts. Pure: takes what is known about the copies of one session, and returns a
//! standing for each.
//!
//! A session can be in the vault several times: under another room, in another backup version, or as another copy in
//! the same place. An exported session is not signed, so any of them may be forged. Two rules decide, and nothing
//! else:
//!
//! - An event that decrypts proves a copy, and ranks before everything else.
//! - Otherwise the copy that came first stays. A copy whose ratchet does not connect to it is never given out in its
//!   place, and a later room never hides an earlier one.
//!
//! Copies whose ratchets connect form a *class*: they are one session, and the one that begins earliest stands for
//! all. `docs/odd-entries.md` has the table of cases; a test compares it with [`judge`].

use crate::ids::EntryId;
use std::cmp::Reverse;

/// What is known about one copy that has been opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    /// The number of its entry. Entries are numbered in the order of arrival.
    pub(crate) entry: EntryId,
    /// The room that it is listed under: any number that tells rooms apart, the same in every backup version.
    pub(crate) room: i64,
    /// The entry that founded its class.
    pub(crate) class: EntryId,
    pub(crate) first_index: u32,
    pub(crate) shared_history: bool,
    pub(crate) presence: Presence,
    /// Above 0: an event has proved it; a later proof has a higher number. Below 0: the app's crypto has another
    /// copy, which it received directly.
    pub(crate) proof: i64,
    /// Whether the app's crypto has taken it.
    pub(crate) is_delivered: bool,
    /// The answer that brought it together with a copy in another room, named by that answer's first entry; 0 for
    /// none.
    pub(crate) tied: EntryId,
}

/// Whether the key itself is still in the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Here,
    /// Delivered, and removed from the vault.
    Trimmed,
    /// Trimmed, and soon to be fetched again. Only what identifies the copy is left.
    Forgotten,
}

/// What a copy is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Look-ups in its room, sinks and exports use its class.
    Counts,
    /// The session counts in another room. Look-ups in its own room use the copy; sinks and exports do not.
    LaterPlace,
    /// One answer brought the session under two rooms, and nothing proves either. Look-ups in its own room use the
    /// copy; sinks and exports do not.
    Tied,
    /// It does not connect to the copy that counts in its room, and is not used at all.
    Unconnected,
}

/// The rank of a class, or of a room by the class that counts there: proof, not demoted, delivered, earliest founder.
/// The highest rank counts.
type Rank = (i64, bool, bool, Reverse<EntryId>);

/// Decides the standing of each copy of one session, over all rooms and versions. Returns them in the order of the
/// copies.
pub(crate) fn judge(copies: &[Copy]) -> Vec<Standing> {
    let mut rooms: Vec<i64> = copies.iter().map(|copy| copy.room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    let counting: Vec<(i64, EntryId, Rank)> = rooms
        .into_iter()
        .filter_map(|room| class_that_counts(copies, room).map(|(class, rank)| (room, class, rank)))
        .collect();
    let first = counting.iter().max_by_key(|(.., rank)| *rank);
    let standing = |copy: &Copy| {
        let Some((_, class, _)) = counting.iter().find(|(room, ..)| *room == copy.room) else {
            return Standing::Unconnected;
        };
        if *class != copy.class {
            return Standing::Unconnected;
        }
        match first {
            Some((room, ..)) if *room != copy.room => match is_tied(copies, copy) {
                true => Standing::Tied,
                false => Standing::LaterPlace,
            },
            Some((.., rank)) if rank.0 <= 0 && is_tied(copies, copy) => Standing::Tied,
            _ => Standing::Counts,
        }
    };
    copies.iter().map(standing).collect()
}

/// Returns the position of the copy that look-ups in a room use: of the class that counts there, the copy that begins
/// earliest, and of several such copies the newest. `None` if no copy of that class is in the vault.
pub(crate) fn best_in_room(copies: &[Copy], room: i64) -> Option<usize> {
    let (class, _) = class_that_counts(copies, room)?;
    best(copies, |copy| copy.room == room && copy.class == class)
}

/// Returns the position of the copy that an export uses: the earliest, and then newest, of all copies that count.
pub(crate) fn best_of_all(copies: &[Copy]) -> Option<usize> {
    let standings = judge(copies);
    let counting: Vec<EntryId> = copies
        .iter()
        .zip(&standings)
        .filter(|(_, standing)| **standing == Standing::Counts)
        .map(|(copy, _)| copy.entry)
        .collect();
    best(copies, |copy| counting.contains(&copy.entry))
}

/// Returns the position of the copy that has to be put into a backup version, so that this version has the key of a
/// room as well as the vault: the one that look-ups in the room use. `None` if the version has a copy of that class
/// which begins as early and may be shared as well, or if there is nothing to put.
pub(crate) fn to_send(copies: &[Copy], room: i64, is_in_version: impl Fn(&Copy) -> bool) -> Option<usize> {
    let position = best_in_room(copies, room)?;
    let best = &copies[position];
    let is_shared = may_be_shared(copies, room, best.class);
    let is_there = copies.iter().any(|copy| {
        copy.room == room
            && copy.class == best.class
            && copy.presence != Presence::Forgotten
            && is_in_version(copy)
            && copy.first_index <= best.first_index
            && copy.shared_history == is_shared
    });
    (!is_there).then_some(position)
}

/// Whether a key may be shared (MSC4268). It may if any copy that connects to it says so.
pub(crate) fn may_be_shared(copies: &[Copy], room: i64, class: EntryId) -> bool {
    copies
        .iter()
        .any(|copy| copy.room == room && copy.class == class && copy.shared_history)
}

/// Returns the class that counts in a room, and its rank.
fn class_that_counts(copies: &[Copy], room: i64) -> Option<(EntryId, Rank)> {
    let in_room = || copies.iter().filter(|copy| copy.room == room);
    let rank_of = |class: EntryId| {
        let members = || in_room().filter(move |copy| copy.class == class);
        let proof = members().map(|copy| copy.proof).max().unwrap_or(0);
        let is_demoted = proof <= 0 && members().any(|copy| copy.proof < 0);
        (
            proof.max(0),
            !is_demoted,
            members().any(|copy| copy.is_delivered),
            // A class keeps the number of its founder, even after an equal copy that came later has replaced the
            // founder.
            Reverse(class),
        )
    };
    // A class of which only forgotten copies are left hides nothing.
    let is_there = |class: EntryId| in_room().any(|copy| copy.class == class && copy.presence != Presence::Forgotten);
    in_room()
        .map(|copy| copy.class)
        .filter(|class| is_there(*class))
        .map(|class| (class, rank_of(class)))
        .max_by_key(|(class, rank)| (*rank, *class))
}

/// Whether the answer that brought this copy also brought a copy under another room, and that one has been opened.
fn is_tied(copies: &[Copy], copy: &Copy) -> bool {
    copy.tied != EntryId::NONE
        && copies
            .iter()
            .any(|other| other.room != copy.room && other.tied == copy.tied)
}

fn best(copies: &[Copy], is_one: impl Fn(&Copy) -> bool) -> Option<usize> {
    (0..copies.len())
        .filter(|position| copies[*position].presence == Presence::Here && is_one(&copies[*position]))
        .min_by_key(|position| (copies[*position].first_index, Reverse(copies[*position].entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: i64 = 100;
    const B: i64 = 200;

    fn copy(entry: i64, room: i64, class: i64, first_index: u32) -> Copy {
        Copy {
            entry: EntryId(entry),
            room,
            class: EntryId(class),
            first_index,
            shared_history: false,
            presence: Presence::Here,
            proof: 0,
            is_delivered: false,
            tied: EntryId::NONE,
        }
    }

    fn tied(copy: Copy) -> Copy {
        Copy {
            tied: EntryId(1),
            ..copy
        }
    }

    fn proved(copy: Copy) -> Copy {
        Copy { proof: 1, ..copy }
    }

    fn forgotten(copy: Copy) -> Copy {
        Copy {
            presence: Presence::Forgotten,
            ..copy
        }
    }

    #[test]
    fn what_a_backup_version_lacks_is_sent() {
        let new = |entry, class, first_index| Copy {
            shared_history: true,
            ..copy(entry, A, class, first_index)
        };
        let old = |entry, class, first_index| new(entry, class, first_index);
        // The entries from 10 on are in the new version.
        let sent = |copies: &[Copy], room| {
            to_send(copies, room, |copy| copy.entry >= EntryId(10)).map(|position| copies[position].entry.0)
        };
        assert_eq!(sent(&[old(1, 1, 5)], A), Some(1));
        assert_eq!(sent(&[old(1, 1, 5)], B), None, "it is in no other room");
        assert_eq!(sent(&[old(1, 1, 5), new(10, 1, 5)], A), None);
        assert_eq!(
            sent(&[old(1, 1, 5), new(10, 1, 3)], A),
            None,
            "the version has a better one"
        );
        assert_eq!(
            sent(&[old(1, 1, 5), new(10, 1, 7)], A),
            Some(1),
            "the version has a worse one"
        );
        // A copy that does not connect to the one that counts, from whatever index.
        assert_eq!(sent(&[old(1, 1, 5), new(10, 10, 0)], A), Some(1));
        // An event has proved the other one.
        assert_eq!(sent(&[old(1, 1, 5), proved(new(10, 10, 9))], A), None);
        let unshared = Copy {
            shared_history: false,
            ..new(10, 1, 5)
        };
        assert_eq!(
            sent(&[old(1, 1, 5), unshared], A),
            Some(10),
            "the flag is missing there"
        );
        assert_eq!(sent(&[old(1, 1, 5), forgotten(new(10, 1, 5))], A), Some(1));
    }

    /// Returns the cases of the table in the docs: the copies, and the standing of each.
    fn table() -> Vec<(&'static str, Vec<Copy>, Vec<Standing>)> {
        use Standing::{Counts, LaterPlace, Tied, Unconnected};
        vec![
            ("one copy", vec![copy(1, A, 1, 0)], vec![Counts]),
            (
                "a copy that connects, from an earlier index",
                vec![copy(1, A, 1, 9), copy(2, A, 1, 0)],
                vec![Counts, Counts],
            ),
            (
                "a copy that does not connect, from whatever index, in whatever version",
                vec![copy(1, A, 1, 9), copy(2, A, 2, 0)],
                vec![Counts, Unconnected],
            ),
            (
                "the same, proved by an event",
                vec![copy(1, A, 1, 0), proved(copy(2, A, 2, 0))],
                vec![Unconnected, Counts],
            ),
            (
                "the same, where the app's crypto received a copy directly that does not connect to the first",
                vec![
                    Copy {
                        proof: -1,
                        ..copy(1, A, 1, 0)
                    },
                    copy(2, A, 2, 0),
                ],
                vec![Unconnected, Counts],
            ),
            (
                "the same, where the first has left the vault after delivery",
                vec![
                    Copy {
                        presence: Presence::Trimmed,
                        is_delivered: true,
                        ..copy(1, A, 1, 0)
                    },
                    copy(2, A, 2, 0),
                ],
                vec![Counts, Unconnected],
            ),
            (
                "the same, where the first is fetched again",
                vec![forgotten(copy(1, A, 1, 0)), copy(2, A, 2, 0)],
                vec![Unconnected, Counts],
            ),
            (
                "the same session under another room, later",
                vec![copy(1, A, 1, 0), copy(2, B, 2, 0)],
                vec![Counts, LaterPlace],
            ),
            (
                "the same, proved by an event of that room",
                vec![copy(1, A, 1, 0), proved(copy(2, B, 2, 0))],
                vec![LaterPlace, Counts],
            ),
            (
                "the same session under two rooms of one answer",
                vec![tied(copy(1, A, 1, 0)), tied(copy(2, B, 2, 0))],
                vec![Tied, Tied],
            ),
            (
                "the same, one of them proved",
                vec![tied(copy(1, A, 1, 0)), proved(tied(copy(2, B, 2, 0)))],
                vec![Tied, Counts],
            ),
            (
                "under two rooms of one answer, where only one opens",
                vec![tied(copy(1, A, 1, 0)), copy(5, B, 5, 0)],
                vec![Counts, LaterPlace],
            ),
        ]
    }

    #[test]
    fn the_table_in_the_docs_is_this_one() {
        let docs = include_str!("../../docs/odd-entries.md");
        for (case, copies, expected) in table() {
            assert_eq!(judge(&copies), expected, "{case}");
            let cells: Vec<_> = expected.iter().map(|standing| format!("`{standing:?}`")).collect();
            let row = format!("| {case} | {} |", cells.join(", "));
            assert!(docs.contains(&row), "no such row: {row}");
        }
    }

    #[test]
    fn the_earliest_copy_of_a_class_is_given_out() {
        let copies = [
            copy(1, A, 1, 9),
            copy(2, A, 1, 3),
            copy(3, A, 1, 3),
            copy(4, A, 4, 0),
            copy(5, B, 5, 0),
        ];
        assert_eq!(best_in_room(&copies, A), Some(2));
        assert_eq!(best_in_room(&copies, B), Some(4));
        assert_eq!(best_in_room(&copies, 7), None);
        assert_eq!(best_of_all(&copies), Some(2));
        let both = [tied(copy(1, A, 1, 0)), tied(copy(2, B, 2, 0))];
        assert_eq!((best_of_all(&both), best_in_room(&both, B)), (None, Some(1)));
        // A later proof ranks before an earlier one.
        let twice = [
            proved(copy(1, A, 1, 0)),
            Copy {
                proof: 2,
                ..copy(2, A, 2, 10)
            },
        ];
        assert_eq!(best_in_room(&twice, A), Some(1));
        let trimmed = Copy {
            presence: Presence::Trimmed,
            ..copy(1, A, 1, 0)
        };
        assert_eq!(best_in_room(&[trimmed, copy(2, A, 2, 0)], A), None);
    }

    #[test]
    fn the_shared_history_flag_of_any_connected_copy_counts() {
        let says_so = |copy| Copy {
            shared_history: true,
            ..copy
        };
        let copies = [
            copy(1, A, 1, 0),
            says_so(copy(2, A, 1, 5)),
            says_so(copy(3, A, 3, 0)),
            copy(4, B, 4, 0),
        ];
        assert!(may_be_shared(&copies, A, EntryId(1)));
        assert!(!may_be_shared(&copies, B, EntryId(4)));
        assert!(!may_be_shared(
            &[copy(1, A, 1, 0), says_so(copy(3, A, 3, 0))],
            A,
            EntryId(1)
        ));
    }
}
