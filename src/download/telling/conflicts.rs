//! Notifies the app that copies of keys are held back: someone may be tampering with the backup.

use std::time::Duration;

use super::{
    listener::DownloadListener,
    pages::{ConflictCause, ConflictNotice},
};
use crate::{
    job::in_writer,
    vault::{SharedWriter, VaultError, Writer},
};

/// How long the app may take to accept a notice.
const NOTICE: Duration = Duration::from_secs(1);

/// Notifies the app of conflicts that it does not know yet, once for each version and cause.
pub(crate) async fn tell_conflicts(listener: &dyn DownloadListener, writer: &SharedWriter) -> Result<(), VaultError> {
    let look = |writer: &mut Writer| {
        let reader = writer.reader();
        let mut notices = Vec::new();
        for (id, bits, told) in reader.conflicts_to_tell()? {
            let Some(version) = reader.version_by_id(id)? else {
                continue;
            };
            for (bit, cause) in [(1, ConflictCause::TwoRooms), (2, ConflictCause::Unconnected)] {
                if bits & bit & !told != 0 {
                    notices.push((
                        id,
                        bit,
                        ConflictNotice {
                            version: version.version.clone(),
                            cause,
                            held_back: version.counts.conflicts,
                        },
                    ));
                }
            }
        }
        Ok(notices)
    };
    for (version, bit, notice) in in_writer(writer, look).await? {
        // If the app does not accept the notice in time, the next phase sends it again.
        let told = tokio::time::timeout(NOTICE, listener.on_conflicts(notice)).await;
        if told.unwrap_or(false) {
            in_writer(writer, move |writer| writer.mark_conflicts_told(version, bit)).await?;
        }
    }
    Ok(())
}
