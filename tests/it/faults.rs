//! A server that misbehaves: temporary faults are retried, others are reported, and nothing is lost or done twice.

use std::time::Duration;

use keyferry::{
    AccessError, BlockedReason, HostError, Milliseconds, MissingKeys, RunBudget, RunFailure, RunOutcome, RunReport,
    TokenRequest,
};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, Homeserver, VersionAction};
use serde_json::json;

use crate::support::{COUNTED, Setup, WHOLE, assert_all_once, homeserver, needs_unlock, run_to_completion, status};

async fn run(setup: &Setup) -> RunReport {
    setup.open_unlocked().await.download().run(RunBudget::default()).await
}

async fn survives(homeserver: &Homeserver, faults: Vec<Fault>) {
    let setup = Setup::with_sink(homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_faults(faults);
    run_to_completion(&client).await;
    homeserver.set_faults(Vec::new());
    assert_all_once(&setup.delivered(), homeserver);
}

#[tokio::test]
async fn a_download_continues_after_a_body_breaks_off() {
    let homeserver = homeserver(5_000, 10);
    for fault in [
        FaultKind::CutBody { after_bytes: 1_000_000 },
        FaultKind::Reset { after_bytes: 1_000_000 },
        FaultKind::WrongLength { declared: 2_000_000 },
        FaultKind::CutBody { after_bytes: 3 },
    ] {
        survives(&homeserver, vec![Fault::from(fault).on(EndpointKind::AllKeys).times(1)]).await;
    }
}

#[tokio::test]
async fn a_backup_is_fetched_room_by_room_if_all_keys_are_always_cut() {
    let homeserver = homeserver(5_000, 10);
    survives(
        &homeserver,
        vec![Fault::from(FaultKind::CutBody { after_bytes: 500_000 }).on(EndpointKind::AllKeys)],
    )
    .await;
    assert!(homeserver.requests().of(EndpointKind::RoomKeys) >= 10);
}

#[tokio::test]
async fn a_backup_is_fetched_room_by_room_if_all_keys_never_begin() {
    let homeserver = homeserver(2_000, 6);
    survives(
        &homeserver,
        vec![Fault::from(status(504, json!("<html>too slow</html>"))).on(EndpointKind::AllKeys)],
    )
    .await;
    assert_eq!(homeserver.requests().of(EndpointKind::RoomKeys), 6);
}

#[tokio::test]
async fn a_refused_room_is_left_to_the_last_request() {
    let homeserver = homeserver(2_000, 6);
    survives(
        &homeserver,
        vec![
            Fault::from(status(504, json!({}))).on(EndpointKind::AllKeys).times(2),
            Fault::from(status(400, json!({ "errcode": "M_INVALID_PARAM" })))
                .on(EndpointKind::RoomKeys)
                .times(1),
        ],
    )
    .await;
    assert_eq!(homeserver.requests().of(EndpointKind::RoomKeys), 6);
    assert_eq!(homeserver.requests().of(EndpointKind::AllKeys), 3);
}

#[tokio::test]
async fn the_first_request_is_retried_too() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_faults(vec![
        Fault::from(status(502, json!({})))
            .on(EndpointKind::CurrentVersion)
            .times(1),
    ]);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
}

#[tokio::test]
async fn passing_faults_are_retried() {
    let homeserver = homeserver(1_000, 4);
    for fault in [
        status(429, json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 100 })),
        status(502, json!("<html>bad gateway</html>")),
        FaultKind::NotJson,
    ] {
        survives(&homeserver, vec![Fault::from(fault).on(EndpointKind::AllKeys).times(1)]).await;
    }
}

#[tokio::test]
async fn each_answer_has_its_outcome() {
    let homeserver = homeserver(100, 2);
    let limited = json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 600_000 });
    for (fault, expected) in [
        // If the request for all keys is refused, the keys are fetched room by room.
        (status(403, json!({ "errcode": "M_FORBIDDEN" })), COUNTED),
        (status(404, json!("<html>")), COUNTED),
    ] {
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        homeserver.set_faults(vec![Fault::from(fault.clone()).on(EndpointKind::AllKeys)]);
        let report = client.download().run(RunBudget::default()).await;
        homeserver.set_faults(Vec::new());
        assert_eq!(report.outcome, expected, "{fault:?}");
    }
    for (fault, reason, at_least_ms) in [
        (status(429, limited), BlockedReason::RateLimited, 600_000),
        (
            FaultKind::Status {
                code: 429,
                body: json!({}),
                headers: [("Retry-After".to_owned(), "700".to_owned())].into(),
            },
            BlockedReason::RateLimited,
            700_000,
        ),
        (
            FaultKind::Redirect {
                location: "https://example.org/".to_owned(),
            },
            BlockedReason::NotTheHomeserver,
            1,
        ),
        (status(503, json!("")), BlockedReason::ServerFault, 1),
        (FaultKind::NotJson, BlockedReason::NotTheHomeserver, 1),
    ] {
        let setup = Setup::new(&homeserver);
        let client = setup.open_unlocked().await;
        homeserver.set_faults(vec![Fault::from(fault.clone()).on(EndpointKind::CurrentVersion)]);
        let report = client.download().run(RunBudget::default()).await;
        homeserver.set_faults(Vec::new());
        let RunOutcome::Blocked {
            reason: found,
            retry_after,
        } = report.outcome
        else {
            panic!("{fault:?}: {:?}", report.outcome)
        };
        assert_eq!(found, reason, "{fault:?}");
        assert!(
            retry_after.is_some_and(|wait| wait.0 >= at_least_ms),
            "{fault:?}: {retry_after:?}"
        );
    }
}

#[tokio::test]
async fn an_app_without_a_token_now_is_asked_again_later_and_one_that_is_signed_out_is_not() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let fail = |failure| *setup.host.token_failure.lock().expect("not poisoned") = failure;

    fail(Some(HostError::Failed {
        detail: "no network to refresh it".to_owned(),
    }));
    let report = client.download().run(RunBudget::default()).await;
    let RunOutcome::Blocked { reason, .. } = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert_eq!(reason, BlockedReason::NoAccessToken);
    assert!(
        report
            .wake_up
            .is_some_and(|wake_up| wake_up.not_before >= Milliseconds(10_000))
    );
    assert_eq!(
        client.refresh().await,
        Err(AccessError::Unreachable { retry_after: None })
    );

    fail(Some(HostError::SignedOut));
    let report = client.download().run(RunBudget::default()).await;
    let reason = RunFailure::NotSignedIn { soft_logout: false };
    assert_eq!((report.outcome, report.wake_up), (RunOutcome::Failed { reason }, None));

    fail(None);
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
}

#[tokio::test]
async fn an_expired_token_is_refreshed_once_and_then_reported() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    homeserver.set_access_token("new token", true);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(
        report.outcome,
        RunOutcome::Failed {
            reason: RunFailure::NotSignedIn { soft_logout: true }
        }
    );
    *setup.host.refreshed_token.lock().expect("not poisoned") = Some("new token".to_owned());
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    let requests = setup.host.token_requests.lock().expect("not poisoned");
    assert_eq!(
        requests
            .iter()
            .filter(|request| **request == TokenRequest::PreviousRejected)
            .count(),
        2
    );
}

#[tokio::test]
async fn an_unreachable_server_differs_from_a_missing_backup() {
    let gone = {
        let homeserver = homeserver(10, 1);
        Setup::new(&homeserver)
    };
    let report = gone.open().await.download().run(RunBudget::default()).await;
    assert!(
        matches!(
            report.outcome,
            RunOutcome::Blocked {
                reason: BlockedReason::Offline,
                ..
            }
        ),
        "{:?}",
        report.outcome
    );
    let homeserver = homeserver(10, 1);
    homeserver.set_version_state(VersionAction::Delete);
    let setup = Setup::new(&homeserver);
    let report = setup.open().await.download().run(RunBudget::default()).await;
    assert_eq!(
        report.outcome,
        RunOutcome::Failed {
            reason: RunFailure::NoBackup
        }
    );
}

#[tokio::test]
async fn entries_in_the_vault_are_opened_offline() {
    let setup = {
        let homeserver = homeserver(800, 3);
        let setup = Setup::with_sink(&homeserver);
        let client = setup.open().await;
        assert_eq!(
            client.download().run(RunBudget::default()).await.outcome,
            needs_unlock(&["1"])
        );
        client
            .unlock(setup.recovery_key())
            .await
            .expect("the recovery key fits");
        setup
    };
    let report = setup.open().await.download().run(RunBudget::default()).await;
    assert!(matches!(report.outcome, RunOutcome::Blocked { .. }));
    assert_eq!((report.summary.opened, report.summary.delivered), (800, 800));
}

#[tokio::test]
async fn a_false_count_neither_ends_a_run_early_nor_keeps_it_going() {
    for count in [0, 5, 1_000, 1_000_000_000] {
        let homeserver = homeserver(1_000, 4);
        homeserver.set_faults(vec![Fault::from(FaultKind::WrongCount { count })]);
        let setup = Setup::with_sink(&homeserver);
        let report = tokio::time::timeout(Duration::from_secs(60), run(&setup))
            .await
            .expect("it ends");
        let expected = match count {
            1_000_000_000 => RunOutcome::Short {
                versions: vec![MissingKeys {
                    version: "1".to_owned(),
                    missing: 999_999_000,
                }],
            },
            _ => WHOLE,
        };
        assert_eq!(report.outcome, expected);
        assert_eq!(report.summary.delivered, 1_000, "count {count}");
    }
}
