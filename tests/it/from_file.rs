//! A room or a backup that is too long for any slice is downloaded into a file, and read from there across slices and
//! kills.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use keyferry::{
    BlockedReason, ClientOptions, FileDownload, FileDownloads, HttpHead, HttpRequest, KeyBackupClient, RunBudget,
    RunOutcome, TransportError,
};
use keyferry_test_homeserver::{Config, EndpointKind, Homeserver, VersionAction};
use tempfile::TempDir;

use crate::common::{COUNTED, Setup, WHOLE, assert_all_once, start};

const SLICE: RunBudget = RunBudget {
    max_duration_ms: Some(1_000),
};

/// Downloads files as an OS would do for an app.
struct Downloads {
    directory: TempDir,
    states: Arc<Mutex<HashMap<String, FileDownload>>>,
    begun: Mutex<Vec<String>>,
    /// Whether discarding a file fails.
    keeps: AtomicBool,
    /// How long each download waits before it begins.
    latency_ms: AtomicU64,
}

impl Downloads {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            directory: tempfile::tempdir().expect("a directory"),
            states: Arc::default(),
            begun: Mutex::default(),
            keeps: AtomicBool::new(false),
            latency_ms: AtomicU64::new(0),
        })
    }

    fn set(&self, state: impl Fn(&str) -> FileDownload) {
        for (name, now) in self.states.lock().expect("not poisoned").iter_mut() {
            *now = state(name);
        }
    }

    fn left(&self) -> usize {
        self.states.lock().expect("not poisoned").len()
    }

    fn begun(&self) -> usize {
        self.begun.lock().expect("not poisoned").len()
    }

    async fn have_ended(&self) {
        let under_way = || {
            let states = self.states.lock().expect("not poisoned");
            states.values().any(|state| *state == FileDownload::UnderWay)
        };
        while under_way() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl FileDownloads for Downloads {
    fn begin(&self, name: String, request: HttpRequest) -> Result<(), TransportError> {
        assert!(name.len() <= 32 && name.is_ascii(), "a name that any OS takes");
        self.begun.lock().expect("not poisoned").push(name.clone());
        let (states, path) = (self.states.clone(), self.directory.path().join(&name));
        states
            .lock()
            .expect("not poisoned")
            .insert(name.clone(), FileDownload::UnderWay);
        let latency = Duration::from_millis(self.latency_ms.load(Ordering::SeqCst));
        tokio::spawn(async move {
            tokio::time::sleep(latency).await;
            let state = download(request, path).await;
            states.lock().expect("not poisoned").insert(name, state);
        });
        Ok(())
    }

    fn state(&self, name: String) -> Result<FileDownload, TransportError> {
        let states = self.states.lock().expect("not poisoned");
        Ok(states.get(&name).cloned().unwrap_or(FileDownload::Unknown))
    }

    fn discard(&self, name: String) -> Result<(), TransportError> {
        if self.keeps.load(Ordering::SeqCst) {
            return Err(TransportError::Interrupted);
        }
        self.states.lock().expect("not poisoned").remove(&name);
        // The file may not exist yet.
        let _ = std::fs::remove_file(self.directory.path().join(name));
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, TransportError> {
        Ok(self.states.lock().expect("not poisoned").keys().cloned().collect())
    }
}

async fn download(request: HttpRequest, path: PathBuf) -> FileDownload {
    let mut get = reqwest::Client::new().get(&request.url);
    for header in &request.headers {
        get = get.header(&header.name, &header.value);
    }
    let answer = get.send().await.expect("an answer");
    let head = HttpHead {
        status: answer.status().as_u16(),
        headers: Vec::new(),
    };
    std::fs::write(&path, answer.bytes().await.expect("a body")).expect("a file");
    FileDownload::Ended {
        head,
        path: path.display().to_string(),
    }
}

fn options(setup: &Setup, downloads: &Arc<Downloads>) -> ClientOptions {
    ClientOptions {
        file_downloads: Some(downloads.clone()),
        ..setup.options()
    }
}

async fn unlocked(setup: &Setup, downloads: &Arc<Downloads>) -> Arc<KeyBackupClient> {
    let client = setup.open_with(options(setup, downloads)).await.expect("it opens");
    client.unlock(setup.recovery_key()).await.expect("it fits");
    client
}

fn waits(outcome: &RunOutcome) -> bool {
    matches!(
        outcome,
        RunOutcome::Blocked {
            reason: BlockedReason::WaitsForFile,
            ..
        }
    )
}

/// Starts a server with a room that takes five slices, and one that fits into one.
fn one_long_room() -> Homeserver {
    start(Config {
        room_sizes: vec![6_000, 100],
        bytes_per_second: Some(1_300_000),
        ..Config::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_always_cut_is_left_to_the_os() {
    let homeserver = one_long_room();
    let setup = Setup::with_sink(&homeserver);
    let downloads = Downloads::new();
    let client = unlocked(&setup, &downloads).await;
    let mut outcome = client.download().run(SLICE).await.outcome;
    for _ in 0..6 {
        if waits(&outcome) {
            break;
        }
        assert_eq!(outcome, RunOutcome::OutOfBudget);
        outcome = client.download().run(SLICE).await.outcome;
    }
    assert!(waits(&outcome), "{outcome:?}");
    assert!(setup.host.download_wake_up.lock().expect("not poisoned").is_some());
    downloads.have_ended().await;
    // Reading continues where the last reader ended, whatever ended it.
    for wait in [3, 6, 12, 25] {
        let run = client.download();
        let _ = tokio::time::timeout(Duration::from_millis(wait), run.run(SLICE)).await;
    }
    assert_eq!(client.download().run(SLICE).await.outcome, COUNTED);
    assert_eq!(downloads.begun.lock().expect("not poisoned").len(), 1);
    assert!(
        downloads.states.lock().expect("not poisoned").is_empty(),
        "nothing is left behind"
    );
    assert!(homeserver.requests().of(EndpointKind::RoomKeys) <= 5);
    let mut keys = setup
        .sink
        .as_ref()
        .expect("a sink")
        .keys
        .lock()
        .expect("not poisoned")
        .clone();
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.session_id.clone()));
    assert_all_once(&keys, &homeserver);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_os_brings_is_not_believed_blindly() {
    let homeserver = one_long_room();
    let setup = Setup::new(&homeserver);
    let downloads = Downloads::new();
    let client = unlocked(&setup, &downloads).await;
    while !waits(&client.download().run(SLICE).await.outcome) {}
    downloads.have_ended().await;
    let garbage = downloads.directory.path().join("garbage");
    std::fs::write(&garbage, "<html>log in</html>").expect("a file");
    let ended = |status| {
        let path = garbage.display().to_string();
        move |_: &str| FileDownload::Ended {
            head: HttpHead {
                status,
                headers: Vec::new(),
            },
            path: path.clone(),
        }
    };
    for state in [200, 302, 401] {
        downloads.set(ended(state));
        let outcome = client.download().run(SLICE).await.outcome;
        assert!(
            matches!(outcome, RunOutcome::Blocked { .. } | RunOutcome::OutOfBudget),
            "{state}: {outcome:?}"
        );
        downloads.have_ended().await;
    }
    downloads.set(|_| FileDownload::Failed {
        error: TransportError::Interrupted,
    });
    assert!(waits(&client.download().run(SLICE).await.outcome));
    downloads.have_ended().await;
    let mut outcome = client.download().run(SLICE).await.outcome;
    while outcome == RunOutcome::OutOfBudget {
        outcome = client.download().run(SLICE).await.outcome;
    }
    assert_eq!(outcome, COUNTED);
    assert_eq!(
        client.download().status().await.expect("a status").summary.fetched,
        6_100
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_sweep_comes_by_file_too() {
    // No list names the long room: only the answer for all keys contains it.
    let homeserver = start(Config {
        room_sizes: vec![50, 6_000],
        left_rooms: 1,
        bytes_per_second: Some(1_300_000),
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let downloads = Downloads::new();
    let client = unlocked(&setup, &downloads).await;
    until_it_waits(&client).await;
    downloads.have_ended().await;
    assert_eq!(
        client
            .download()
            .run(RunBudget {
                max_duration_ms: Some(5_000)
            })
            .await
            .outcome,
        WHOLE
    );
    assert_eq!(
        client.download().status().await.expect("a status").summary.opened,
        6_050
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_left_behind_is_not_taken_for_a_new_answer() {
    let homeserver = start(Config {
        room_sizes: vec![50, 3_000],
        left_rooms: 1,
        held_back: 10,
        bytes_per_second: Some(1_300_000),
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let downloads = Downloads::new();
    let client = unlocked(&setup, &downloads).await;
    let until_complete = async || {
        for _ in 0..15 {
            let outcome = client.download().run(SLICE).await.outcome;
            downloads.have_ended().await;
            if matches!(outcome, RunOutcome::Completed { .. }) {
                return client.download().status().await.expect("a status").summary.fetched;
            }
        }
        panic!("the download does not complete");
    };
    downloads.keeps.store(true, Ordering::SeqCst);
    assert_eq!(until_complete().await, 3_040);
    assert_eq!(downloads.left(), 1, "the file is left behind");
    downloads.keeps.store(false, Ordering::SeqCst);
    homeserver.release_held_back();
    assert_eq!(until_complete().await, 3_050);
    assert_eq!((downloads.begun(), downloads.left()), (2, 0));
}

/// Starts a server whose answer for all keys must come by file: no list names the long room in the middle. The last
/// ten keys, which are in the last room, are held back.
fn growing() -> Homeserver {
    start(Config {
        room_sizes: vec![50, 3_000, 40],
        left_rooms: 2,
        held_back: 10,
        bytes_per_second: Some(1_300_000),
        ..Config::default()
    })
}

async fn until_it_waits(client: &KeyBackupClient) {
    for _ in 0..15 {
        if waits(&client.download().run(SLICE).await.outcome) {
            return;
        }
    }
    panic!("no run waits for a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_moves_meanwhile_costs_no_second_file() {
    for comes_with_the_file in [false, true] {
        let homeserver = growing();
        let setup = Setup::new(&homeserver);
        let downloads = Downloads::new();
        let client = unlocked(&setup, &downloads).await;
        if comes_with_the_file {
            // The OS begins late, so the server answers when the keys are there.
            downloads.latency_ms.store(1_500, Ordering::SeqCst);
        }
        until_it_waits(&client).await;
        if !comes_with_the_file {
            downloads.have_ended().await;
        }
        homeserver.release_held_back();
        downloads.have_ended().await;
        *setup.host.rooms.lock().expect("not poisoned") = vec![homeserver.truth().room_id(2)];
        let mut outcome = client.download().run(SLICE).await.outcome;
        for _ in 0..5 {
            if outcome == COUNTED {
                break;
            }
            outcome = client.download().run(SLICE).await.outcome;
        }
        assert_eq!(outcome, COUNTED, "{comes_with_the_file}");
        let fetched = client.download().status().await.expect("a status").summary.fetched;
        assert_eq!((fetched, downloads.begun(), downloads.left()), (3_090, 1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_os_downloads_for_nobody_is_discarded() {
    let under_way = |downloads: &Downloads, name: &str| {
        let mut states = downloads.states.lock().expect("not poisoned");
        states.insert(name.to_owned(), FileDownload::UnderWay);
    };
    let (homeserver, downloads) = (growing(), Downloads::new());
    let setup = Setup::new(&homeserver);
    let client = unlocked(&setup, &downloads).await;
    until_it_waits(&client).await;
    let name = downloads.names().expect("its names").remove(0);
    // The version is gone. The downloads of another account must not be touched.
    under_way(&downloads, "keyferry-another-one");
    homeserver.set_version_state(VersionAction::Delete);
    client.download().run(SLICE).await;
    assert_eq!(downloads.names().expect("its names"), ["keyferry-another-one"]);
    // The account signs out, or makes room for another vault.
    under_way(&downloads, &name);
    client.shutdown();
    assert_eq!(downloads.names().expect("its names"), ["keyferry-another-one"]);
    // The vault was deleted or set aside, so its downloads are recorded nowhere.
    std::fs::remove_dir_all(setup.directory.path().join("vault")).expect("the vault");
    under_way(&downloads, &name);
    let client = setup.open_with(options(&setup, &downloads)).await.expect("it opens");
    client.download().run(SLICE).await;
    assert_eq!(downloads.names().expect("its names"), ["keyferry-another-one"]);
}
