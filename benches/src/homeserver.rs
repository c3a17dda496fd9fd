//! Where the backup comes from: the small homeserver, or Synapse with a copy of the small one's backup.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{Failure, account::Account};

/// Makes this program the small homeserver.
pub(crate) const FLAG: &str = "--homeserver";

/// A homeserver with a backup, ended when it is dropped.
pub(crate) struct Homeserver {
    process: Child,
    pub(crate) account: Account,
}

impl Homeserver {
    /// Starts the small one. It ends with its standard input, so it does not outlive this program.
    pub(crate) fn small(keys: u64, rooms: u64, bytes_per_second: Option<u64>) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([FLAG, "--keys", &keys.to_string(), "--rooms", &rooms.to_string()]);
        if let Some(rate) = bytes_per_second {
            command.args(["--bytes-per-second", &rate.to_string()]);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let account = serde_json::from_str(&line)?;
        Ok(Self { process, account })
    }
}

impl Drop for Homeserver {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
