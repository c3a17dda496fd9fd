//! Answers that the OS downloads into a file while the app sleeps: a background `URLSession` on iOS.

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
    /// A [`TransportError`] if that cannot be done now: it is asked for again before the name is used anew.
    fn discard(&self, name: String) -> Result<(), TransportError>;
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
