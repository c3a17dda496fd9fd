//! A paused download, seen from outside, holds nothing: no open vault, no lock, no socket, no busy thread.

#![allow(clippy::print_stderr, reason = "figures for the reader of the log")]

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, Homeserver};
use serde_json::Value;

use crate::support::{Phone, Setup, homeserver, status};

/// Reads what a process has open, and how much processor time its threads have used.
struct Outside {
    id: u32,
}

impl Outside {
    fn open_files(&self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.id)).expect("it is there");
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.map(|link| link.display().to_string()).collect()
    }

    /// Returns the files of the vault that are open.
    fn vault_files(&self) -> Vec<String> {
        let files = self.open_files().into_iter();
        files.filter(|file| file.contains("keyferry.sqlite3")).collect()
    }

    /// Returns the number of established TCP connections to the homeserver.
    fn connections(&self, homeserver: &Homeserver) -> usize {
        let port: u16 = homeserver
            .url()
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port");
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.id)).expect("a table");
        let own = self.open_files();
        let rows = table
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let established = rows.filter(|row| row[2].ends_with(&format!(":{port:04X}")) && row[3] == "01");
        established
            .filter(|row| own.contains(&format!("socket:[{}]", row[9])))
            .count()
    }

    /// Returns the locks on files of the vault.
    fn locks(&self, vault: &Path) -> Vec<String> {
        let inodes: Vec<String> = fs::read_dir(vault)
            .expect("the vault's directory")
            .map(|file| format!(":{}", file.and_then(|file| file.metadata()).expect("a file").ino()))
            .collect();
        let locks = fs::read_to_string("/proc/locks").expect("a table");
        let own = locks.lines().filter(|lock| {
            let columns: Vec<_> = lock.split_whitespace().collect();
            columns.contains(&self.id.to_string().as_str())
                && columns
                    .iter()
                    .any(|column| inodes.iter().any(|inode| column.ends_with(inode)))
        });
        own.map(str::to_owned).collect()
    }

    /// Returns the used processor time in ticks, by thread.
    fn ticks(&self) -> BTreeMap<String, u64> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id)).expect("it is there");
        let stat = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        stat.map(|stat| {
            let (name, rest) = stat.rsplit_once(')').expect("a name");
            let fields: Vec<_> = rest.split_whitespace().collect();
            let time = |place: usize| fields[place].parse::<u64>().expect("a number");
            (name.to_owned(), time(11) + time(12))
        })
        .collect()
    }

    fn assert_quiescent(&self, homeserver: &Homeserver, vault: &Path, stage: &str) {
        assert_eq!(self.vault_files(), Vec::<String>::new(), "{stage}");
        assert_eq!(self.locks(vault), Vec::<String>::new(), "{stage}");
        assert_eq!(self.connections(homeserver), 0, "{stage}");
        let before = self.ticks();
        std::thread::sleep(Duration::from_millis(200));
        let used: u64 = self
            .ticks()
            .iter()
            .map(|(thread, ticks)| ticks - before.get(thread).copied().unwrap_or(0))
            .sum();
        // One tick is 10 ms, for a runtime that puts its threads to sleep.
        assert!(used <= 1, "{stage}: {used} ticks");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_download_holds_nothing() {
    let homeserver = homeserver(30_000, 30);
    let faults = |kind| vec![Fault::from(kind).on(EndpointKind::AllKeys)];
    let stages: [(&str, Vec<Fault>, &[&str]); 7] = [
        ("a silent server", faults(FaultKind::Silence), &[]),
        (
            "a server that stops",
            faults(FaultKind::Stall { after_bytes: 3_000_000 }),
            &[],
        ),
        (
            "a slow server",
            faults(FaultKind::Drip {
                bytes_per_second: 2_000_000,
            }),
            &[],
        ),
        ("a server with a fault", faults(status(503, Value::Null)), &[]),
        ("all stages", Vec::new(), &[]),
        ("a slow sink", Vec::new(), &["--sink-delay-ms", "5000"]),
        ("opening", Vec::new(), &["--sink-delay-ms", "50"]),
    ];
    for (stage, faults, arguments) in stages {
        for pause in ["pause in_background", "end"] {
            let setup = Setup::new(&homeserver);
            let vault = setup.vault_directory();
            homeserver.set_faults(Vec::new());
            let mut phone = Phone::start(&homeserver, &setup, arguments).ready();
            let outside = Outside { id: phone.id() };
            homeserver.set_faults(faults.clone());
            phone.send_command("run");
            tokio::time::sleep(Duration::from_millis(250)).await;
            assert!(!outside.vault_files().is_empty(), "{stage}: there is work under way");
            phone.send_command(pause);
            if pause == "end" {
                phone.send_command("quiescent");
            }
            phone.answer("done");
            if pause == "end" {
                phone.answer("done");
            }
            outside.assert_quiescent(&homeserver, &vault, stage);
            assert!(phone.outcome().starts_with("Paused"), "{stage}");
        }
    }
}
