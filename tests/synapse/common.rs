//! Helpers for the tests: a Synapse, and a host for one of its devices.

use std::{path::PathBuf, sync::Arc};

use keyferry::{Account, ClientOptions, HttpTransport, ReqwestTransport, SecretBytes, VaultProtection};
use keyferry_test_synapse::{Device, Synapse};

use crate::token_host::TokenHost;

pub(crate) async fn synapse() -> Synapse {
    let python = std::env::var("KEYFERRY_SYNAPSE_PYTHON").expect("KEYFERRY_SYNAPSE_PYTHON, see scripts/test.sh");
    Synapse::start(&python).await
}

pub(crate) fn transport() -> Arc<dyn HttpTransport> {
    Arc::new(ReqwestTransport::new().expect("a transport"))
}

pub(crate) fn options(synapse: &Synapse, device: &Device, data_dir: PathBuf) -> ClientOptions {
    ClientOptions::new(
        Account {
            homeserver_url: synapse.url().to_owned(),
            user_id: device.user_id.clone(),
            device_id: device.id.clone(),
        },
        data_dir.display().to_string(),
        VaultProtection::Key {
            key: SecretBytes::from(vec![7; 32]),
        },
    )
}

/// Returns a host with the device's access token.
pub(crate) fn host(device: &Device) -> Arc<TokenHost> {
    Arc::new(TokenHost::new(device.access_token()))
}
