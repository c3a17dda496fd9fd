//! The error of the app's crypto where it writes, signs or gives out.

/// The app's crypto could not do what it was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum CryptoError {
    /// It cannot do it now: the store is closed or locked, or there is no network. Passes by itself, so a later run
    /// tries again.
    #[error("the app's crypto is not available now")]
    Unavailable {
        /// For the app's own diagnosis; keyferry never logs or shows it.
        detail: String,
    },
    /// It will not do it until the app or the user has changed something: secret storage holds a secret that this
    /// device lacks, or the result would not be trusted. The job stops with this error, and goes on when it is run
    /// again.
    #[error("the app's crypto refuses: {reason}")]
    Refused {
        /// Why, in a few words and without secrets. Passed on to the caller of the run.
        reason: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for CryptoError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Unavailable { detail: error.reason }
    }
}
