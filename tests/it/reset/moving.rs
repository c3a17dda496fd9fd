//! A move from its beginning to its end.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use keyferry::{ResetCause, ResetError, ResetOutcome, ResetStep, ResetWay, RunBudget};
use keyferry_test_homeserver::Config;

use super::world::World;
use crate::secrets::{bytes_below, holds};

fn config(keys: u64) -> Config {
    Config {
        keys,
        rooms: 7,
        ..Config::default()
    }
}

#[tokio::test]
async fn a_backup_moves_to_a_new_key_and_a_new_device_restores_it() {
    let world = World::new(config(3_000)).await;
    let client = world.open_complete().await;
    let reset = client.reset();
    let readiness = reset
        .prepare_reset(ResetCause::KeyCompromised)
        .await
        .expect("an answer");
    assert_eq!(readiness.way, ResetWay::Move);
    assert_eq!((readiness.losses.len(), readiness.keys), (0, 3_000));
    let begun = reset.move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begun.expect("it begins");
    assert_eq!(
        world.homeserver.current_version().as_deref(),
        Some("1"),
        "nothing has changed yet"
    );

    let report = reset.run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed, "{report:?}");
    let status = report.status.expect("a status");
    assert_eq!(
        (status.step, status.sent, status.unreplaced),
        (ResetStep::Done, 3_000, 0)
    );
    assert_eq!(status.new_version.as_deref(), Some("2"));
    assert_eq!(world.homeserver.current_version().as_deref(), Some("2"));
    world.assert_restores().await;

    let current = reset.delete_version("2".to_owned(), Vec::new()).await;
    assert_eq!(current, Err(ResetError::CurrentVersion));
    reset
        .delete_version("1".to_owned(), Vec::new())
        .await
        .expect("it is deleted");
    assert_eq!(world.homeserver.versions(), ["2"]);
    world.assert_restores().await;
}

#[tokio::test]
async fn the_files_of_the_vault_do_not_hold_the_new_key() {
    let world = World::new(config(300)).await;
    let client = world.open_complete().await;
    let reset = client.reset();
    let begun = reset.move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begun.expect("it begins");
    let before = bytes_below(&world.setup.vault_directory());
    let report = reset.run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed, "{report:?}");
    let after = bytes_below(&world.setup.vault_directory());

    let key = world.key_in_storage("m.megolm_backup.v1").expect("it is there");
    let public_key = STANDARD_NO_PAD.decode(key.megolm_v1_public_key().to_base64());
    // The search finds what is there.
    assert!(holds(&after, &public_key.expect("base64")));
    for bytes in [before, after] {
        assert!(!holds(&bytes, key.to_base64().as_bytes()) && !holds(&bytes, key.as_bytes()));
        assert!(!holds(&bytes, world.recovery_key.as_bytes()));
    }
}
