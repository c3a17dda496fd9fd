//! Where the keys go: to a matrix-sdk crypto store, or to nowhere in the demonstration.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use keyferry::{RoomKey, RoomKeySink, SinkAnswer, SinkError, SinkLimits};

use crate::arguments::Options;

/// Returns the sink that the options name; the error is a sentence for the user.
pub(crate) async fn open(options: &Options) -> Result<Option<Arc<dyn RoomKeySink>>, &'static str> {
    match &options.olm_store {
        Some(directory) => open_olm_store(directory, options).await.map(Some),
        None if options.is_demo => Ok(Some(Arc::new(TakesAll))),
        None => Ok(None),
    }
}

/// Takes every key, and keeps none. An app imports them into its crypto.
struct TakesAll;

#[async_trait]
impl RoomKeySink for TakesAll {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        Ok(vec![SinkAnswer::Imported; keys.len()])
    }

    fn limits(&self) -> Result<SinkLimits, SinkError> {
        Ok(SinkLimits::default())
    }
}

#[cfg(feature = "olm-store")]
async fn open_olm_store(directory: &Path, options: &Options) -> Result<Arc<dyn RoomKeySink>, &'static str> {
    use keyferry::OlmMachineSink;
    use matrix_sdk_crypto::OlmMachine;
    use matrix_sdk_sqlite::SqliteCryptoStore;
    use ruma::{OwnedDeviceId, UserId};

    let user_id = UserId::parse(&options.user_id).map_err(|_| "the user id is invalid")?;
    let device_id = OwnedDeviceId::from(options.device_id.as_str());
    let store = SqliteCryptoStore::open(directory, None)
        .await
        .map_err(|_| "the crypto store cannot be opened")?;
    let machine = OlmMachine::with_store(&user_id, &device_id, store, None)
        .await
        .map_err(|_| "the crypto store belongs to another account")?;
    Ok(Arc::new(OlmMachineSink::new(machine)))
}

#[cfg(not(feature = "olm-store"))]
async fn open_olm_store(_: &Path, _: &Options) -> Result<Arc<dyn RoomKeySink>, &'static str> {
    std::future::ready(Err("--olm-store needs a build with `--features olm-store`")).await
}
