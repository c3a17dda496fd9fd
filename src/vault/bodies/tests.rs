//! Tests of the segments, through the vault that they belong to.

use std::{fs, io::Write, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    backup::{entry::Claims, session_id::SessionId},
    ids::{EntryId, VersionRowId},
    vault::{
        BegunRun, Connection, EntryBatch, OpenVaultError, Patience, PendingEntries, Protection, Vault, VaultError,
        Waiting, Writer,
    },
};

/// A vault with one version.
struct Fixture {
    directory: tempfile::TempDir,
    vault: Vault,
    written: usize,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let unprotected = || Ok::<_, OpenVaultError>(Protection::None);
        let vault = Vault::open(directory.path(), "@a:x", "D", unprotected).expect("a vault");
        let version = "INSERT INTO backup_version (version, algorithm, server_count, etag) VALUES ('1', 'a', 0, '')";
        let connection = vault.connect().expect("a connection");
        connection.inner.execute(version, []).expect("a version");
        Self {
            directory,
            vault,
            written: 0,
        }
    }

    /// Returns a batch of so many new entries with bodies of 1 KiB.
    fn batch(&mut self, entries: usize) -> EntryBatch {
        let mut batch = EntryBatch::default();
        for number in self.written + 1..=self.written + entries {
            batch.push(0, "!r:x", SessionId::parse(&format!("session {number}")), |out| {
                out.extend(body(number));
                Claims::default()
            });
        }
        self.written += entries;
        batch
    }

    fn insert(&mut self, entries: usize) {
        let mut batch = self.batch(entries);
        let mut connection = self.vault.connect().expect("a connection");
        let inserted = connection.insert_beside(VersionRowId(1), &mut batch);
        assert_eq!(inserted.expect("it is written").inserted, entries as u64);
    }

    fn writer(&self) -> Writer {
        let patience = Patience {
            limit: Duration::ZERO,
            has_ended: Arc::new(|| false),
        };
        match self.vault.begin_run("app", patience).expect("the vault") {
            BegunRun::Writer(writer) => *writer,
            BegunRun::HeldBy(lease) => panic!("{lease:?}"),
        }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.directory.path()).expect("the directory");
        let files = files.map(|file| file.expect("a file").path());
        let mut segments: Vec<_> = files
            .filter(|file| file.to_string_lossy().contains("-bodies-"))
            .collect();
        segments.sort();
        segments
    }
}

fn body(number: usize) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(1024, number as u8);
    body
}

fn pending(connection: &Connection) -> PendingEntries {
    let page = connection.pending_entries(EntryId::NONE, EntryId::MAX, Waiting::All, 1_000);
    page.expect("a page")
}

/// Asserts that these entries, and no others, are in the vault with their bodies.
fn assert_entries(connection: &Connection, entries: impl Iterator<Item = usize>) {
    let page = pending(connection);
    let found: Vec<_> = page.entries.iter().map(|entry| entry.id.0 as usize).collect();
    assert_eq!(found, entries.collect::<Vec<_>>());
    for entry in &page.entries {
        assert_eq!(
            page.bodies[entry.body.clone()],
            body(entry.id.0 as usize),
            "{:?}",
            entry.id
        );
    }
}

#[test]
fn few_bodies_stay_in_their_rows_and_many_go_to_a_segment() {
    let mut fixture = Fixture::new();
    fixture.insert(10);
    assert_eq!(fixture.segments().len(), 0);
    fixture.insert(100);
    fixture.insert(1);
    fixture.insert(200);
    let [segment] = fixture.segments().try_into().expect("one segment");
    assert_eq!(fs::metadata(&segment).expect("a file").len(), 300 * 1024);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&segment).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_entries(&fixture.vault.connect().expect("a connection"), 1..=311);
}

#[test]
fn what_was_never_committed_is_written_over() {
    let mut fixture = Fixture::new();
    fixture.insert(100);
    let [segment] = fixture.segments().try_into().expect("one segment");
    let mut file = fs::File::options().append(true).open(segment).expect("it opens");
    file.write_all(&[0xaa; 5_000]).expect("it is written");
    // A segment that was made by a transaction that failed.
    let stray = fixture.directory.path().join("keyferry.sqlite3-bodies-2");
    fs::write(&stray, [0xaa; 9_000]).expect("it is written");
    for _ in 0..50 {
        fixture.insert(100);
    }
    assert_eq!(fixture.segments().len(), 2);
    assert!(fixture.segments().contains(&stray), "the number was free");
    let connection = fixture.vault.connect().expect("a connection");
    let (mut last, mut count) = (EntryId::NONE, 0);
    loop {
        let page = connection.pending_entries(last, EntryId::MAX, Waiting::All, 1_000);
        let page = page.expect("a page");
        let Some(entry) = page.entries.last() else { break };
        last = entry.id;
        for entry in &page.entries {
            assert_eq!(page.bodies[entry.body.clone()], body(entry.id.0 as usize));
        }
        count += page.entries.len();
    }
    assert_eq!(count, 5_100);
}

#[test]
fn a_segment_goes_with_its_last_entry_and_a_sparse_one_gives_up_its_rest() {
    let mut fixture = Fixture::new();
    fixture.insert(400);
    let mut writer = fixture.writer();
    let delete = |sql: &str| {
        let connection = fixture.vault.connect().expect("a connection");
        connection.inner.execute(sql, []).expect("they are deleted");
    };
    delete("DELETE FROM entry WHERE id <= 200");
    assert!(!writer.reader().can_sweep().expect("a query"), "half of it is needed");
    delete("DELETE FROM entry WHERE id <= 390");
    let reader = fixture.vault.connect().expect("a connection");
    assert_entries(&reader, 391..=400);
    assert!(writer.reader().can_sweep().expect("a query"));
    assert!(!writer.sweep_step().expect("a step"), "nothing is left to do");
    assert_eq!(fixture.segments().len(), 0);
    assert_entries(&reader, 391..=400);
    // The next one has another number.
    fixture.insert(100);
    let [segment] = fixture.segments().try_into().expect("one segment");
    assert!(segment.to_string_lossy().ends_with("-bodies-2"));
    assert_entries(&reader, 391..=500);
    let bytes: (i64, i64) = reader
        .inner
        .query_row("SELECT length, live FROM segment", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a row");
    assert_eq!(bytes, (102_400, 102_400));
}

#[test]
fn a_miscounted_segment_is_swept_once_and_not_for_ever() {
    let mut fixture = Fixture::new();
    fixture.insert(100);
    let connection = fixture.vault.connect().expect("a connection");
    connection
        .inner
        .execute("DELETE FROM entry", [])
        .expect("they are deleted");
    connection
        .inner
        .execute("UPDATE segment SET live = 7", [])
        .expect("it is miscounted");
    let mut writer = fixture.writer();
    assert!(!writer.sweep_step().expect("a step"), "nothing is left to do");
    assert_eq!(fixture.segments().len(), 0);
}

#[test]
fn bodies_that_are_not_committed_are_cut_off() {
    let mut fixture = Fixture::new();
    fixture.insert(100);
    let [segment] = fixture.segments().try_into().expect("one segment");
    let mut file = fs::File::options().append(true).open(&segment).expect("it opens");
    file.write_all(&[0xaa; 5_000]).expect("it is written");
    let stray = fixture.directory.path().join("keyferry.sqlite3-bodies-2");
    fs::write(&stray, [0xaa; 9_000]).expect("it is written");
    fixture
        .writer()
        .write(super::cut_off_uncommitted)
        .expect("they are cut off");
    assert!(!stray.exists());
    assert_eq!(fs::metadata(&segment).expect("a file").len(), 100 * 1024);
    assert_entries(&fixture.vault.connect().expect("a connection"), 1..=100);
}

#[test]
fn a_missing_or_short_segment_is_damage() {
    for is_missing in [true, false] {
        let mut fixture = Fixture::new();
        fixture.insert(100);
        let [segment] = fixture.segments().try_into().expect("one segment");
        match is_missing {
            true => fs::remove_file(&segment).expect("it is removed"),
            false => fs::write(&segment, [0; 50]).expect("it is cut"),
        }
        let mut connection = fixture.vault.connect().expect("a connection");
        let page = connection.pending_entries(EntryId::NONE, EntryId::MAX, Waiting::All, 10);
        assert!(
            matches!(page, Err(VaultError::SegmentMissing | VaultError::Corrupt)),
            "{page:?}"
        );
        // What is appended would be found at another place.
        let mut batch = fixture.batch(100);
        let inserted = connection.insert_beside(VersionRowId(1), &mut batch);
        assert!(matches!(inserted, Err(VaultError::Corrupt)), "{inserted:?}");
    }
}
