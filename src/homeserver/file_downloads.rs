//! Answers that the OS downloads into a file while the app sleeps: a background `URLSession` on iOS.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lc_rs::digest;

use super::{HttpHead, HttpRequest, TransportError};

/// Downloads that go on while the app is suspended. Optional: where it is there, a room or a backup that is too long for any
/// slice of time is downloaded this way, and read in slices from the file.
///
/// Every call returns at once; none blocks. What was begun under a name is found again under it by the next process.
#[uniffi::export(foreign)]
pub trait FileDownloads: Send + Sync {
    /// Begins a download into a file, unless there is one of that name. The contract of `HttpTransport` holds: no redirects
    /// followed, the body decompressed, nothing cached. `idle_timeout_ms` may be stretched as the OS sees fit.
    ///
    /// # Errors
    /// [`TransportError::Failed`] if it cannot even be begun.
    fn begin(&self, name: String, request: HttpRequest) -> Result<(), TransportError>;

    /// How far the download of that name is.
    ///
    /// # Errors
    /// A [`TransportError`] if that cannot be told now.
    fn state(&self, name: String) -> Result<FileDownload, TransportError>;

    /// Gives the download up, and deletes its file. None of that name is fine, too.
    ///
    /// # Errors
    /// A [`TransportError`] if that cannot be done now: the name stays among `names`, and this is called for it again.
    fn discard(&self, name: String) -> Result<(), TransportError>;

    /// The names of all downloads that there are, whatever has become of them. What no vault of the account knows any more is
    /// discarded: by the next run, and all of them by `KeyBackupClient.shutdown`.
    ///
    /// # Errors
    /// A [`TransportError`] if that cannot be told now.
    fn names(&self) -> Result<Vec<String>, TransportError>;
}

/// How far a download into a file is.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum FileDownload {
    /// There is none of that name.
    Unknown,
    /// The OS is at it. When it has ended, the app is woken for it, and calls `run`.
    UnderWay,
    /// The answer is there, whole.
    Ended {
        /// Its status and headers.
        head: HttpHead,
        /// The file with the body. It stays until `discard`.
        path: String,
    },
    /// It failed. What passes by itself is begun again.
    Failed {
        /// Why.
        error: TransportError,
    },
}

/// The downloads of one account. Accounts may share what the app gives, so each has names of its own.
#[derive(Clone)]
pub(crate) struct AccountDownloads {
    downloads: Arc<dyn FileDownloads>,
    prefix: Arc<str>,
    /// Nothing is begun any more.
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

    /// The name of a download, of at most 32 characters.
    pub(crate) fn name(&self, what: u64) -> String {
        format!("{}{:014x}", self.prefix, what >> 8)
    }

    pub(crate) fn begin(&self, name: String, request: HttpRequest) -> Result<(), TransportError> {
        if !self.is_closed.load(Ordering::SeqCst) {
            self.downloads.begin(name.clone(), request)?;
        }
        // Also where it was closed meanwhile, perhaps by the app in that very call.
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

    /// Discards all but these. What cannot be given up now is found again by the next call.
    pub(crate) fn discard_all_but(&self, kept: &HashSet<String>) {
        let names = self.downloads.names().unwrap_or_default();
        for name in names {
            if name.starts_with(&*self.prefix) && !kept.contains(&name) {
                let _ = self.downloads.discard(name);
            }
        }
    }

    /// Discards all, and begins none any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.discard_all_but(&HashSet::new());
    }
}
