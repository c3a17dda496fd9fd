//! A move from its beginning to its end.

use keyferry::{ResetCause, ResetError, ResetOutcome, ResetStep, ResetWay, RunBudget};
use keyferry_test_homeserver::Config;

use super::world::World;

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
