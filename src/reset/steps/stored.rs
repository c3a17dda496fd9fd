//! A move as the vault keeps it. Pure.

use zeroize::Zeroizing;

use super::{Move, OldVersion};
use crate::{
    ids::EntryId,
    reset::records::{ResetCause, ResetStep, ResetStop},
    upload::Announced,
    vault::MoveRow,
};

impl From<MoveRow> for Move {
    fn from(row: MoveRow) -> Self {
        let public_key = row.old_public_key;
        Self {
            step: ResetStep::from_code(row.step),
            stopped: ResetStop::from_code(row.stopped),
            cause: ResetCause::from_code(row.cause),
            old: row.old_version.map(|version| OldVersion { version, public_key }),
            key: row.key,
            public_key: row.public_key,
            first_storage: row.first_storage,
            storage_key: row.storage_key,
            posts: row.posts,
            posted: row.posted,
            new_version: row.new_version,
            mark: row.mark,
            sent_through: row.sent_through,
            announced: (row.announced > EntryId::NONE).then_some(Announced {
                through: row.announced,
                new_keys: row.announced_keys,
            }),
            round: row.round,
            sent_in_round: row.sent_in_round,
            sent: row.sent,
            unreplaced: row.unreplaced,
            marked_through: row.marked_through,
        }
    }
}

impl From<&Move> for MoveRow {
    fn from(from: &Move) -> Self {
        let announced = from.announced.unwrap_or_default();
        Self {
            step: from.step.code(),
            stopped: from.stopped.map_or(0, ResetStop::code),
            is_over: !from.is_under_way(),
            cause: from.cause.map_or(0, ResetCause::code),
            old_version: from.old.as_ref().map(|old| old.version.clone()),
            old_public_key: from.old.as_ref().and_then(|old| old.public_key),
            key: Zeroizing::new(*from.key),
            public_key: from.public_key,
            first_storage: from.first_storage.clone(),
            storage_key: from.storage_key.clone(),
            posts: from.posts,
            posted: from.posted.clone(),
            new_version: from.new_version,
            mark: from.mark.clone(),
            sent_through: from.sent_through,
            announced: announced.through,
            announced_keys: announced.new_keys,
            round: from.round,
            sent_in_round: from.sent_in_round,
            sent: from.sent,
            unreplaced: from.unreplaced,
            marked_through: from.marked_through,
        }
    }
}
