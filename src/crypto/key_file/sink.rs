//! A sink for apps whose SDK imports key export files, which every Matrix SDK does.

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::{KeyFile, key_file};
use crate::{
    backup::RoomKey,
    crypto::{
        error::CryptoError,
        sink::{RoomKeySink, SinkAnswer, SinkError, SinkLimits},
    },
};

/// The app's import of a file.
type Import = dyn Fn(KeyFile) -> BoxFuture<'static, Result<(), CryptoError>> + Send + Sync;

/// Delivers each batch as an encrypted key export file, which a function of the app imports.
///
/// ```no_run
/// # use keyferry::{CryptoError, KeyFileSink};
/// # async fn import(content: String, passphrase: String) -> Result<(), String> { Ok(()) }
/// let sink = KeyFileSink::new(async |file| {
///     let imported = import(file.content, file.passphrase.expose().to_owned()).await;
///     imported.map_err(|detail| CryptoError::Unavailable { detail })
/// });
/// ```
///
/// Every key of a file that was imported counts as imported: what an SDK says of the number of keys that it has taken
/// is no answer for each of them. If the function fails with `CryptoError::Refused`, the batch is halved and tried
/// again, until the key is found for which the file was refused. After `CryptoError::Unavailable` the batch is delivered
/// again in a later run.
pub struct KeyFileSink {
    import: Box<Import>,
    limits: SinkLimits,
}

impl KeyFileSink {
    /// Creates a sink from a function that imports a file. The keys must be durable when it returns.
    pub fn new<F>(import: impl Fn(KeyFile) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), CryptoError>> + Send + 'static,
    {
        Self {
            import: Box::new(move |file| Box::pin(import(file))),
            limits: SinkLimits::default(),
        }
    }

    /// Sets how much the sink takes at a time.
    #[must_use]
    pub fn with_limits(self, limits: SinkLimits) -> Self {
        Self { limits, ..self }
    }
}

#[async_trait]
impl RoomKeySink for KeyFileSink {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        let mut answers = Vec::with_capacity(keys.len());
        // The parts that are left, the first one last.
        let mut left = vec![keys.as_slice()];
        while let Some(part) = left.pop() {
            match (self.import)(key_file(part)).await {
                Ok(()) => answers.extend(part.iter().map(|_| SinkAnswer::Imported)),
                Err(CryptoError::Unavailable { detail }) => return Err(SinkError::Unavailable { detail }),
                Err(CryptoError::Refused { reason }) if part.len() < 2 => answers.push(SinkAnswer::Refused { reason }),
                Err(CryptoError::Refused { .. }) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        Ok(answers)
    }

    fn limits(&self) -> Result<SinkLimits, SinkError> {
        Ok(self.limits)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use matrix_sdk_crypto::decrypt_room_key_export;

    use super::*;
    use crate::backup::example_room_key;

    /// Returns a sink that notes the sizes of the files which it is given, and refuses those with one session.
    fn sink_without(session: String) -> (KeyFileSink, Arc<Mutex<Vec<usize>>>) {
        let sizes = Arc::<Mutex<Vec<usize>>>::default();
        let noted = sizes.clone();
        let import = move |file: KeyFile| {
            let keys =
                decrypt_room_key_export(file.content.as_bytes(), file.passphrase.expose()).expect("a sound file");
            noted.lock().expect("a lock").push(keys.len());
            let answer = match keys.iter().any(|key| key.session_id == session) {
                true => Err(CryptoError::Refused {
                    reason: "no".to_owned(),
                }),
                false => Ok(()),
            };
            std::future::ready(answer)
        };
        (KeyFileSink::new(import), sizes)
    }

    #[tokio::test]
    async fn one_key_that_is_refused_does_not_keep_the_others_out() {
        let keys: Vec<_> = (0..5).map(|_| example_room_key()).collect();
        let (sink, sizes) = sink_without(keys[2].session_id.clone());
        let answers = sink.deliver(keys).await.expect("answers");
        let refused: Vec<_> = answers.iter().map(|answer| *answer != SinkAnswer::Imported).collect();
        assert_eq!(refused, [false, false, true, false, false]);
        assert_eq!(*sizes.lock().expect("a lock"), [5, 2, 3, 1, 2]);
    }

    #[tokio::test]
    async fn a_store_that_is_closed_takes_the_batch_later() {
        let unavailable = || {
            std::future::ready(Err(CryptoError::Unavailable {
                detail: "closed".to_owned(),
            }))
        };
        let sink = KeyFileSink::new(move |_| unavailable());
        let answer = sink.deliver(vec![example_room_key()]).await;
        assert_eq!(
            answer,
            Err(SinkError::Unavailable {
                detail: "closed".to_owned()
            })
        );
    }
}
