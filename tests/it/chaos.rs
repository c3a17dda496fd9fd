//! Random disturbances in an order that a seed decides: kills, suspensions, pauses, expired time, a server that
//! misbehaves, recreated backups, moves to a new key, a full disk. In the end, vault and sink equal the truth, and the
//! backup moves once more.

#![allow(clippy::print_stderr, reason = "the seed is printed")]

use std::time::Duration;

use keyferry::RunBudget;
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver, VersionAction};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    BATCH, Deliveries, Dice, Phone, Setup, SmallDisk, WHOLE, assert_vault_complete, number_from_env, seed, start,
    status,
};

const KEYS: u64 = 12_000;
/// Each change of the version makes the client fetch and deliver everything again.
const MOST_CHANGES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs to mount a small tmpfs: scripts/test-chaos.sh runs it"]
async fn after_random_disturbances_all_keys_are_there() {
    let (seed, rounds) = (seed(), number_from_env("KEYFERRY_CHAOS_ROUNDS", 200));
    eprintln!("KEYFERRY_SEED={seed} KEYFERRY_CHAOS_ROUNDS={rounds}");
    let homeserver = start(Config {
        keys: KEYS,
        rooms: 60,
        left_rooms: 3,
        bytes_per_second: Some(4_000_000),
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let disk = SmallDisk::mount(&setup.vault_directory(), 160);
    let mut chaos = Chaos {
        dice: Dice(seed),
        homeserver: &homeserver,
        setup: &setup,
        disk: &disk,
        phone: None,
        kills: 0,
        changes: 0,
        log: Vec::new(),
    };
    for _ in 0..rounds {
        chaos.round().await;
    }
    let (kills, changes) = (chaos.kills, chaos.changes);
    let log = summary(&chaos.log);
    drop(chaos);

    homeserver.set_faults(Vec::new());
    disk.empty();
    let moves = usize::try_from(homeserver.requests().of(EndpointKind::CreateVersion)).expect("small");
    let uploads = homeserver.requests().of(EndpointKind::PutKeys);
    eprintln!(
        "{kills} kills, {changes} changes of the version, {moves} versions and {uploads} uploads for moves; {log}"
    );
    assert!(moves > 0 && uploads > 0, "the backup moves amid all of this");
    let mut delivered = Deliveries::new(&homeserver);
    let again = delivered.read_on(setup.directory.path());
    for _ in 0..20 {
        let mut phone = start_phone(&homeserver, &setup, &[]);
        phone.send_command("start");
        phone.answer("done");
        phone.send_command("run");
        if phone.end() {
            break;
        }
        // The server may have asked the client to wait.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let again = again + delivered.read_on(setup.directory.path());
    assert_eq!(delivered.missing.len(), 0, "keys are lost");
    let most = kills * BATCH + (changes + moves) * usize::try_from(KEYS).expect("small");
    assert!(
        again <= most,
        "{again} keys were delivered again, at most {most} may be"
    );

    complete_a_move(&homeserver, &setup);
    let device = Setup::new(&homeserver);
    let restored = device.open_unlocked().await;
    assert_eq!(restored.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_vault_complete(&restored, &homeserver).await;

    // The last move may have read its version back room by room.
    let client = setup.open().await;
    let report = client.download().run(RunBudget::default()).await;
    assert!(report.every_key_is_here, "{report:?}");
    let status = client.download().status().await.expect("a status");
    let summary = status.summary;
    assert_eq!((summary.fetched, summary.opened, summary.delivered), (KEYS, KEYS, KEYS));
    assert_eq!((summary.failed, summary.conflicts, summary.refused), (0, 0, 0));
    assert_vault_complete(&client, &homeserver).await;
}

/// Starts a phone. `order` is empty, or has the phone's sink take keys by their sessions.
fn start_phone(homeserver: &Homeserver, setup: &Setup, order: &[&str]) -> Phone {
    let store = setup.directory.path().join("crypto-store").display().to_string();
    let arguments = [&["--crypto", store.as_str()], order].concat();
    Phone::start(homeserver, setup, &arguments).ready()
}

/// Waits until the phone has done everything that it was told, and is quiet.
fn until_quiescent(phone: &mut Phone) {
    phone.send_command("quiescent");
    while phone.answer("done") != "quiescent" {}
}

/// Ends the move under way, if there is one, and moves the backup once more.
fn complete_a_move(homeserver: &Homeserver, setup: &Setup) {
    let mut ends = Vec::new();
    for _ in 0..20 {
        let mut phone = start_phone(homeserver, setup, &[]);
        for command in ["run", "wait", "move", "reset"] {
            phone.send_command(command);
        }
        ends.push((phone.outcome(), phone.answer("reset")));
        if phone.end() {
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("the backup does not move: {ends:#?}");
}

struct Chaos<'a> {
    dice: Dice,
    homeserver: &'a Homeserver,
    setup: &'a Setup,
    disk: &'a SmallDisk,
    phone: Option<Phone>,
    kills: usize,
    changes: usize,
    log: Vec<&'static str>,
}

impl Chaos<'_> {
    async fn round(&mut self) {
        let mut phone = match self.phone.take() {
            Some(phone) => phone,
            None => {
                // A server that stays silent would keep an unlock waiting for longer than this test does.
                self.homeserver.set_faults(Vec::new());
                let order: &[&str] = if self.dice.next() < 0.5 { &[] } else { &["--by-session"] };
                start_phone(self.homeserver, self.setup, order)
            }
        };
        if self.dice.below(15) == 0 {
            self.begin_a_move(&mut phone).await;
        }
        let job = if self.dice.below(3) == 0 { "run" } else { "reset" };
        let limit = if self.dice.next() < 0.5 { "" } else { " 400" };
        phone.send_command(&format!("{job}{limit}"));
        self.wait(150).await;
        let (name, stays) = match self.dice.below(12) {
            0..=2 => ("kill", false),
            3 => ("pause", self.pause(&mut phone)),
            4 => ("suspend", self.suspend(&mut phone).await),
            5..=7 => ("server fault", self.server_fault()),
            8 => ("version", self.version()),
            9 | 10 => ("full disk", self.full_disk().await),
            _ => ("end", self.end(&mut phone)),
        };
        self.log.push(name);
        self.wait(100).await;
        if stays && phone.is_alive() {
            phone.send_command("end");
            phone.send_command("wait");
            until_quiescent(&mut phone);
            self.phone = Some(phone);
        } else {
            phone.kill();
            self.kills += 1;
        }
    }

    /// Downloads everything in peace, so that nothing can be lost, begins to move the backup, and half of the time waits
    /// until it uploads: on a slow machine, disturbances come earlier than any upload.
    async fn begin_a_move(&mut self, phone: &mut Phone) {
        self.homeserver.set_faults(Vec::new());
        phone.send_command("run");
        phone.send_command("wait");
        phone.send_command("move");
        until_quiescent(phone);
        if self.dice.next() < 0.5 {
            return;
        }
        let uploads = || self.homeserver.requests().of(EndpointKind::PutKeys);
        let uploads_before = uploads();
        phone.send_command("reset");
        // A move whose keys are all there already uploads nothing.
        for _ in 0..500 {
            if uploads() > uploads_before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn wait(&mut self, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(most_ms).mul_f64(self.dice.next())).await;
    }

    fn pause(&mut self, phone: &mut Phone) -> bool {
        let causes = [
            "user",
            "in_background",
            "low_power",
            "thermal",
            "offline",
            "storage_locked",
        ];
        let cause = causes[self.dice.below(causes.len())];
        phone.send_command(&format!("pause {cause}"));
        phone.send_command(&format!("resume {cause}"));
        phone.answer("done");
        phone.answer("done");
        true
    }

    async fn suspend(&mut self, phone: &mut Phone) -> bool {
        if phone.suspend() {
            self.wait(100).await;
            phone.signal(Signal::CONT);
        }
        true
    }

    fn end(&mut self, phone: &mut Phone) -> bool {
        phone.send_command("end");
        true
    }

    fn server_fault(&mut self) -> bool {
        let after_bytes = (self.dice.next() * 300_000.0) as u64;
        let kind = match self.dice.below(8) {
            0 => FaultKind::CutBody { after_bytes },
            1 => FaultKind::Stall { after_bytes },
            2 => FaultKind::Reset { after_bytes },
            3 => FaultKind::WrongLength { declared: after_bytes },
            4 => status(429, json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 30 })),
            5 => status(502, json!("<html>")),
            6 => FaultKind::NotJson,
            _ => FaultKind::Silence,
        };
        let endpoints = [
            EndpointKind::CurrentVersion,
            EndpointKind::AllKeys,
            EndpointKind::RoomKeys,
            EndpointKind::JoinedRooms,
            EndpointKind::CreateVersion,
            EndpointKind::PutKeys,
            EndpointKind::GetAccountData,
            EndpointKind::PutAccountData,
        ];
        let endpoint = endpoints[self.dice.below(endpoints.len())];
        let times = 1 + u32::try_from(self.dice.below(3)).expect("small");
        self.homeserver
            .set_faults(vec![Fault::from(kind).on(endpoint).times(times)]);
        true
    }

    /// Changes the versions. The one that remains always has all keys.
    fn version(&mut self) -> bool {
        if self.changes < MOST_CHANGES {
            self.changes += 1;
            if self.dice.next() < 0.5 {
                self.homeserver.set_version_state(VersionAction::Delete);
            }
            self.homeserver.set_version_state(VersionAction::NewWithKeys);
        }
        true
    }

    async fn full_disk(&mut self) -> bool {
        self.disk.fill();
        self.wait(200).await;
        self.disk.empty();
        self.dice.next() < 0.7
    }
}

fn summary(log: &[&str]) -> String {
    let mut names = log.to_vec();
    names.sort_unstable();
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in names {
        match counts.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => counts.push((name, 1)),
        }
    }
    let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    counts.join(", ")
}
