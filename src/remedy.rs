//! What an app can do about an error, as one small enum for all of them. Knows no error: each says its remedy itself.

/// What an app can do about an error. `docs/errors.md` lists the remedy of each error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum Remedy {
    /// Try again later: it passes by itself, or when the app or the user ends what they have begun (such as a pause).
    Retry,
    /// Give the client an access token that the homeserver accepts: sign in again, or refresh the token.
    SignIn,
    /// Ask the user for the recovery key or passphrase, and call `unlock`.
    Unlock,
    /// Offer the user to create a key backup: the account has none.
    CreateBackup,
    /// Show the error: the user has to type something again, to choose, or to change something outside the app.
    AskUser,
    /// Ask the user to free space on the device, then try again.
    FreeSpace,
    /// Shut the client down, and open another one.
    Reopen,
    /// Shut the client down, call `set_vault_aside`, and open another client. What is on the server is downloaded again.
    SetVaultAside,
    /// Update the app: this version does not support what it has found.
    UpdateApp,
    /// Report it to the developers of the app, with the log: the app uses keyferry in a way that cannot work, the
    /// homeserver refuses something that it should accept, or keyferry has a bug.
    Report,
}
