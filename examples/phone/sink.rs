//! A sink of your own: every delivered key becomes a line in a file. What an app does here is to call its crypto.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use keyferry::{RoomKey, RoomKeySink, SinkAnswer, SinkError};

pub(crate) struct FileSink {
    file: Mutex<File>,
    delay: Duration,
}

impl FileSink {
    pub(crate) fn new(path: &Path, delay: Duration) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        // A line that a kill has torn off ends here.
        writeln!(file)?;
        Ok(Self {
            file: Mutex::new(file),
            delay,
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
        // What is answered for must be durable.
        file.write_all(lines.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|_| unavailable("file"))?;
        Ok(vec![SinkAnswer::Imported; keys.len()])
    }
}
