//! An example of a sink: it writes a line to a file for every delivered key. An app calls its crypto instead.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use keyferry::{RoomKey, RoomKeySink, SinkAnswer, SinkError, SinkLimits};

pub(crate) struct FileSink {
    file: Mutex<File>,
    delay: Duration,
    by_session_id: bool,
}

impl FileSink {
    pub(crate) fn new(path: &Path, delay: Duration, by_session_id: bool) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        // Ends a line that was cut off when the process was killed.
        writeln!(file)?;
        Ok(Self {
            file: Mutex::new(file),
            delay,
            by_session_id,
        })
    }
}

#[async_trait]
impl RoomKeySink for FileSink {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        tokio::time::sleep(self.delay).await;
        let lines: String = keys
            .iter()
            .map(|key| format!("{} {}\n", key.room_id, key.session_id))
            .collect();
        let unavailable = |detail: &str| SinkError::Unavailable {
            detail: detail.to_owned(),
        };
        let mut file = self.file.lock().map_err(|_| unavailable("lock"))?;
        // Keys must be durable before they are answered as imported.
        file.write_all(lines.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|_| unavailable("file"))?;
        Ok(vec![SinkAnswer::Imported; keys.len()])
    }

    fn limits(&self) -> Result<SinkLimits, SinkError> {
        Ok(SinkLimits {
            by_session_id: self.by_session_id,
            ..SinkLimits::default()
        })
    }
}
