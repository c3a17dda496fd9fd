//! A setting that the user changes: it is stored first, written when possible, and never overwrites the choice of
//! another device.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use keyferry::{
    AccessError, DeterminedPolicy, HttpMethod, Milliseconds, PendingReason, PreferencePolicy, PreferenceResolution,
    PreferenceValue, PreferenceWrite, RunBudget, TransportError, UndeterminedPolicy,
};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinSet};

use super::{meddling, open, open_over, pending, without_network};
use crate::support::{STABLE, Setup, UNSTABLE, both, budget, forms, homeserver, status};

#[tokio::test]
async fn a_changed_setting_is_written_in_both_forms() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    for enabled in [false, true, true] {
        let write = client.preference().set_enabled(enabled).await;
        assert_eq!(write, Ok(PreferenceWrite::Written));
        assert_eq!(forms(&homeserver), both(enabled));
        assert_eq!(client.preference().pending().await, Ok(None));
        assert_eq!(*setup.host.preference_wake_up.lock().expect("not poisoned"), None);
    }
    // The third time there was nothing to write.
    assert_eq!(homeserver.requests().of(EndpointKind::PutAccountData), 4);
    let seen = client.preference().last_seen().await.expect("it was seen");
    assert_eq!(seen.map(|shared| shared.value), Some(PreferenceValue::Enabled));
}

#[tokio::test]
async fn the_unstable_form_can_be_left_out() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let stable_only = PreferencePolicy::TakePart {
        determined: DeterminedPolicy::Follow,
        undetermined: UndeterminedPolicy::AskUser,
        write_unstable: false,
    };
    let client = open(&setup, stable_only).await;
    assert_eq!(
        client.preference().set_enabled(true).await,
        Ok(PreferenceWrite::Written)
    );
    assert_eq!(forms(&homeserver), (Some(json!({ "enabled": true })), None));
}

#[tokio::test]
async fn an_offline_wish_outlives_a_restart_and_is_written_later() {
    let homeserver = homeserver(1, 1);
    homeserver.set_account_data(STABLE, json!({ "enabled": true }));
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    client.preference().decide_at_sign_in().await.expect("a decision");
    client.shutdown();

    let client = open_over(&setup, PreferencePolicy::default(), without_network()).await;
    let write = client.preference().set_enabled(true).await.expect("it is kept");
    assert_eq!(pending(&write), &PendingReason::Unreachable);
    let write = client.preference().set_enabled(false).await.expect("it is kept");
    assert_eq!(pending(&write), &PendingReason::Unreachable);
    let wake_up = *setup.host.preference_wake_up.lock().expect("not poisoned");
    assert!(wake_up.is_some_and(|wake_up| wake_up.needs_network && wake_up.not_before >= Milliseconds(30_000)));
    let later = client
        .preference()
        .flush(RunBudget::default())
        .await
        .expect("it is kept");
    assert_eq!(later.as_ref().map(pending), Some(&PendingReason::Unreachable));
    client.shutdown();

    let client = open(&setup, PreferencePolicy::default()).await;
    let kept = client
        .preference()
        .pending()
        .await
        .expect("it is there")
        .expect("a wish");
    assert_eq!((kept.enabled, kept.tries, kept.changed_meanwhile), (false, 2, None));
    // The wish counts on this device before it is written.
    assert!(homeserver.account_data(UNSTABLE).is_none());
    let flushed = client.preference().flush(RunBudget::default()).await;
    assert_eq!(flushed, Ok(Some(PreferenceWrite::Written)));
    assert_eq!(forms(&homeserver), both(false));
    assert_eq!(*setup.host.preference_wake_up.lock().expect("not poisoned"), None);
    let before = homeserver.requests().total();
    assert_eq!(client.preference().flush(RunBudget::default()).await, Ok(None));
    assert_eq!(
        homeserver.requests().total(),
        before,
        "nothing to write, nothing to ask"
    );
    assert!(setup.host.conflicts.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn the_answer_to_a_write_determines_its_pending_reason() {
    let table = [
        (status(500, json!({})), PendingReason::Unreachable),
        (FaultKind::NotJson, PendingReason::Unreachable),
        (
            status(429, json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 120_000 })),
            PendingReason::Unreachable,
        ),
        (
            status(401, json!({ "errcode": "M_UNKNOWN_TOKEN", "soft_logout": true })),
            PendingReason::NotSignedIn { soft_logout: true },
        ),
        (status(403, json!({ "errcode": "M_FORBIDDEN" })), PendingReason::Refused),
    ];
    let mut cases = JoinSet::new();
    for (fault, reason) in table {
        cases.spawn(async move {
            let homeserver = homeserver(1, 1);
            let setup = Setup::new(&homeserver);
            let client = open(&setup, PreferencePolicy::default()).await;
            homeserver.set_faults(vec![Fault::from(fault.clone()).on(EndpointKind::PutAccountData)]);
            let write = client.preference().set_enabled(true).await.expect("it is kept");
            assert_eq!(pending(&write), &reason, "{fault:?}");
            let wake_up = *setup.host.preference_wake_up.lock().expect("not poisoned");
            let wait = wake_up.expect("a wake-up").not_before;
            match fault {
                FaultKind::Status { code: 429, .. } => assert_eq!(wait, Milliseconds(120_000)),
                FaultKind::Status { code: 403, .. } => assert_eq!(wait, Milliseconds(86_400_000)),
                _ => assert_eq!(wait, Milliseconds(30_000)),
            }
            homeserver.set_faults(Vec::new());
            let flushed = client.preference().flush(RunBudget::default()).await;
            assert_eq!(flushed, Ok(Some(PreferenceWrite::Written)), "{fault:?}");
            assert_eq!(forms(&homeserver), both(true));
        });
    }
    cases.join_all().await;
}

#[tokio::test]
async fn after_a_kill_between_the_two_writes_the_second_follows() {
    let homeserver = homeserver(1, 1);
    homeserver.set_account_data(UNSTABLE, json!({ "disabled": false }));
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    // The second request that writes fails; the process ends while it waits to try again.
    homeserver.set_faults(vec![
        Fault::from(status(503, json!({})))
            .on(EndpointKind::PutAccountData)
            .skip(1),
    ]);
    let preference = client.preference();
    let writing = tokio::spawn(async move { preference.set_enabled(false).await });
    while homeserver.account_data(STABLE).is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    writing.abort();
    client.shutdown();
    assert_eq!(
        forms(&homeserver),
        (Some(json!({ "enabled": false })), Some(json!({ "disabled": false })))
    );
    homeserver.set_faults(Vec::new());

    let client = open(&setup, PreferencePolicy::default()).await;
    assert!(
        setup.host.preference_wake_up.lock().expect("not poisoned").is_some(),
        "it was scheduled before the kill"
    );
    let flushed = client.preference().flush(RunBudget::default()).await;
    assert_eq!(flushed, Ok(Some(PreferenceWrite::Written)));
    assert_eq!(forms(&homeserver), both(false));
    assert!(setup.host.conflicts.lock().expect("not poisoned").is_empty());
    assert_eq!(*setup.host.notices.lock().expect("not poisoned"), []);
}

#[tokio::test]
async fn a_budget_ends_an_attempt_and_the_wish_stays() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let offline = open_over(&setup, PreferencePolicy::default(), without_network()).await;
    offline.preference().set_enabled(true).await.expect("it is kept");
    offline.shutdown();
    homeserver.set_faults(vec![Fault::from(FaultKind::Silence).on(EndpointKind::PutAccountData)]);
    let client = open(&setup, PreferencePolicy::default()).await;
    let write = client
        .preference()
        .flush(budget(200))
        .await
        .expect("it is kept")
        .expect("a wish");
    assert_eq!(pending(&write), &PendingReason::OutOfTime);
    assert!(client.preference().pending().await.expect("it is there").is_some());
}

#[tokio::test]
async fn a_choice_made_on_another_device_meanwhile_is_not_overwritten_silently() {
    for (resolution, expected) in [
        (None, None),
        (Some(PreferenceResolution::AskLater), None),
        (Some(PreferenceResolution::KeepOurs), Some(true)),
        (Some(PreferenceResolution::TakeTheirs), Some(false)),
    ] {
        let homeserver = homeserver(1, 1);
        homeserver.set_account_data(STABLE, json!({ "enabled": true }));
        let setup = Setup::new(&homeserver);
        *setup.host.resolution.lock().expect("not poisoned") = resolution;
        let client = open(&setup, PreferencePolicy::default()).await;
        client.preference().decide_at_sign_in().await.expect("a decision");
        client.shutdown();
        let offline = open_over(&setup, PreferencePolicy::default(), without_network()).await;
        offline.preference().set_enabled(true).await.expect("it is kept");
        offline.shutdown();

        homeserver.set_account_data(STABLE, json!({ "enabled": false }));
        let client = open(&setup, PreferencePolicy::default()).await;
        let preference = client.preference();
        let write = preference
            .flush(RunBudget::default())
            .await
            .expect("an answer")
            .expect("a wish");
        let asked = setup.host.conflicts.lock().expect("not poisoned").clone();
        assert_eq!(asked.len(), 1, "{resolution:?}");
        assert!(asked[0].ours);
        assert_eq!(asked[0].theirs.value, PreferenceValue::Disabled);
        assert_eq!(
            setup.host.notices.lock().expect("not poisoned").len(),
            1,
            "it is reported as a change, too"
        );
        match expected {
            Some(true) => {
                assert_eq!(write, PreferenceWrite::Written);
                assert_eq!(forms(&homeserver), both(true));
            }
            Some(false) => {
                assert!(matches!(write, PreferenceWrite::TheirsTaken { .. }), "{write:?}");
                assert_eq!(forms(&homeserver), (Some(json!({ "enabled": false })), None));
                assert_eq!(preference.pending().await, Ok(None));
            }
            None => {
                assert!(matches!(pending(&write), PendingReason::ChangedMeanwhile { .. }));
                assert_eq!(
                    *setup.host.preference_wake_up.lock().expect("not poisoned"),
                    None,
                    "there is nothing to wait for"
                );
                assert_eq!(forms(&homeserver), (Some(json!({ "enabled": false })), None));
                let kept = preference.pending().await.expect("it is there").expect("a wish");
                assert!(kept.changed_meanwhile.is_some());
                // The user's next choice settles the conflict.
                assert_eq!(preference.set_enabled(true).await, Ok(PreferenceWrite::Written));
                assert_eq!(forms(&homeserver), both(true));
            }
        }
    }
}

#[tokio::test]
async fn the_last_of_two_simultaneous_wishes_wins() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    homeserver.set_faults(vec![
        Fault::from(FaultKind::Latency { ms: 150 }).on(EndpointKind::PutAccountData),
    ]);
    let (first, second) = (client.preference(), client.preference());
    let first = tokio::spawn(async move { first.set_enabled(true).await });
    while homeserver.requests().of(EndpointKind::PutAccountData) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = second.set_enabled(false).await;
    assert_eq!(second, Ok(PreferenceWrite::Written));
    assert_eq!(first.await.expect("it ends"), Ok(PreferenceWrite::Superseded));
    assert_eq!(forms(&homeserver), both(false));
}

#[tokio::test]
async fn a_token_that_expires_is_refreshed_and_a_closed_client_says_so() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    *setup.host.refreshed_token.lock().expect("not poisoned") = Some("fresh".to_owned());
    homeserver.set_access_token("fresh", false);
    let client = open(&setup, PreferencePolicy::default()).await;
    assert_eq!(
        client.preference().set_enabled(true).await,
        Ok(PreferenceWrite::Written)
    );
    client.shutdown();
    assert_eq!(client.preference().set_enabled(true).await, Err(AccessError::ShutDown));
    assert_eq!(client.preference().pending().await, Err(AccessError::ShutDown));
}

#[tokio::test]
async fn the_server_is_read_again_before_a_write_is_retried() {
    let homeserver = Arc::new(homeserver(1, 1));
    let setup = Setup::new(&homeserver);
    let server = homeserver.clone();
    let writes = AtomicU32::new(0);
    // The first write is lost, and meanwhile another device chooses the opposite.
    let transport = meddling(move |request| {
        if request.method == HttpMethod::Put && writes.fetch_add(1, Ordering::SeqCst) == 0 {
            server.set_account_data(STABLE, json!({ "enabled": true }));
            return Err(TransportError::Interrupted);
        }
        Ok(())
    });
    let client = open_over(&setup, PreferencePolicy::default(), transport).await;
    let write = client.preference().set_enabled(false).await.expect("it is kept");
    assert!(
        matches!(pending(&write), PendingReason::ChangedMeanwhile { .. }),
        "{write:?}"
    );
    assert_eq!(forms(&homeserver), (Some(json!({ "enabled": true })), None));
}

#[tokio::test]
async fn a_shutdown_ends_a_write_and_keeps_its_wish() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    homeserver.set_faults(vec![Fault::from(FaultKind::Silence).on(EndpointKind::PutAccountData)]);
    let preference = client.preference();
    let writing = tokio::spawn(async move { preference.set_enabled(true).await });
    while homeserver.requests().of(EndpointKind::PutAccountData) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.shutdown();
    assert_eq!(writing.await.expect("it ends"), Err(AccessError::ShutDown));
    let client = open(&setup, PreferencePolicy::default()).await;
    let kept = client.preference().pending().await.expect("it is there");
    assert_eq!(kept.map(|wish| wish.enabled), Some(true));
}

#[tokio::test]
async fn a_late_answer_does_not_undo_a_newer_choice_of_the_user() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let offline = open_over(&setup, PreferencePolicy::default(), without_network()).await;
    offline.preference().set_enabled(true).await.expect("it is kept");
    offline.shutdown();
    homeserver.set_account_data(STABLE, json!({ "enabled": false }));

    let client = open(&setup, PreferencePolicy::default()).await;
    let (answer, late) = oneshot::channel();
    *setup.host.late_resolution.lock().expect("not poisoned") = Some(late);
    let preference = client.preference();
    let flushing = tokio::spawn(async move { preference.flush(RunBudget::default()).await });
    while setup.host.conflicts.lock().expect("not poisoned").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The dialog is open; the user turns the switch in the settings instead.
    let preference = client.preference();
    assert_eq!(preference.set_enabled(true).await, Ok(PreferenceWrite::Written));
    answer
        .send(PreferenceResolution::TakeTheirs)
        .expect("the dialog is open");
    let flushed = flushing.await.expect("it ends");
    assert!(
        !matches!(flushed, Ok(Some(PreferenceWrite::TheirsTaken { .. }))),
        "{flushed:?}"
    );
    assert_eq!(forms(&homeserver), both(true));
    assert_eq!(preference.pending().await, Ok(None));
    assert_eq!(*setup.host.preference_wake_up.lock().expect("not poisoned"), None);
}
