//! Tests of the queue of pages.

use super::*;
use crate::{
    backup::{entry::Claims, session_id::SessionId},
    random::random,
    vault::{EntryBatch, OpenVaultError, Protection, Vault},
};

#[test]
fn only_a_limited_number_of_pages_waits_behind_a_slow_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let unprotected = || Ok::<_, OpenVaultError>(Protection::None);
    let vault = Vault::open(directory.path(), "@a:x", "D", unprotected).expect("a vault");
    let mut connection = vault.connect().expect("a connection");
    connection.include_version("1").expect("a version");
    let version = connection.versions().expect("the versions")[0].id;
    let mut batch = EntryBatch::default();
    for number in 0..100 {
        let session = SessionId::parse(&format!("session {number}"));
        batch.push(0, "!r:x", session, |_| Claims::default());
    }
    connection.insert_beside(version, &mut batch).expect("they are written");
    let keys = DecryptionKeys::default();
    keys.insert(version, &random());
    let sink = SinkPages { keys: 10, most: 3 };
    let queue = PageQueue::new(connection, Some(sink), WantedRooms::default(), &keys, Wake::default());
    let queue = Arc::new(queue.expect("a queue"));
    let claim = || queue.claim(&keys).expect("a claim");
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
