//! Where requests get their access token from.

use async_trait::async_trait;

use crate::secret::SecretString;

/// Which access token is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum TokenRequest {
    /// The one that the app has.
    Any,
    /// The server answered 401 to the last one: refresh it if it can be refreshed.
    PreviousRejected,
}

/// Gives requests the account's access token.
#[async_trait]
pub(crate) trait AccessTokens: Send + Sync {
    /// Returns the token, or `None` if the app has none.
    async fn access_token(&self, request: TokenRequest) -> Option<SecretString>;
}
