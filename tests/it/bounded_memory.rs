//! How much memory a hostile answer costs. Each answer goes to a client in its own process.

use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, Homeserver};
use serde_json::json;

use crate::support::{
    Phone, Setup,
    backup_entry::{plaintext, public_key, room, rooms, seal},
    homeserver, status,
};

/// The most MiB that an answer may take, including opening and delivering. Usually it takes 25.
const MOST: u64 = 40;

fn all_keys(kind: FaultKind) -> Vec<Fault> {
    vec![Fault::from(kind).on(EndpointKind::AllKeys)]
}

/// Serves these rooms, which are JSON texts.
fn all_rooms(texts: impl Iterator<Item = String>) -> Vec<Fault> {
    let texts: Vec<_> = texts.collect();
    all_keys(status(200, rooms(&texts)))
}

/// Serves these entries in one room.
fn entries(entries: impl Iterator<Item = String>) -> Vec<Fault> {
    let entries: Vec<_> = entries
        .enumerate()
        .map(|(number, entry)| (format!("s{number}"), entry))
        .collect();
    all_rooms(std::iter::once(room("!a:x", &entries)))
}

/// Serves 500 valid keys, each with a forwarding chain that is as long as fits.
fn swollen(homeserver: &Homeserver, setup: &Setup) -> Vec<Fault> {
    let sessions = (0..500).map(|index| {
        let key = homeserver.truth().key(index);
        let mut fields = plaintext(&key);
        fields["forwarding_curve25519_key_chain"] = vec![""; 11_000].into();
        let entry = seal(&fields, key.first_known_index, public_key(&setup.account));
        (key.session_id, entry.to_string())
    });
    let sessions: Vec<_> = sessions.collect();
    all_rooms(std::iter::once(room("!a:x", &sessions)))
}

/// Returns the peak memory of the process, in MiB.
fn peak(phone: &Phone) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", phone.id())).expect("the process is alive");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("its peak");
    let kib = peak.split_whitespace().next().expect("a figure");
    kib.parse::<u64>().expect("a figure") / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_take_at_most_40_mib() {
    let homeserver = homeserver(500, 1);
    let cut = Fault::from(FaultKind::CutBody { after_bytes: 1_000 }).on(EndpointKind::AllKeys);
    let listed = status(200, json!({ "joined_rooms": vec![""; 2_500_000] }).to_string());
    let long = "x".repeat(1_000_000);
    for (name, faults) in [
        ("a gzip bomb", all_keys(FaultKind::GzipBomb { mebibytes: 300 })),
        ("an endless answer", all_keys(FaultKind::Endless)),
        (
            "one large entry",
            entries([format!("\"{}\"", "y".repeat(100_000_000))].into_iter()),
        ),
        (
            "deeply nested entries",
            entries((0..20).map(|_| format!("{}{}", "[".repeat(500_000), "]".repeat(500_000)))),
        ),
        (
            "many entries that are just small enough",
            entries((0..1_500).map(|_| format!("\"{}\"", "y".repeat(60_000)))),
        ),
        ("long ids", all_rooms((0..50).map(|_| room(&long, &[(&long, "{}")])))),
        (
            "many pieces of two rooms",
            all_rooms((0..100_000).map(|n| room(&format!("!{}", n % 2), &[(n.to_string(), "{}")]))),
        ),
        ("swollen keys", swollen(&homeserver, &Setup::new(&homeserver))),
        (
            "a long list of rooms",
            vec![cut, Fault::from(listed).on(EndpointKind::JoinedRooms)],
        ),
    ] {
        let setup = Setup::new(&homeserver);
        homeserver.set_faults(Vec::new());
        let mut phone = Phone::start(&homeserver, &setup, &[]).ready();
        let before = peak(&phone);
        homeserver.set_faults(faults);
        phone.send_command("run");
        let outcome = phone.outcome();
        let grown = peak(&phone) - before;
        assert!(grown <= MOST, "{name}: {grown} MiB, {outcome}");
        phone.kill();
    }
}
