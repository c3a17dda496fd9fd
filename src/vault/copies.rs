//! Sessions that the vault has several times: in another room, in another version, or as another copy of the same entry.
//!
//! Which copy counts is decided by [`crate::backup::copies`]; here what that is decided from is read and written. Everything
//! about such a session is decided and counted in one transaction, by [`change`].

use std::collections::{BTreeMap, HashMap};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Connection, VaultError, Writer,
    seal::{Fingerprint, VaultKeys},
    session_index,
};
use crate::backup::{
    FailureReason,
    copies::{Copy, Presence, Standing, judge},
    limits::MAX_CLASSES_OF_A_SESSION,
    session_id::SessionId,
};

/// Standings as the vault keeps them. Only what counts goes to sinks and exports.
pub(super) const COUNTS: i64 = 0;
const LATER_PLACE: i64 = 1;
const TIED: i64 = 2;
pub(super) const UNCONNECTED: i64 = 3;
/// Not compared yet.
pub(super) const UNSETTLED: i64 = 4;
/// It begins later than one that has left the vault, and cannot be compared with it: nobody needs it.
pub(super) const NOT_NEEDED: i64 = 5;

/// A copy as the vault has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredCopy {
    pub(crate) entry: i64,
    /// Row id.
    pub(crate) version: i64,
    /// Row id: a room of one version.
    pub(crate) room: i64,
    /// The room, in whatever version.
    pub(crate) room_hash: [u8; 16],
    /// Empty where it is not in the vault any more.
    pub(crate) body: Vec<u8>,
    pub(crate) presence: Presence,
    pub(crate) state: CopyState,
    pub(crate) class: Option<i64>,
    pub(crate) proof: i64,
    pub(crate) tied: i64,
    standing: i64,
    pub(crate) is_extra: bool,
    is_delivered: bool,
    is_refused: bool,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyState {
    Unopened,
    Failed(FailureReason),
    Opened {
        first_index: u32,
        shared_history: bool,
        /// `None` where it was opened before fingerprints were kept.
        fingerprint: Option<Fingerprint>,
    },
}

/// What a copy that has been opened turns out to be, held against the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It connects to none of the others.
    Founds,
    /// It connects to that class.
    Joins(i64),
    /// It begins later than one that has left the vault: there is nothing to compare it with, and no need of it.
    NotNeeded,
}

/// What became of a copy that goes to the sink, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) entry: i64,
    /// Whether sinks and exports have it.
    pub(crate) counts: bool,
    /// Whether any copy that connects says that it may be shared.
    pub(crate) shared_history: bool,
}

impl StoredCopy {
    /// What is decided from; `None` where it is not opened, or not compared.
    pub(crate) fn facts(&self) -> Option<Copy> {
        let CopyState::Opened {
            first_index,
            shared_history,
            ..
        } = self.state
        else {
            return None;
        };
        if self.standing == NOT_NEEDED {
            return None;
        }
        Some(Copy {
            entry: self.entry,
            room: room_number(&self.room_hash),
            class: self.class?,
            first_index,
            shared_history,
            presence: self.presence,
            proof: self.proof,
            is_delivered: self.is_delivered,
            tied: self.tied,
        })
    }

    /// Puts it into a class for the time of a look-up; `None` where nobody can tell which.
    pub(crate) fn set_class(&mut self, class: Option<i64>) {
        self.class = class;
        self.standing = if class.is_some() { UNCONNECTED } else { UNSETTLED };
    }

    /// Whether sinks and exports have it.
    pub(crate) fn counts(&self) -> bool {
        self.standing == COUNTS && self.is_opened()
    }

    /// Whether it is the copy that look-ups have in the room of one that does not connect to it.
    pub(crate) fn is_rival_of(&self, entry: i64, room_id: &str, vault: &Connection) -> bool {
        self.entry != entry
            && self.room_hash == vault.keys.room_hash(room_id)
            && self.is_opened()
            && matches!(self.standing, COUNTS | LATER_PLACE | TIED)
    }

    pub(crate) fn is_opened(&self) -> bool {
        matches!(self.state, CopyState::Opened { .. })
    }
}

/// Any number that tells rooms apart.
pub(crate) fn room_number(room_hash: &[u8; 16]) -> i64 {
    i64::from_le_bytes(room_hash[..8].try_into().expect("eight of sixteen bytes"))
}

impl Connection {
    /// The copies of a session in a room and in others, those of the room first.
    pub(crate) fn copies(&self, room_id: &str, session: &SessionId) -> Result<Vec<StoredCopy>, VaultError> {
        read(
            &self.inner,
            &self.keys,
            &self.keys.room_hash(room_id),
            &session.to_bytes(),
            true,
        )
    }

    /// The copies of the session that an entry is of.
    pub(crate) fn copies_of_entry(&self, entry: i64) -> Result<Vec<StoredCopy>, VaultError> {
        match name_of(&self.inner, entry)? {
            Some((room_hash, session)) => read(&self.inner, &self.keys, &room_hash, &session, true),
            None => Ok(Vec::new()),
        }
    }

    /// The room that a copy stands under, for those who ask by another room.
    pub(crate) fn room_of_copy(&self, copy: &StoredCopy) -> Result<String, VaultError> {
        Ok(self.room(copy.room)?.room_id)
    }

    pub(crate) fn room_hash(&self, room_id: &str) -> [u8; 16] {
        self.keys.room_hash(room_id)
    }

    /// The session of an entry.
    pub(crate) fn session_of(&self, entry: i64) -> Result<Option<SessionId>, VaultError> {
        Ok(name_of(&self.inner, entry)?.map(|(_, session)| SessionId::from_bytes(&session)))
    }

    /// Entries after `after` that have been opened and not compared yet.
    pub(crate) fn unsettled_copies(&self, after: i64, limit: usize) -> Result<Vec<i64>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT copy.entry FROM copy JOIN opened ON opened.entry = copy.entry AND failure = 0
             WHERE standing = 4 AND copy.entry > ?1 ORDER BY copy.entry LIMIT ?2",
        )?;
        let entries = statement.query_map(params![after, limit as i64], |row| row.get(0))?;
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// Versions with copies that are held back, and causes (by bit) that the host has not been told of: the row id, the bits of
    /// what there is, and the bits of what was told.
    pub(crate) fn conflicts_to_tell(&self) -> Result<Vec<(i64, i64, i64)>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT room.version, max(standing IN (1, 2)) + 2 * max(standing = 3) AS bits, told_conflicts FROM copy
             JOIN (SELECT id, room FROM entry UNION ALL SELECT entry, room FROM trimmed) AS known ON known.id = copy.entry
             JOIN room ON room.id = known.room JOIN backup_version ON backup_version.id = room.version
             JOIN opened ON opened.entry = copy.entry AND failure = 0
             WHERE standing IN (1, 2, 3) GROUP BY room.version HAVING bits & ~told_conflicts",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes that an event proves a copy: from now on its class ranks before all others.
    pub(crate) fn prove(&mut self, entry: i64) -> Result<(), VaultError> {
        self.write(|transaction, keys| {
            let Some((room_hash, session)) = name_of(transaction, entry)? else {
                return Ok(());
            };
            let mark = move |transaction: &Transaction<'_>, _: &[StoredCopy]| {
                note(transaction, entry, COUNTS)?;
                transaction.execute(
                    "UPDATE copy SET class = ifnull(class, entry), proof = 1 + (SELECT max(0, max(proof)) FROM copy)
                     WHERE entry = ?1",
                    [entry],
                )?;
                Ok(())
            };
            change(transaction, keys, &room_hash, &session, mark)?;
            look_again(transaction)
        })
    }
}

impl Writer {
    /// Notes what comparing showed of an entry, and what follows for every copy of its session. Gives what became of it;
    /// `None` if it has made way for another copy.
    pub(crate) fn settle_copy(&mut self, entry: i64, placement: Placement) -> Result<Option<Judged>, VaultError> {
        self.write(|transaction, keys| settle(transaction, keys, entry, placement))
    }

    /// Notes of which causes the host has been told.
    pub(crate) fn mark_conflicts_told(&mut self, version: i64, bits: i64) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE backup_version SET told_conflicts = told_conflicts | ?2 WHERE id = ?1",
                [version, bits],
            )?;
            Ok(())
        })
    }

    /// Ranks a copy behind all others: the app's crypto has one that came directly, and does not connect.
    pub(crate) fn demote_copies(&mut self, entries: &[i64]) -> Result<(), VaultError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.write(|transaction, keys| {
            for &entry in entries {
                let Some((room_hash, session)) = name_of(transaction, entry)? else {
                    continue;
                };
                let mark = move |transaction: &Transaction<'_>, _: &[StoredCopy]| {
                    note(transaction, entry, COUNTS)?;
                    transaction.execute(
                        "UPDATE copy SET class = ifnull(class, entry), proof = -1 WHERE entry = ?1 AND proof <= 0",
                        [entry],
                    )?;
                    Ok(())
                };
                change(transaction, keys, &room_hash, &session, mark)?;
            }
            look_again(transaction)
        })
    }

    /// Notes that a key that was opened cannot be used after all.
    pub(crate) fn mark_unusable(&mut self, entries: &[i64]) -> Result<(), VaultError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.write(|transaction, keys| {
            for &entry in entries {
                let Some((room_hash, session)) = name_of(transaction, entry)? else {
                    continue;
                };
                let reason = FailureReason::InvalidSessionKey.code();
                change(transaction, keys, &room_hash, &session, move |transaction, _| {
                    transaction.execute(
                        "UPDATE opened SET failure = ?2, first_index = NULL, fingerprint = NULL WHERE entry = ?1",
                        [entry, reason],
                    )?;
                    Ok(())
                })?;
            }
            Ok(())
        })
    }
}

/// What was passed over may count by now: it is looked at again, from the start.
fn look_again(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    transaction.execute("UPDATE job SET delivered_through = 0", [])?;
    Ok(())
}

/// Notes that the session of an entry is there several times.
pub(super) fn note(transaction: &Transaction<'_>, entry: i64, standing: i64) -> Result<(), VaultError> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO copy (entry, standing) VALUES (?1, ?2)")?
        .execute([entry, standing])?;
    Ok(())
}

/// A room, by its hash, and a session in it.
type Name = ([u8; 16], Vec<u8>);

/// The room and the session of an entry.
pub(super) fn name_of(connection: &rusqlite::Connection, entry: i64) -> Result<Option<Name>, VaultError> {
    let mut statement = connection.prepare_cached(
        "SELECT hash, session FROM (SELECT room, session FROM entry WHERE id = ?1
            UNION ALL SELECT room, session FROM trimmed WHERE entry = ?1) AS known JOIN room ON room.id = known.room",
    )?;
    Ok(statement
        .query_row([entry], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Reads the copies of a session: those in the room first, then those elsewhere, each in the order of arrival.
fn read(
    connection: &rusqlite::Connection,
    keys: &VaultKeys,
    room_hash: &[u8; 16],
    session: &[u8],
    with_bodies: bool,
) -> Result<Vec<StoredCopy>, VaultError> {
    let places = session_index::places(connection, keys.name_hash(session, room_hash))?;
    let entries = places.of_name.into_iter().chain(places.elsewhere);
    read_entries(connection, entries, room_hash, session, with_bodies)
}

fn read_entries(
    connection: &rusqlite::Connection,
    entries: impl IntoIterator<Item = i64>,
    room_hash: &[u8; 16],
    session: &[u8],
    with_bodies: bool,
) -> Result<Vec<StoredCopy>, VaultError> {
    let body = if with_bodies { "body" } else { "x''" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT known.room, version, hash, {body} AS body, presence, opened.entry IS NOT NULL AS is_opened, failure,
             first_index, shared_history, fingerprint, class, ifnull(proof, 0) AS proof, ifnull(tied, 0) AS tied,
             ifnull(standing, 0) AS standing, ifnull(is_extra, 0) AS is_extra, delivered.entry IS NOT NULL AS is_delivered,
             refusal IS NOT NULL AS is_refused
         FROM (SELECT id, room, session, body, 0 AS presence FROM entry WHERE id = ?1
               UNION ALL SELECT entry, room, session, x'', 1 + is_forgotten FROM trimmed WHERE entry = ?1) AS known
         JOIN room ON room.id = known.room LEFT JOIN opened ON opened.entry = known.id
         LEFT JOIN copy ON copy.entry = known.id LEFT JOIN delivered ON delivered.entry = known.id
         WHERE session = ?2"
    ))?;
    let mut copies = Vec::new();
    for entry in entries {
        let copy = statement.query_row(params![entry, session], |row| {
            let failure: Option<i64> = row.get("failure")?;
            let state = match failure {
                None => CopyState::Unopened,
                Some(0) => CopyState::Opened {
                    first_index: row.get::<_, Option<u32>>("first_index")?.unwrap_or(0),
                    shared_history: row.get::<_, Option<bool>>("shared_history")?.unwrap_or(false),
                    fingerprint: row.get("fingerprint")?,
                },
                Some(code) => CopyState::Failed(FailureReason::from_code(code).unwrap_or(FailureReason::Malformed)),
            };
            Ok(StoredCopy {
                entry,
                version: row.get("version")?,
                room: row.get("room")?,
                room_hash: row.get("hash")?,
                body: row.get("body")?,
                presence: match row.get::<_, i64>("presence")? {
                    0 => Presence::Here,
                    1 => Presence::Trimmed,
                    _ => Presence::Forgotten,
                },
                state,
                // One that stands alone is a class of its own.
                class: match row.get::<_, i64>("standing")? {
                    COUNTS => Some(row.get::<_, Option<i64>>("class")?.unwrap_or(entry)),
                    _ => row.get("class")?,
                },
                proof: row.get("proof")?,
                tied: row.get("tied")?,
                standing: row.get("standing")?,
                is_extra: row.get("is_extra")?,
                is_delivered: row.get("is_delivered")?,
                is_refused: row.get("is_refused")?,
            })
        });
        copies.extend(copy.optional()?);
    }
    copies.sort_by_key(|copy| (copy.room_hash != *room_hash, copy.entry));
    copies.dedup_by_key(|copy| copy.entry);
    Ok(copies)
}

/// Changes something about the copies of a session, judges them again, and brings the counters along.
pub(super) fn change(
    transaction: &Transaction<'_>,
    keys: &VaultKeys,
    room_hash: &[u8; 16],
    session: &[u8],
    work: impl FnOnce(&Transaction<'_>, &[StoredCopy]) -> Result<(), VaultError>,
) -> Result<Vec<StoredCopy>, VaultError> {
    let places = session_index::places(transaction, keys.name_hash(session, room_hash))?;
    let look = || {
        let entries = places.of_name.iter().chain(&places.elsewhere).copied();
        read_entries(transaction, entries, room_hash, session, false)
    };
    let before = look()?;
    work(transaction, &before)?;
    let mut after = look()?;
    write_standings(transaction, &mut after)?;
    choose_counted(transaction, &mut after)?;
    count(transaction, &before, &after)?;
    Ok(after)
}

/// Notes that an entry could not be opened: it hides nothing and counts for nothing, so that its own room is all there is to
/// look at.
pub(super) fn fail(
    transaction: &Transaction<'_>,
    keys: &VaultKeys,
    room_hash: &[u8; 16],
    session: &[u8],
    work: impl FnOnce(&Transaction<'_>) -> Result<(), VaultError>,
) -> Result<(), VaultError> {
    let entries = session_index::entries_of_name(transaction, keys.name_hash(session, room_hash))?;
    let look = || read_entries(transaction, entries.iter().copied(), room_hash, session, false);
    let before = look()?;
    work(transaction)?;
    let mut after = look()?;
    choose_counted(transaction, &mut after)?;
    count(transaction, &before, &after)
}

fn count(transaction: &Transaction<'_>, before: &[StoredCopy], after: &[StoredCopy]) -> Result<(), VaultError> {
    let mut difference: BTreeMap<i64, Tally> = BTreeMap::new();
    for copy in before {
        difference.entry(copy.version).or_default().add(copy, -1);
    }
    for copy in after {
        difference.entry(copy.version).or_default().add(copy, 1);
    }
    for (version, tally) in difference {
        tally.write(transaction, version)?;
    }
    Ok(())
}

/// What the copies of a session add to the counters of a version.
#[derive(Default)]
struct Tally {
    fetched: i64,
    opened: i64,
    failed: i64,
    conflicts: i64,
    withheld: i64,
    delivered: i64,
    refused: i64,
}

impl Tally {
    fn add(&mut self, copy: &StoredCopy, by: i64) {
        let is_held_back = copy.standing != COUNTS;
        self.conflicts += by * i64::from(matches!(copy.standing, LATER_PLACE | TIED | UNCONNECTED) && copy.is_opened());
        if copy.is_extra || copy.presence == Presence::Forgotten {
            return;
        }
        self.fetched += by;
        match copy.state {
            CopyState::Unopened => {}
            CopyState::Failed(_) => self.failed += by,
            CopyState::Opened { .. } => {
                self.opened += by;
                self.withheld += by * i64::from(is_held_back && !copy.is_delivered);
            }
        }
        if copy.is_refused {
            self.refused += by;
        } else if copy.is_delivered {
            self.delivered += by;
        }
    }

    fn write(&self, transaction: &Transaction<'_>, version: i64) -> Result<(), VaultError> {
        let figures = [
            self.fetched,
            self.opened,
            self.failed,
            self.conflicts,
            self.withheld,
            self.delivered,
            self.refused,
        ];
        if figures == [0; 7] {
            return Ok(());
        }
        let [fetched, opened, failed, conflicts, withheld, delivered, refused] = figures;
        transaction
            .prepare_cached(
                "UPDATE backup_version SET fetched = fetched + ?2, opened = opened + ?3, failed = failed + ?4,
                     conflicts = conflicts + ?5, withheld = withheld + ?6, delivered = delivered + ?7,
                     refused = refused + ?8
                 WHERE id = ?1",
            )?
            .execute([
                version, fetched, opened, failed, conflicts, withheld, delivered, refused,
            ])?;
        Ok(())
    }
}

fn write_standings(transaction: &Transaction<'_>, copies: &mut [StoredCopy]) -> Result<(), VaultError> {
    let (positions, facts): (Vec<usize>, Vec<Copy>) = copies
        .iter()
        .enumerate()
        .filter_map(|(position, copy)| Some((position, copy.facts()?)))
        .unzip();
    for (position, standing) in positions.into_iter().zip(judge(&facts)) {
        let copy = &mut copies[position];
        let standing = match standing {
            Standing::Counts => COUNTS,
            Standing::LaterPlace => LATER_PLACE,
            Standing::Tied => TIED,
            Standing::Unconnected => UNCONNECTED,
        };
        if copy.standing != standing {
            copy.standing = standing;
            note(transaction, copy.entry, standing)?;
            transaction
                .prepare_cached("UPDATE copy SET standing = ?2, class = ?3 WHERE entry = ?1")?
                .execute(params![copy.entry, standing, copy.class])?;
        }
    }
    Ok(())
}

/// Of the copies in one room of one version one is counted: the one that counts, else one that is opened, else the first.
fn choose_counted(transaction: &Transaction<'_>, copies: &mut [StoredCopy]) -> Result<(), VaultError> {
    let mut counted: HashMap<i64, usize> = HashMap::new();
    let rank = |copy: &StoredCopy| {
        (
            copy.presence != Presence::Forgotten,
            copy.is_opened(),
            // Of those that are not in a conflict by themselves, the first.
            copy.standing == COUNTS,
            matches!(copy.standing, LATER_PLACE | TIED),
            std::cmp::Reverse(copy.entry),
        )
    };
    for (position, copy) in copies.iter().enumerate() {
        let best = counted.entry(copy.room).or_insert(position);
        if rank(copy) > rank(&copies[*best]) {
            *best = position;
        }
    }
    for (position, copy) in copies.iter_mut().enumerate() {
        let is_extra = counted.get(&copy.room) != Some(&position);
        if copy.is_extra != is_extra {
            copy.is_extra = is_extra;
            note(transaction, copy.entry, copy.standing)?;
            transaction
                .prepare_cached("UPDATE copy SET is_extra = ?2 WHERE entry = ?1")?
                .execute(params![copy.entry, is_extra])?;
        }
    }
    Ok(())
}

pub(super) fn settle(
    transaction: &Transaction<'_>,
    keys: &VaultKeys,
    entry: i64,
    placement: Placement,
) -> Result<Option<Judged>, VaultError> {
    let Some((room_hash, session)) = name_of(transaction, entry)? else {
        return Ok(None);
    };
    let place = |transaction: &Transaction<'_>, copies: &[StoredCopy]| place(transaction, copies, entry, placement);
    let copies = change(transaction, keys, &room_hash, &session, place)?;
    Ok(judged(&copies, entry))
}

/// What became of an entry among the copies of its session.
pub(super) fn judged(copies: &[StoredCopy], entry: i64) -> Option<Judged> {
    let copy = copies.iter().find(|copy| copy.entry == entry)?;
    let shares = |other: &&StoredCopy| {
        other.class == copy.class
            && other.room_hash == copy.room_hash
            && matches!(
                other.state,
                CopyState::Opened {
                    shared_history: true,
                    ..
                }
            )
    };
    Some(Judged {
        entry,
        counts: copy.standing == COUNTS,
        shared_history: copies.iter().any(|other| shares(&other)),
    })
}

/// Puts an entry into its class. In one room of one version one copy of a class stays: the one that begins earliest.
fn place(
    transaction: &Transaction<'_>,
    copies: &[StoredCopy],
    entry: i64,
    placement: Placement,
) -> Result<(), VaultError> {
    let Some(own) = copies.iter().find(|copy| copy.entry == entry) else {
        return Ok(());
    };
    let class = match placement {
        Placement::NotNeeded => {
            return set_class(transaction, entry, entry, NOT_NEEDED);
        }
        Placement::Founds => entry,
        Placement::Joins(class) => class,
    };
    let index_of = |copy: &StoredCopy| match copy.state {
        CopyState::Opened { first_index, .. } => first_index,
        _ => u32::MAX,
    };
    let namesake = copies
        .iter()
        .find(|copy| copy.entry != entry && copy.room == own.room && copy.is_opened() && copy.class == Some(class));
    if let Some(namesake) = namesake {
        let (stays, goes) = match namesake.presence == Presence::Forgotten || index_of(own) < index_of(namesake) {
            true => (own, namesake),
            false => (namesake, own),
        };
        inherit(transaction, stays, goes)?;
        forget(transaction, goes)?;
        if stays.entry != entry {
            return Ok(());
        }
    }
    set_class(transaction, entry, class, UNCONNECTED)?;
    evict(transaction, copies, own, class)
}

fn set_class(transaction: &Transaction<'_>, entry: i64, class: i64, standing: i64) -> Result<(), VaultError> {
    note(transaction, entry, standing)?;
    transaction
        .prepare_cached("UPDATE copy SET class = ?2, standing = ?3 WHERE entry = ?1")?
        .execute([entry, class, standing])?;
    Ok(())
}

/// What was known of a copy that makes way holds for the one that stays.
fn inherit(transaction: &Transaction<'_>, stays: &StoredCopy, goes: &StoredCopy) -> Result<(), VaultError> {
    note(transaction, stays.entry, UNCONNECTED)?;
    transaction.execute(
        "UPDATE copy SET proof = CASE WHEN proof = 0 THEN ?2 ELSE max(proof, ?2) END,
             tied = CASE WHEN ?3 THEN ?4 ELSE tied END WHERE entry = ?1",
        params![stays.entry, goes.proof, goes.entry < stays.entry, goes.tied],
    )?;
    if matches!(
        goes.state,
        CopyState::Opened {
            shared_history: true,
            ..
        }
    ) {
        transaction.execute("UPDATE opened SET shared_history = 1 WHERE entry = ?1", [stays.entry])?;
    }
    Ok(())
}

/// Of the classes of a session in one room of one version so many stay: the first, those that are proved, and the newest.
fn evict(
    transaction: &Transaction<'_>,
    copies: &[StoredCopy],
    own: &StoredCopy,
    own_class: i64,
) -> Result<(), VaultError> {
    let mut classes: Vec<&StoredCopy> = copies
        .iter()
        .filter(|copy| {
            copy.room == own.room
                && copy.entry != own.entry
                && copy.is_opened()
                && copy.class.is_some()
                && copy.class != Some(own_class)
        })
        .collect();
    classes.sort_by_key(|copy| copy.entry);
    let mut surplus = (classes.len() + 1).saturating_sub(MAX_CLASSES_OF_A_SESSION);
    for copy in classes.iter().skip(1).filter(|copy| copy.proof <= 0) {
        if surplus == 0 {
            break;
        }
        forget(transaction, copy)?;
        surplus -= 1;
    }
    Ok(())
}

/// Takes a copy out of the vault, whose key another copy has, or nobody needs.
pub(super) fn forget(transaction: &Transaction<'_>, copy: &StoredCopy) -> Result<(), VaultError> {
    if copy.presence != Presence::Forgotten {
        transaction
            .prepare_cached("UPDATE room SET entries = entries - 1 WHERE id = ?1")?
            .execute([copy.room])?;
    }
    // Classes are named after their founders: the name stays when the founder goes.
    for sql in [
        "DELETE FROM copy WHERE entry = ?1",
        "DELETE FROM opened WHERE entry = ?1",
        "DELETE FROM delivered WHERE entry = ?1",
        "DELETE FROM trimmed WHERE entry = ?1",
        "DELETE FROM confirmed WHERE entry = ?1",
        "DELETE FROM entry WHERE id = ?1",
        "UPDATE job SET last_forgotten = max(last_forgotten, ?1)",
    ] {
        transaction.prepare_cached(sql)?.execute([copy.entry])?;
    }
    Ok(())
}
