//! A stand-in for the downloads of an OS.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use keyferry::{FileDownload, FileDownloads, HttpHead, HttpRequest, TransportError};
use tempfile::TempDir;

/// Downloads files as an OS would do for an app.
pub(crate) struct OsDownloads {
    pub(crate) directory: TempDir,
    pub(crate) states: Arc<Mutex<HashMap<String, FileDownload>>>,
    begun: Mutex<Vec<String>>,
    /// Whether discarding a file fails.
    pub(crate) keeps: AtomicBool,
    /// How long each download waits before it begins.
    pub(crate) latency_ms: AtomicU64,
}

impl OsDownloads {
    /// Starts without any downloads.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            directory: tempfile::tempdir().expect("a directory"),
            states: Arc::default(),
            begun: Mutex::default(),
            keeps: AtomicBool::new(false),
            latency_ms: AtomicU64::new(0),
        })
    }

    /// Sets the state of every download.
    pub(crate) fn set(&self, state: impl Fn(&str) -> FileDownload) {
        for (name, now) in self.states.lock().expect("not poisoned").iter_mut() {
            *now = state(name);
        }
    }

    /// Returns the number of downloads that were not discarded.
    pub(crate) fn left(&self) -> usize {
        self.states.lock().expect("not poisoned").len()
    }

    /// Returns the number of downloads that were begun.
    pub(crate) fn begun(&self) -> usize {
        self.begun.lock().expect("not poisoned").len()
    }

    /// Waits until no download is under way.
    pub(crate) async fn have_ended(&self) {
        let under_way = || {
            let states = self.states.lock().expect("not poisoned");
            states.values().any(|state| *state == FileDownload::UnderWay)
        };
        while under_way() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl FileDownloads for OsDownloads {
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
