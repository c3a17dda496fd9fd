//! Where requests get their access token.

use async_trait::async_trait;

use crate::secret::SecretString;

/// Which access token to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum TokenRequest {
    /// The token that the app has.
    Any,
    /// A new token: the server answered 401 to the previous one. Refresh it if possible.
    PreviousRejected,
}

/// Provides requests with the account's access token.
#[async_trait]
pub(crate) trait AccessTokens: Send + Sync {
    /// Returns the token, or why the app has none.
    async fn access_token(&self, request: TokenRequest) -> Result<SecretString, NoToken>;
}

/// Why the app has no access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoToken {
    /// The account is signed out.
    SignedOut,
    /// The app cannot get one now, and may be able to later.
    NotNow,
}
