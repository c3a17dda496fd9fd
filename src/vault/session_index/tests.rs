//! Tests of the index from a session to its entries.

use super::*;
use crate::vault::migrations;

/// Writes `count` entries from `first` on in one transaction. Of three consecutive entries, two have the same
/// name.
fn batch(connection: &mut Connection, recent: RecentSessions, first: i64, count: i64) -> RecentSessions {
    let transaction = connection.transaction().expect("the transaction begins");
    let mut index = SessionIndex::new(&transaction, &recent);
    for entry in first..first + count {
        assert!(
            !index
                .places(name(entry))
                .expect("the look-up succeeds")
                .of_name
                .contains(&EntryId(entry))
        );
        index.add(name(entry), EntryId(entry));
        assert!(
            index
                .places(name(entry))
                .expect("the look-up succeeds")
                .of_name
                .contains(&EntryId(entry))
        );
    }
    let added = index.into_added();
    let recent = write(&transaction, recent, added).expect("the batch is written");
    transaction.commit().expect("the transaction commits");
    recent
}

fn name(entry: i64) -> NameHash {
    let twin = if entry % 3 == 0 { entry } else { entry - entry % 3 % 2 };
    NameHash(twin.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()))
}

#[test]
fn every_entry_is_found_before_and_after_it_is_merged() {
    let mut connection = Connection::open_in_memory().expect("the database opens");
    migrations::create(&mut connection).expect("the tables are created");
    let mut recent = RecentSessions::default();
    let mut first = 1;
    let mut merged = 0;
    let most = i64::try_from(MOST_RECENT).expect("the limit fits");
    // The fourth batch reaches the limit, and everything is merged.
    for count in [1, most / 8, most / 2, most, 900, 100] {
        recent = batch(&mut connection, recent, first, count);
        first += count;
        merged += u32::from(recent.sorted.is_empty());
        let read = RecentSessions::read(&connection).expect("the recent sessions are read");
        assert_eq!(read.sorted, recent.sorted, "memory and file hold the same pairs");
    }
    assert_eq!((merged, recent.sorted.len()), (1, 1_000));
    for entry in (1..first).step_by(7).chain(first - 2_200..first) {
        let found = places(&connection, name(entry)).expect("the look-up succeeds").of_name;
        assert!(found.contains(&EntryId(entry)), "entry {entry}");
        assert!(found.iter().all(|other| name(other.0) == name(entry)));
        let mut twice = found.clone();
        twice.dedup();
        assert_eq!(twice, found);
    }
    assert!(
        places(&connection, NameHash(12_345))
            .expect("the look-up succeeds")
            .of_name
            .is_empty()
    );
}

#[test]
fn a_tidied_index_has_few_recent_entries_and_keeps_every_entry() {
    let mut connection = Connection::open_in_memory().expect("the database opens");
    migrations::create(&mut connection).expect("the tables are created");
    let mut recent = RecentSessions::default();
    let mut first = 1;
    // Many hashes, and many transactions with a few.
    for counts in [vec![5_000], vec![10; 40], vec![1]] {
        let is_due = counts != [1];
        for count in counts {
            recent = batch(&mut connection, recent, first, count);
            first += count;
        }
        assert_eq!(can_tidy(&connection).expect("an answer"), is_due);
        let transaction = connection.transaction().expect("the transaction begins");
        recent = tidy(&transaction, recent).expect("the index is tidied");
        transaction.commit().expect("the transaction commits");
        assert!(!can_tidy(&connection).expect("an answer"));
        let read = RecentSessions::read(&connection).expect("the recent sessions are read");
        assert_eq!(read.sorted, recent.sorted, "memory and file hold the same pairs");
        assert_eq!(recent.sorted.is_empty(), is_due);
        for entry in 1..first {
            let found = places(&connection, name(entry)).expect("the look-up succeeds").of_name;
            assert!(found.contains(&EntryId(entry)), "entry {entry}");
        }
    }
}

#[test]
fn a_session_is_found_in_every_room_and_a_flood_of_rooms_hides_no_name() {
    let mut connection = Connection::open_in_memory().expect("the database opens");
    migrations::create(&mut connection).expect("the tables are created");
    let keys = VaultKeys::open([3; 16]);
    let room = |number: u32| keys.room_hash(&format!("!{number}:x"));
    let name = |number: u32| keys.name_hash(b"session", &room(number));
    let mut recent = RecentSessions::default();
    let mut rooms = 0;
    // A few rooms at first, then so many that most entries are merged into the tree.
    for count in [3, 40_000, 500] {
        let transaction = connection.transaction().expect("the transaction begins");
        let mut index = SessionIndex::new(&transaction, &recent);
        for number in rooms..rooms + count {
            index.add(name(number), EntryId(i64::from(number) + 1));
        }
        rooms += count;
        let added = index.into_added();
        recent = write(&transaction, recent, added).expect("the batch is written");
        transaction.commit().expect("the transaction commits");
        for number in [0, 2, rooms - 1, rooms / 2] {
            let found = places(&connection, name(number)).expect("the look-up succeeds");
            assert_eq!(found.of_name, [EntryId(i64::from(number) + 1)]);
            assert!(found.elsewhere.len() >= 2 && found.elsewhere.len() <= 3 * MOST_PLACES);
            let transaction = connection.transaction().expect("the transaction begins");
            let index = SessionIndex::new(&transaction, &recent);
            assert_eq!(
                index.places(name(number)).expect("the look-up succeeds").of_name,
                [EntryId(i64::from(number) + 1)]
            );
        }
    }
    let other = places(&connection, keys.name_hash(b"other", &room(1))).expect("the look-up succeeds");
    assert!(other.of_name.is_empty() && other.elsewhere.is_empty());
}
