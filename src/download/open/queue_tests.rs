//! Tests of the queue of pages.

use tempfile::TempDir;

use super::*;
use crate::{
    backup::{entry::Claims, session_id::SessionId},
    ids::VersionRowId,
    random::random,
    vault::{EntryBatch, OpenVaultError, Protection, Vault},
};

/// A vault with entries of two rooms: entry N, counted from 1, is in the room `!odd:x` or `!even:x`, and its session
/// comes before that of all earlier entries.
struct Filled {
    _directory: TempDir,
    vault: Vault,
    keys: DecryptionKeys,
    wanted: WantedRooms,
    stop: StopSignal,
}

impl Filled {
    fn new(entries: u16) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let unprotected = || Ok::<_, OpenVaultError>(Protection::None);
        let vault = Vault::open(directory.path(), "@a:x", "D", unprotected).expect("a vault");
        let mut connection = vault.connect().expect("a connection");
        connection.include_version("1").expect("a version");
        let version = connection.versions().expect("the versions")[0].id;
        let keys = DecryptionKeys::default();
        keys.insert(version, &random());
        let filled = Self {
            _directory: directory,
            vault,
            keys,
            wanted: WantedRooms::default(),
            stop: StopSignal::new(Wake::default()),
        };
        filled.insert(version, 1..=entries);
        filled
    }

    fn insert(&self, version: VersionRowId, numbers: impl Iterator<Item = u16>) {
        let mut batch = EntryBatch::default();
        for number in numbers {
            let mut session = [0; 32];
            session[..2].copy_from_slice(&(10_000 - 50 * number).to_be_bytes());
            let room = if number % 2 == 0 { "!even:x" } else { "!odd:x" };
            batch.push(0, room, SessionId::Key(session), |_| Claims::default());
        }
        let mut connection = self.vault.connect().expect("a connection");
        connection.insert_beside(version, &mut batch).expect("they are written");
    }

    fn queue(&self, sink: SinkPages, batch: usize) -> Arc<PageQueue> {
        let connection = self.vault.connect().expect("a connection");
        let queue = PageQueue::new(connection, Some(sink), self.wanted.clone(), &self.keys, Wake::default());
        let queue = queue.expect("a queue");
        queue.set_batch(batch);
        Arc::new(queue)
    }

    fn claim(&self, queue: &Arc<PageQueue>, is_whole: bool) -> Claim {
        queue.claim(&self.keys, is_whole, &self.stop).expect("a claim")
    }

    /// Claims a page. Returns its number and its entries.
    fn page(&self, queue: &Arc<PageQueue>) -> (Option<u64>, Vec<i64>) {
        match self.claim(queue, true) {
            Claim::Page(page, _) => (page.number, page.entries.iter().map(|(entry, _)| entry.id.0).collect()),
            _ => panic!("no page"),
        }
    }
}

const BY_SESSION: SinkPages = SinkPages {
    keys: 10,
    by_session: true,
    are_checked: true,
    with_workers: 100,
};

#[test]
fn only_a_limited_number_of_pages_waits_behind_a_slow_one() {
    let filled = Filled::new(100);
    let sink = SinkPages {
        by_session: false,
        with_workers: 1,
        ..BY_SESSION
    };
    let queue = filled.queue(sink, 10);
    let claim = || filled.claim(&queue, true);
    let mut seats = Vec::new();
    for _ in 0..3 {
        let Claim::Page(_, seat) = claim() else {
            panic!("no page")
        };
        seats.push(seat);
    }
    assert!(matches!(claim(), Claim::Enough));
    // Any page that ends makes room.
    seats.remove(1);
    assert!(matches!(claim(), Claim::Page(..)), "and gives its seat back at once");
    let Claim::Page(_, seat) = claim() else {
        panic!("no page")
    };
    seats.push(seat);
    assert!(matches!(claim(), Claim::Enough));
    queue.sink_is_gone();
    assert!(
        matches!(claim(), Claim::Page(..)),
        "what is only opened waits for nobody"
    );
    seats.clear();
    assert!(!queue.is_under_way());
}

#[test]
fn entries_wait_for_a_batch_only_while_more_are_fetched() {
    let filled = Filled::new(30);
    for sink in [
        BY_SESSION,
        SinkPages {
            by_session: false,
            ..BY_SESSION
        },
    ] {
        let queue = filled.queue(sink, 31);
        assert!(matches!(filled.claim(&queue, false), Claim::Later(_)));
        queue.set_batch(30);
        assert!(matches!(filled.claim(&queue, false), Claim::Page(..)));
        let queue = filled.queue(sink, 31);
        assert!(matches!(filled.claim(&queue, true), Claim::Page(..)));
    }
}

#[test]
fn a_wanted_room_comes_before_the_other_sessions_of_the_window() {
    let filled = Filled::new(40);
    let queue = filled.queue(BY_SESSION, 10);
    let (number, mut came) = filled.page(&queue);
    assert_eq!(number, Some(0));
    assert!(came.is_sorted());
    filled.wanted.open_first("!even:x".to_owned());
    let mut numbers = 1;
    while came.len() < 40 {
        let (number, entries) = filled.page(&queue);
        let is_all_even = entries.iter().all(|entry| entry % 2 == 0);
        let evens_are_here = came.iter().filter(|entry| *entry % 2 == 0).count() == 20;
        match number {
            None => assert!(is_all_even && !evens_are_here),
            Some(number) => {
                assert!(evens_are_here && number == numbers);
                numbers += 1;
            }
        }
        came.extend(entries);
    }
    came.sort_unstable();
    assert_eq!(came, (1..=40).collect::<Vec<_>>(), "each of them once");
    assert!(matches!(filled.claim(&queue, true), Claim::Nothing));
}

#[test]
fn the_mark_passes_a_window_when_all_of_it_has_ended() {
    let filled = Filled::new(30);
    let queue = filled.queue(BY_SESSION, 10);
    let (first, _) = filled.page(&queue);
    filled.wanted.open_first("!even:x".to_owned());
    let mut pages = vec![first];
    for _ in 0..20 {
        if let Claim::Page(page, _) = filled.claim(&queue, true) {
            pages.push(page.number);
        }
    }
    // Entries that arrive now are in the next window.
    let version = filled
        .vault
        .connect()
        .expect("a connection")
        .versions()
        .expect("the versions")[0]
        .id;
    filled.insert(version, 31..=35);
    let (next, entries) = filled.page(&queue);
    assert_eq!(entries, [31, 32, 33, 34, 35]);
    let last = pages.pop().expect("a page");
    for page in pages {
        queue.settle(page, Passed::Opened);
        assert_eq!(queue.mark_with(&[], Passed::Opened), EntryId::NONE);
    }
    assert_eq!(queue.mark_with(&[last], Passed::Opened), EntryId(30));
    assert_eq!(queue.mark_with(&[last, next], Passed::Opened), EntryId(35));
}

#[test]
fn a_stopped_run_fills_no_window() {
    let filled = Filled::new(5);
    let queue = filled.queue(BY_SESSION, 10);
    filled.stop.stop(crate::job::StopCause::Abandoned);
    // Nothing is claimed out of order, and nothing is lost.
    let (_, entries) = filled.page(&queue);
    assert_eq!(entries, [1, 2, 3, 4, 5]);
}

#[test]
fn the_mark_does_not_pass_entries_of_a_wanted_room_that_lack_a_key() {
    let filled = Filled::new(30);
    let mut connection = filled.vault.connect().expect("a connection");
    connection.include_version("2").expect("a version");
    let versions = connection.versions().expect("the versions");
    let locked = versions
        .iter()
        .find(|version| version.version == "2")
        .expect("it is there")
        .id;
    filled.insert(locked, (32..=40).step_by(2));
    let queue = filled.queue(BY_SESSION, 10);
    // The window is made by the first claim.
    let mut pages = vec![filled.page(&queue).0];
    filled.wanted.open_first("!even:x".to_owned());
    for _ in 0..20 {
        if let Claim::Page(page, _) = filled.claim(&queue, true) {
            assert!(page.entries.iter().all(|(entry, _)| entry.id <= EntryId(30)));
            pages.push(page.number);
        }
    }
    for page in pages {
        queue.settle(page, Passed::Opened);
    }
    assert_eq!(queue.mark_with(&[], Passed::Opened), EntryId::NONE);
}
