//! The thread that is there as long as anything of a run is: it shows that the run is alive, and closes the vault after it.
//!
//! Independent of how fast a stage gets on, and of whether the future of the run still exists.

use std::time::Duration;

use super::{
    gate::Control,
    in_flight::AtWork,
    stop::{StopCause, StopSignal},
};
use crate::{
    homeserver::Homeserver,
    vault::{HEARTBEAT_MS, VaultError, Writer, WriterKeeper},
};

pub(crate) struct Keeper {
    pub(crate) writer: WriterKeeper,
    pub(crate) stop: StopSignal,
    pub(crate) control: Control,
    pub(crate) homeserver: Homeserver,
    pub(crate) at_work: AtWork,
}

impl Keeper {
    /// Works until all parts of the run have ended. Blocks.
    pub(crate) fn work(self) {
        while self.writer.is_in_use_after(Duration::from_millis(HEARTBEAT_MS)) {
            let epoch = self.control.intent_epoch();
            match self.writer.with(|writer| {
                writer.beat()?;
                writer.reader().user_intent()
            }) {
                // The user may have said it to another process.
                Ok(intent) => self.control.follow_read(intent, epoch),
                Err(VaultError::Overtaken) => self.stop.stop(StopCause::Abandoned),
                Err(error) => log::debug!("no sign of life: {error}"),
            }
        }
        if let Err(error) = self.writer.with(Writer::release) {
            // It runs out by itself.
            log::debug!("the vault was not given back: {error}");
        }
        if let Err(error) = self.writer.with(|writer| writer.empty_log()) {
            // Whoever writes next makes it no longer.
            log::debug!("the log was not folded: {error}");
        }
        drop(self.writer);
        self.homeserver.close_idle();
        drop(self.at_work);
    }
}
