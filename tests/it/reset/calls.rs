//! The other calls of a reset: readiness, creation, new storage, cancellation, deletion, turning off.

use keyferry::{
    AccessError, ClientOptions, KeyLoss, LossKind, Milliseconds, ResetCause, ResetError, ResetOutcome, ResetStep,
    ResetWay, RunBudget, VaultProtection,
};
use keyferry_test_homeserver::{Config, VersionAction};
use serde_json::json;

use super::world::World;
use crate::support::{both, forms, run_to_completion, unlock_version};

async fn world() -> World {
    World::new(Config {
        keys: 50,
        rooms: 5,
        ..Config::default()
    })
    .await
}

fn loss(kind: LossKind, keys: u64) -> KeyLoss {
    KeyLoss { kind, keys }
}

#[tokio::test]
async fn the_way_and_the_losses_are_told_before_anything_is_done() {
    let world = world().await;
    let client = world.open().await;
    let reset = client.reset();
    let readiness = reset
        .prepare_reset(ResetCause::RecoveryKeyLost)
        .await
        .expect("an answer");
    assert_eq!(readiness.way, ResetWay::Locked);
    assert_eq!(readiness.losses, [loss(LossKind::NotFetched, 50)]);
    client.download().run(RunBudget::default()).await;
    let readiness = reset
        .prepare_reset(ResetCause::RecoveryKeyLost)
        .await
        .expect("an answer");
    assert_eq!((readiness.way, readiness.keys), (ResetWay::Locked, 0));
    assert_eq!(readiness.losses, [loss(LossKind::Locked, 50)]);

    client.unlock(world.setup.recovery_key()).await.expect("the key fits");
    run_to_completion(&client).await;
    for (cause, way) in [
        (ResetCause::RecoveryKeyLost, ResetWay::RotateStorageOnly),
        (ResetCause::KeyCompromised, ResetWay::Move),
        (ResetCause::BackupDamaged, ResetWay::Move),
    ] {
        let readiness = reset.prepare_reset(cause).await.expect("an answer");
        assert_eq!((readiness.way, readiness.losses.as_slice()), (way, [].as_slice()));
        assert_eq!((readiness.keys, readiness.upload_bytes), (50, 50 * 860));
        assert!(readiness.can_keep_secrets);
    }
    world.homeserver.set_version_state(VersionAction::Delete);
    let readiness = reset.prepare_reset(ResetCause::BackupDamaged).await.expect("an answer");
    assert_eq!(readiness.way, ResetWay::Create);
    assert_eq!(world.homeserver.versions(), [] as [&str; 0], "nothing was done");
}

#[tokio::test]
async fn a_move_is_refused_until_every_loss_is_accepted_by_name() {
    let world = world().await;
    let client = world.open().await;
    let reset = client.reset();
    client.download().run(RunBudget::default()).await;
    let begin = async |accepted| reset.move_backup(ResetCause::BackupDamaged, accepted).await;
    let locked = vec![loss(LossKind::Locked, 50)];
    let refused = |losses| Err(ResetError::LosesKeys { losses });
    assert_eq!(begin(Vec::new()).await, refused(locked.clone()));
    assert_eq!(begin(vec![loss(LossKind::Locked, 49)]).await, refused(locked.clone()));
    assert_eq!(begin(vec![loss(LossKind::Failed, 50)]).await, refused(locked.clone()));
    assert_eq!(reset.status().await, Ok(None));
    assert_eq!(
        forms(&world.homeserver),
        (None, None),
        "not even the preference was written"
    );
}

#[tokio::test]
async fn what_a_reset_needs_is_missed_before_anything_is_done() {
    let world = world().await;
    let client = world.setup.open_unlocked().await;
    run_to_completion(&client).await;
    let begun = client.reset().move_backup(ResetCause::BackupDamaged, Vec::new()).await;
    assert_eq!(begun, Err(AccessError::NotConfigured.into()));
    assert_eq!(
        client.reset().run(RunBudget::default()).await.outcome,
        ResetOutcome::NothingToDo
    );
    let deleted = client.reset().delete_version("1".to_owned(), Vec::new()).await;
    assert_eq!(deleted, Err(ResetError::NotProved));

    let elsewhere = tempfile::tempdir().expect("a directory");
    let options = ClientOptions {
        protection: VaultProtection::NoProtection,
        data_dir: elsewhere.path().join("vault").display().to_string(),
        ..world.options_over_http()
    };
    let client = world.setup.open_with(options).await.expect("the client opens");
    let begun = client.reset().move_backup(ResetCause::BackupDamaged, Vec::new()).await;
    assert_eq!(begun, Err(ResetError::CannotKeepSecrets));
    assert_eq!(client.reset().create_backup().await, Err(ResetError::CannotKeepSecrets));
    assert_eq!(world.homeserver.versions(), ["1"]);
}

#[tokio::test]
async fn a_backup_is_created_where_there_is_none_with_every_key_of_the_vault() {
    let world = world().await;
    let client = world.open_complete().await;
    let reset = client.reset();
    assert_eq!(reset.create_backup().await, Err(ResetError::BackupExists));
    world.homeserver.set_version_state(VersionAction::Delete);
    world
        .homeserver
        .set_account_data("m.secret_storage.default_key", json!(null));
    reset.create_backup().await.expect("it begins");
    assert_eq!(forms(&world.homeserver), both(true), "the preference comes first");
    assert_eq!(reset.create_backup().await, Err(ResetError::UnderWay));
    let report = reset.run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed, "{report:?}");
    assert_eq!(report.status.expect("a status").old_version, None);
    world.assert_restores().await;
}

#[tokio::test]
async fn a_reset_can_be_cancelled_until_it_changes_the_backup() {
    let world = world().await;
    let client = world.open_complete().await;
    let reset = client.reset();
    assert_eq!(reset.cancel().await, Err(ResetError::NotUnderWay));
    let begin = async || reset.move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begin().await.expect("it begins");
    assert!(
        reset
            .status()
            .await
            .expect("a status")
            .expect("a reset")
            .can_be_cancelled
    );
    let wake_up = || *world.setup.host.reset_wake_up.lock().expect("not poisoned");
    assert!(wake_up().is_some());
    reset.cancel().await.expect("it is cancelled");
    assert_eq!(wake_up(), None);
    assert_eq!(reset.status().await, Ok(None));
    assert_eq!(reset.run(RunBudget::default()).await.outcome, ResetOutcome::NothingToDo);
    assert_eq!(world.homeserver.versions(), ["1"]);

    begin().await.expect("it begins again");
    let report = reset.run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed);
    assert!(!report.status.expect("a status").can_be_cancelled);
    assert_eq!(reset.cancel().await, Err(ResetError::NotUnderWay));
}

#[tokio::test]
async fn new_secret_storage_opens_the_same_backup() {
    let world = world().await;
    let client = world.open_complete().await;
    client.reset().rotate_storage().await.expect("the storage is renewed");
    assert_eq!(world.homeserver.versions(), ["1"]);
    assert_eq!(
        world
            .homeserver
            .requests()
            .of(keyferry_test_homeserver::EndpointKind::PutKeys),
        0
    );
    world.assert_restores().await;
    // The old storage key opens nothing any more.
    let secret = world
        .homeserver
        .account_data("m.megolm_backup.v1")
        .expect("it is there");
    assert_eq!(secret["encrypted"].as_object().expect("an object").len(), 1);
    // A device that cannot open the backup cannot put storage around it.
    let world = self::world().await;
    let locked = world.open().await;
    assert_eq!(locked.reset().rotate_storage().await, Err(AccessError::Locked.into()));
}

#[tokio::test]
async fn the_switch_is_not_begun_without_a_minute_for_it() {
    let world = world().await;
    let client = world.open_complete().await;
    let reset = client.reset();
    let begun = reset.move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begun.expect("it begins");
    let short = RunBudget {
        max_duration: Some(Milliseconds(20_000)),
    };
    let report = reset.run(short).await;
    assert_eq!(report.outcome, ResetOutcome::OutOfBudget);
    assert_eq!(report.status.expect("a status").step, ResetStep::SecretsKept);
    assert_eq!(world.homeserver.versions(), ["1"]);
    let long = RunBudget {
        max_duration: Some(Milliseconds(90_000)),
    };
    assert_eq!(reset.run(long).await.outcome, ResetOutcome::Completed);
}

#[tokio::test]
async fn turning_off_deletes_every_version_and_keeps_every_key() {
    let world = world().await;
    let client = world.open_complete().await;
    let reset = client.reset();
    // Another client has moved the backup meanwhile, and this device has not seen it.
    world.homeserver.set_version_state(VersionAction::NewWithOtherKey);
    let off = reset.turn_off(Vec::new()).await;
    assert_eq!(
        off,
        Err(ResetError::LosesKeys {
            losses: vec![loss(LossKind::NotFetched, 50)]
        })
    );
    assert_eq!(forms(&world.homeserver), (None, None), "nothing was written");
    client.download().run(RunBudget::default()).await;
    unlock_version(&client, &world.homeserver, "2").await;
    run_to_completion(&client).await;
    reset.turn_off(Vec::new()).await.expect("backups are off");
    assert_eq!(forms(&world.homeserver), both(false));
    assert_eq!(world.homeserver.versions(), [] as [&str; 0]);
    crate::support::assert_vault_complete(&client, &world.homeserver).await;
}

#[tokio::test]
async fn a_run_without_a_reset_asks_for_no_wake_up_however_short_it_is() {
    let world = world().await;
    let reset = world.open().await.reset();
    for max_duration in [None, Some(Milliseconds(100))] {
        let report = reset.run(RunBudget { max_duration }).await;
        assert_eq!((report.outcome, report.wake_up), (ResetOutcome::NothingToDo, None));
    }
}
