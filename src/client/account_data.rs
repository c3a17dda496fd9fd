//! Account data over the app's transport, for secret storage with an `OlmMachine`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{OpenError, adapter::HostAdapter, host::JobHost, open::check_account, options::Account};
use crate::{
    crypto::{AccountData, CryptoError},
    homeserver::{Homeserver, HomeserverError, HttpTransport, Meaning, Retry},
};

/// The account data of one account, over the app's transport and with its token. Feature `matrix-sdk-sink`.
pub struct HomeserverAccountData(Homeserver);

impl HomeserverAccountData {
    /// Creates it with the same account, transport and host as the client.
    ///
    /// # Errors
    /// `OpenError.InvalidHomeserverUrl` or `OpenError.InvalidAccount`.
    pub fn new(
        account: &Account,
        transport: Arc<dyn HttpTransport>,
        host: Arc<dyn JobHost>,
    ) -> Result<Self, OpenError> {
        let url = check_account(account)?;
        let tokens = Arc::new(HostAdapter(host));
        Ok(Self(Homeserver::new(&url, &account.user_id, transport, tokens)))
    }
}

#[async_trait]
impl AccountData for HomeserverAccountData {
    async fn account_data(&self, event_type: &str) -> Result<Option<Value>, CryptoError> {
        let request = || self.0.account_data(event_type);
        let answer = Retry::with_network(None).request(request).await;
        answer.map_err(|given_up| sort(&given_up.error))
    }

    async fn set_account_data(&self, event_type: &str, content: Value) -> Result<(), CryptoError> {
        let request = || self.0.put_account_data(event_type, &content);
        let answer = Retry::with_network(None).request(request).await;
        answer.map_err(|given_up| sort(&given_up.error))
    }
}

fn sort(error: &HomeserverError) -> CryptoError {
    match error.meaning() {
        Meaning::Refused => CryptoError::Refused {
            reason: error.to_string(),
        },
        _ => CryptoError::Unavailable {
            detail: error.to_string(),
        },
    }
}
