//! Answers that the OS downloads into a file while the app is suspended, as a background `URLSession` does on iOS.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lc_rs::digest;

use super::{HttpHead, HttpRequest, TransportError};

/// Downloads that continue while the app is suspended. Optional: if the app provides this, a room or a backup that
/// takes too long for any slice of time is downloaded this way, and then read from the file in slices.
///
/// Every call must return at once; none may block. A download that was started under a name must be found under that
/// name by the next process.
#[uniffi::export(foreign)]
pub trait FileDownloads: Send + Sync {
    /// Starts a download into a file, unless there is one of that name. The rules of `HttpTransport` apply: follow no
    /// redirects, store the body decompressed, cache nothing. The OS may extend `idle_timeout` as it sees fit.
    ///
    /// # Errors
    /// `TransportError.Failed` if the download cannot even be started.
    fn begin(&self, name: String, request: HttpRequest) -> Result<(), TransportError>;

    /// Returns how far the download of that name is.
    ///
    /// # Errors
    /// A `TransportError` if that cannot be determined now.
    fn state(&self, name: String) -> Result<FileDownload, TransportError>;

    /// Cancels the download, if there is one of that name, and deletes its file.
    ///
    /// # Errors
    /// A `TransportError` if that cannot be done now. The name must then stay among `names`, and this is called for
    /// it again.
    fn discard(&self, name: String) -> Result<(), TransportError>;

    /// Returns the names of all downloads that exist, whatever their state. A run discards those that no vault of the
    /// account knows any more; `KeyBackupClient.shutdown` discards all of the account.
    ///
    /// # Errors
    /// A `TransportError` if that cannot be determined now.
    fn names(&self) -> Result<Vec<String>, TransportError>;
}

/// How far a download into a file is.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum FileDownload {
    /// There is no download of that name.
    Unknown,
    /// The OS is downloading. When the download ends, the OS wakes the app, which then calls `run`.
    UnderWay,
    /// The answer has arrived completely.
    Ended {
        /// The status and the headers of the answer.
        head: HttpHead,
        /// The path of the file that holds the body. The file must stay until `discard`.
        path: String,
    },
    /// The download failed. If the error is one that passes by itself, the download is started again.
    Failed {
        /// Why it failed.
        error: TransportError,
    },
}

/// The downloads of one account. Accounts may share the app's `FileDownloads`, so each has its own prefix for names.
#[derive(Clone)]
pub(crate) struct AccountDownloads {
    downloads: Arc<dyn FileDownloads>,
    prefix: Arc<str>,
    /// Set once no further download may start.
    is_closed: Arc<AtomicBool>,
}

impl AccountDownloads {
    pub(crate) fn new(downloads: Arc<dyn FileDownloads>, user_id: &str, device_id: &str) -> Self {
        let account = digest::digest(&digest::SHA256, format!("{user_id}\n{device_id}").as_bytes());
        let account: u32 = account
            .as_ref()
            .iter()
            .take(4)
            .fold(0, |tag, byte| tag << 8 | u32::from(*byte));
        Self {
            downloads,
            prefix: format!("keyferry-{account:08x}-").into(),
            is_closed: Arc::default(),
        }
    }

    /// Returns the name of a download, which has at most 32 characters.
    pub(crate) fn name(&self, what: u64) -> String {
        format!("{}{:014x}", self.prefix, what >> 8)
    }

    pub(crate) fn begin(&self, name: String, request: HttpRequest) -> Result<(), TransportError> {
        if !self.is_closed.load(Ordering::SeqCst) {
            self.downloads.begin(name.clone(), request)?;
        }
        // Checked again: it may have been closed meanwhile, perhaps by the app in that very call.
        if self.is_closed.load(Ordering::SeqCst) {
            self.downloads.discard(name)?;
            return Err(TransportError::Closed);
        }
        Ok(())
    }

    pub(crate) fn state(&self, name: String) -> Result<FileDownload, TransportError> {
        self.downloads.state(name)
    }

    pub(crate) fn discard(&self, name: String) -> Result<(), TransportError> {
        self.downloads.discard(name)
    }

    /// Discards all downloads of the account except `kept`. A failure is ignored: the next call finds that download
    /// again.
    pub(crate) fn discard_all_but(&self, kept: &HashSet<String>) {
        let names = self.downloads.names().unwrap_or_default();
        for name in names {
            if name.starts_with(&*self.prefix) && !kept.contains(&name) {
                let _ = self.downloads.discard(name);
            }
        }
    }

    /// Discards all downloads of the account, and starts no more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.discard_all_but(&HashSet::new());
    }
}
