//! A machine with backups switched on uploads keys that the backup lacks or has only in a worse copy, and no other
//! keys that were delivered.

mod uploader;

use std::collections::BTreeMap;

use keyferry::{BackupOrigin, RoomKey, SinkAnswer};
use matrix_sdk_crypto::store::types::BackupDecryptionKey;
use uploader::{Backups, Copied, Uploader, enable};

use crate::support::{
    sessions::{Claims, Origin, Original, save, stored},
    sinks::{Kind, with_each_sink},
};

/// Chooses the backup that a key claims to come from.
type OriginOf = fn(&Uploader) -> BackupOrigin;

/// Returns the backup's copy of a session, which comes from this backup.
async fn backed_up(original: &Original, copy: Copied, claims: Claims, origin: &BackupOrigin) -> RoomKey {
    RoomKey {
        origin: origin.clone(),
        ..original.backed_up(copy.0, copy.1, claims).await
    }
}

with_each_sink! {
    an_empty_store_has_nothing_to_upload_after_a_restore
    a_partly_filled_store_uploads_keys_missing_or_worse_in_the_backup
    an_unconnected_copy_leaves_the_stores_copy_to_be_uploaded
    a_true_key_that_replaces_a_wrong_one_is_not_uploaded
    keys_of_any_other_backup_are_uploaded
    copies_of_several_backups_in_one_batch_are_distinguished
    no_mark_is_left_if_the_backup_is_replaced_during_a_delivery
}

async fn an_empty_store_has_nothing_to_upload_after_a_restore(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let uploader = Uploader::new(directory.path(), kind).await;
    let mut keys = Vec::new();
    for number in 0..250 {
        let copy = (number % 7, number % 2 == 0);
        keys.push(backed_up(&Original::new(), copy, Claims::AsTheStore, &uploader.origin()).await);
    }
    for batch in keys.chunks(100) {
        let answers = uploader.deliver(batch.to_vec()).await;
        assert!(answers.iter().all(|answer| *answer == SinkAnswer::Imported));
    }
    let counts = uploader.machine.backup_machine().room_key_counts().await;
    let counts = counts.expect("counts");
    assert_eq!((counts.total, counts.backed_up), (250, 250));
    assert_eq!(uploader.waiting().await, BTreeMap::new());
}

async fn a_partly_filled_store_uploads_keys_missing_or_worse_in_the_backup(kind: Kind) {
    use Claims::{AnotherSender as Other, AsTheStore as Same, Nothing};
    use Origin::{Bundle, DirectOfDevice, DirectOfUnknown, DirectOfVerified, Imported};
    // The copy in the store, the copy in the backup, and the copy that then waits for upload.
    let table = [
        // Only the store has the key, or only the backup.
        (Some((DirectOfDevice, (0, true))), None, Some((0, true))),
        (Some((Imported, (0, true))), None, Some((0, true))),
        (None, Some(((0, false), Same)), None),
        (None, Some(((5, true), Nothing)), None),
        // Both have the same copy.
        (Some((DirectOfUnknown, (5, true))), Some(((5, true), Same)), None),
        (Some((DirectOfDevice, (5, false))), Some(((5, false), Nothing)), None),
        (Some((DirectOfVerified, (0, true))), Some(((0, true), Other)), None),
        (Some((Imported, (5, true))), Some(((5, true), Same)), None),
        (Some((Bundle, (0, true))), Some(((0, true), Same)), None),
        // The backup has an earlier ratchet.
        (Some((DirectOfUnknown, (5, true))), Some(((0, true), Same)), None),
        (Some((DirectOfDevice, (5, true))), Some(((0, true), Nothing)), None),
        (Some((DirectOfVerified, (5, false))), Some(((0, false), Other)), None),
        (Some((Imported, (5, false))), Some(((0, false), Nothing)), None),
        (Some((Bundle, (5, true))), Some(((0, true), Same)), None),
        // The store has an earlier ratchet.
        (
            Some((DirectOfUnknown, (0, true))),
            Some(((5, true), Same)),
            Some((0, true)),
        ),
        (
            Some((DirectOfDevice, (2, false))),
            Some(((5, false), Same)),
            Some((2, false)),
        ),
        (Some((Imported, (0, true))), Some(((5, true), Same)), Some((0, true))),
        (Some((Imported, (0, false))), Some(((5, true), Same)), Some((0, true))),
        // The store knows the flag better.
        (
            Some((DirectOfUnknown, (5, true))),
            Some(((5, false), Same)),
            Some((5, true)),
        ),
        (
            Some((DirectOfUnknown, (5, true))),
            Some(((0, false), Same)),
            Some((0, true)),
        ),
        (
            Some((DirectOfDevice, (5, false))),
            Some(((0, true), Same)),
            Some((0, false)),
        ),
        (
            Some((DirectOfDevice, (0, false))),
            Some(((0, true), Same)),
            Some((0, false)),
        ),
        (Some((Imported, (5, true))), Some(((0, false), Same)), Some((0, true))),
        (Some((Imported, (5, true))), Some(((5, false), Same)), Some((5, true))),
        (Some((Bundle, (5, true))), Some(((0, false), Same)), Some((0, true))),
        // The backup knows the flag better.
        (Some((Imported, (5, false))), Some(((5, true), Same)), None),
        (Some((Imported, (5, false))), Some(((0, true), Same)), None),
    ];
    // Delivered once, and twice as after a crash.
    for deliveries in [1, 2] {
        let directory = tempfile::tempdir().expect("a directory");
        let uploader = Uploader::new(directory.path(), kind).await;
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        for row in table {
            let original = Original::new();
            if let Some((origin, (index, flag))) = row.0 {
                save(&uploader.machine, original.local(origin, index, flag).await).await;
            }
            if let Some((copy, claims)) = row.1 {
                keys.push(backed_up(&original, copy, claims, &uploader.origin()).await);
            }
            rows.push((original.group.session_id(), row));
        }
        for _ in 0..deliveries {
            uploader.deliver(keys.clone()).await;
        }
        let waiting = uploader.waiting().await;
        for (session_id, row) in rows {
            assert_eq!(waiting.get(&session_id).copied(), row.2, "{row:?}, {deliveries}");
        }
    }
}

async fn an_unconnected_copy_leaves_the_stores_copy_to_be_uploaded(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let uploader = Uploader::new(directory.path(), kind).await;
    for origin in [Origin::DirectOfDevice, Origin::Imported] {
        let original = Original::new();
        save(&uploader.machine, original.local(origin, 0, true).await).await;
        let mut key = original.with_another_ratchet().await;
        key.origin = uploader.origin();
        let answers = uploader.deliver(vec![key]).await;
        assert!(matches!(answers[..], [SinkAnswer::Unconnected { .. }]), "{answers:?}");
    }
    assert_eq!(uploader.waiting().await.len(), 2);
}

async fn a_true_key_that_replaces_a_wrong_one_is_not_uploaded(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let uploader = Uploader::new(directory.path(), kind).await;
    let key = backed_up(&Original::new(), (0, true), Claims::AsTheStore, &uploader.origin()).await;
    let mut wrong = Original::new().local(Origin::Imported, 5, false).await.export().await;
    wrong.session_id = key.session_id.clone();
    let store = uploader.machine.store();
    let imported = store.import_room_keys(vec![wrong], None, |_, _| {}).await;
    imported.expect("it is imported");
    assert_eq!(uploader.deliver(vec![key]).await, [SinkAnswer::Imported]);
    assert_eq!(uploader.waiting().await, BTreeMap::new());
}

async fn keys_of_any_other_backup_are_uploaded(kind: Kind) {
    let here = |uploader: &Uploader| uploader.origin();
    let superseded = |uploader: &Uploader| BackupOrigin {
        is_current: false,
        ..uploader.origin()
    };
    let of_another_version = |uploader: &Uploader| BackupOrigin {
        version: "2".to_owned(),
        ..uploader.origin()
    };
    // Version numbers can repeat under another key.
    let under_another_key = |uploader: &Uploader| BackupOrigin {
        public_key: BackupDecryptionKey::new().megolm_v1_public_key().to_base64(),
        ..uploader.origin()
    };
    let cases: [(Backups, OriginOf); 8] = [
        (Backups::On, superseded),
        (Backups::On, of_another_version),
        (Backups::On, under_another_key),
        (Backups::NeverOn, here),
        (Backups::OnWithoutPrivateKey, here),
        (Backups::OnForAnotherVersion, here),
        (Backups::OnWithTheKeyOfAnotherVersion, here),
        (Backups::SwitchedOff, here),
    ];
    for (number, (backups, origin)) in cases.into_iter().enumerate() {
        let directory = tempfile::tempdir().expect("a directory");
        let uploader = backups.uploader(directory.path(), kind).await;
        // A new key, a key as good as the store's, and two that are merged with the store's, one in each way.
        let locals = [
            None,
            Some((Origin::DirectOfDevice, 0)),
            Some((Origin::DirectOfDevice, 5)),
            Some((Origin::DirectOfUnknown, 5)),
        ];
        let mut keys = Vec::new();
        for local in locals {
            let original = Original::new();
            if let Some((origin, index)) = local {
                save(&uploader.machine, original.local(origin, index, true).await).await;
            }
            keys.push(backed_up(&original, (0, true), Claims::AsTheStore, &origin(&uploader)).await);
        }
        uploader.deliver(keys).await;
        if matches!(backups, Backups::NeverOn | Backups::SwitchedOff) {
            uploader.switch_on("1").await;
        }
        assert_eq!(uploader.waiting().await.len(), 4, "case {number}: {backups:?}");
    }
}

async fn copies_of_several_backups_in_one_batch_are_distinguished(kind: Kind) {
    // The copies in the current and in the old backup, and the copy that then waits for upload.
    let table = [
        (Some((0, true)), None, None),
        (None, Some((0, true)), Some((0, true))),
        (Some((5, true)), Some((0, true)), Some((0, true))),
        (Some((0, true)), Some((5, true)), None),
        (Some((0, true)), Some((0, true)), None),
        (Some((0, false)), Some((5, true)), Some((0, true))),
        (Some((0, true)), Some((5, false)), None),
    ];
    for old_comes_first in [true, false] {
        let directory = tempfile::tempdir().expect("a directory");
        let uploader = Uploader::new(directory.path(), kind).await;
        let current = uploader.origin();
        let old = BackupOrigin {
            version: "0".to_owned(),
            is_current: false,
            ..current.clone()
        };
        let (mut keys, mut expected) = (Vec::new(), BTreeMap::new());
        for (in_current, in_old, waits) in table {
            let original = Original::new();
            let mut copies = vec![(in_current, &current), (in_old, &old)];
            if old_comes_first {
                copies.reverse();
            }
            for (copy, origin) in copies {
                if let Some(copy) = copy {
                    keys.push(backed_up(&original, copy, Claims::AsTheStore, origin).await);
                }
            }
            expected.insert(original.group.session_id(), waits);
        }
        uploader.deliver(keys).await;
        let waiting = uploader.waiting().await;
        for (session_id, waits) in expected {
            assert_eq!(waiting.get(&session_id).copied(), waits, "{old_comes_first}");
        }
    }
}

async fn no_mark_is_left_if_the_backup_is_replaced_during_a_delivery(kind: Kind) {
    let directory = tempfile::tempdir().expect("a directory");
    let uploader = Uploader::new(directory.path(), kind).await;
    let mut keys = Vec::new();
    // These are merged one after the other: enough of them are left when the first one is in the store.
    let merged = std::iter::repeat_n(Some((Origin::DirectOfUnknown, 5)), 20);
    for local in merged.chain([None, None, Some((Origin::DirectOfDevice, 0))]) {
        let original = Original::new();
        if let Some((origin, index)) = local {
            save(&uploader.machine, original.local(origin, index, true).await).await;
        }
        keys.push(backed_up(&original, (0, true), Claims::AsTheStore, &uploader.origin()).await);
    }
    // A key that was marked before, not by this delivery.
    let other = Original::new().local(Origin::DirectOfDevice, 0, true).await;
    other.mark_as_backed_up();
    save(&uploader.machine, other.clone()).await;
    let machine = uploader.machine.clone();
    let next_key = BackupDecryptionKey::new();
    let replaced = tokio::spawn({
        let (machine, next_key) = (machine.clone(), next_key.clone());
        let merged: Vec<_> = keys[..20].iter().map(|key| key.session_id.clone()).collect();
        async move {
            'waiting: loop {
                for session_id in &merged {
                    if stored(&machine, session_id).await.first_known_index() == 0 {
                        break 'waiting;
                    }
                }
            }
            enable(&machine, &next_key, "2").await;
        }
    });
    let answers = uploader.deliver(keys.clone()).await;
    assert_eq!(
        answers.iter().filter(|answer| **answer == SinkAnswer::Imported).count(),
        22
    );
    replaced.await.expect("the backup was replaced");
    for key in &keys {
        let then = stored(&machine, &key.session_id).await;
        assert_eq!((then.first_known_index(), then.backed_up()), (0, false));
    }
    assert!(stored(&machine, other.session_id()).await.backed_up());
}
