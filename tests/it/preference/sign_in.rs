//! The decision at sign-in.

use std::sync::{Arc, Mutex, PoisonError};

use keyferry::{
    AccessError, DecisionReason, DeterminedPolicy, Milliseconds, PendingReason, PreferencePolicy, PreferenceResolution,
    PreferenceSource, PreferenceValue, PreferenceWrite, RunBudget, TransportError, UndeterminedPolicy,
};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, VersionAction};
use serde_json::json;
use tokio::task::JoinSet;

use super::{account_data, meddling, open, open_over, pending, policy, without_network};
use crate::support::{STABLE, Setup, UNSTABLE, WHOLE, assert_all_once, both, forms, homeserver, status};

#[tokio::test]
async fn a_sign_in_follows_the_value_of_other_clients() {
    use PreferenceSource::{Malformed, Nothing, Stable, Unstable};
    use PreferenceValue::{Disabled, Enabled, Undetermined};
    for (stable, unstable, value, source, forms_disagree) in [
        (json!({ "enabled": false }), None, Disabled, Stable, false),
        (
            json!({ "enabled": true }),
            Some(json!({ "disabled": true })),
            Enabled,
            Stable,
            true,
        ),
        (
            json!({ "enabled": "true" }),
            Some(json!({ "disabled": true })),
            Disabled,
            Unstable,
            false,
        ),
        (json!({}), Some(json!({ "disabled": false })), Enabled, Unstable, false),
        (
            json!({ "enabled": 1 }),
            Some(json!({ "disabled": null })),
            Undetermined,
            Malformed,
            false,
        ),
        (json!({}), Some(json!({})), Undetermined, Nothing, false),
    ] {
        let homeserver = homeserver(10, 1);
        homeserver.set_account_data(STABLE, stable);
        if let Some(unstable) = unstable {
            homeserver.set_account_data(UNSTABLE, unstable);
        }
        let before = forms(&homeserver);
        let setup = Setup::new(&homeserver);
        let client = open(&setup, PreferencePolicy::default()).await;
        let decision = client.preference().decide_at_sign_in().await.expect("a decision");
        assert_eq!((decision.backups, decision.preference.value), (value, value));
        assert_eq!(decision.preference.source, source);
        assert_eq!(decision.preference.forms_disagree, forms_disagree);
        assert_eq!(decision.ask_user, value == Undetermined);
        assert!(decision.backup_exists);
        assert_eq!(decision.write, None);
        assert_eq!(forms(&homeserver), before, "nothing is written");
        assert!(setup.host.notices.lock().expect("not poisoned").is_empty());
    }
}

#[tokio::test]
async fn the_policy_chooses_if_no_value_is_set() {
    for (undetermined, backups, ask_user, written) in [
        (
            UndeterminedPolicy::ChooseOn,
            PreferenceValue::Enabled,
            false,
            Some(true),
        ),
        (
            UndeterminedPolicy::ChooseOff,
            PreferenceValue::Disabled,
            false,
            Some(false),
        ),
        (UndeterminedPolicy::AskUser, PreferenceValue::Undetermined, true, None),
        (UndeterminedPolicy::LeaveOff, PreferenceValue::Disabled, false, None),
    ] {
        let homeserver = homeserver(1, 1);
        homeserver.set_version_state(VersionAction::Delete);
        let setup = Setup::new(&homeserver);
        let client = open(&setup, policy(undetermined)).await;
        let decision = client.preference().decide_at_sign_in().await.expect("a decision");
        assert_eq!((decision.backups, decision.ask_user), (backups, ask_user));
        assert!(!decision.backup_exists);
        assert_eq!(decision.write, written.map(|_| PreferenceWrite::Written));
        assert_eq!(forms(&homeserver), written.map_or((None, None), both));
        assert_eq!(client.preference().pending().await, Ok(None));
        // The choice is the account's value from now on, and our own write is not reported.
        let events = homeserver
            .account_data(STABLE)
            .map(|content| account_data(STABLE, content));
        client
            .preference()
            .account_data_arrived(events.into_iter().collect())
            .await
            .expect("it is noted");
        assert!(setup.host.notices.lock().expect("not poisoned").is_empty());
    }
}

#[tokio::test]
async fn a_client_that_chooses_at_the_same_moment_is_followed() {
    let homeserver = Arc::new(homeserver(1, 1));
    let setup = Setup::new(&homeserver);
    let reads = Mutex::new(0);
    let server = homeserver.clone();
    // Between our first and our second read, another device switches backups off.
    let transport = meddling(move |request| {
        if request.url.ends_with(STABLE) {
            let mut reads = reads.lock().unwrap_or_else(PoisonError::into_inner);
            *reads += 1;
            if *reads == 2 {
                server.set_account_data(STABLE, json!({ "enabled": false }));
            }
        }
        Ok(())
    });
    let client = open_over(&setup, policy(UndeterminedPolicy::ChooseOn), transport).await;
    let decision = client.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!(decision.backups, PreferenceValue::Disabled);
    assert_eq!(decision.reason, DecisionReason::FollowsValue);
    assert_eq!(forms(&homeserver), (Some(json!({ "enabled": false })), None));
}

#[tokio::test]
async fn a_failed_request_leads_to_no_decision_and_no_write() {
    let not_signed_in = || AccessError::NotSignedIn { soft_logout: false };
    let unreachable = || AccessError::Unreachable { retry_after: None };
    // The client retries each case for some seconds.
    let mut cases = JoinSet::new();
    for endpoint in [EndpointKind::GetAccountData, EndpointKind::CurrentVersion] {
        for (fault, error) in [
            (status(502, json!("<html>")), AccessError::ServerFault),
            (FaultKind::Silence, unreachable()),
            (FaultKind::CutBody { after_bytes: 1 }, unreachable()),
            (
                status(429, json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 60_000 })),
                AccessError::Unreachable {
                    retry_after: Some(Milliseconds(60_000)),
                },
            ),
            (FaultKind::NotJson, unreachable()),
            (
                FaultKind::Redirect {
                    location: "https://portal.example".to_owned(),
                },
                unreachable(),
            ),
            (status(401, json!({ "errcode": "M_UNKNOWN_TOKEN" })), not_signed_in()),
            (
                status(403, json!({ "errcode": "M_FORBIDDEN" })),
                AccessError::RefusedByServer,
            ),
            (status(404, json!("<html>")), AccessError::RefusedByServer),
            (
                status(404, json!({ "errcode": "M_UNRECOGNIZED" })),
                AccessError::RefusedByServer,
            ),
        ] {
            cases.spawn(async move {
                let homeserver = homeserver(1, 1);
                let setup = Setup::new(&homeserver);
                let client = open(&setup, policy(UndeterminedPolicy::ChooseOn)).await;
                homeserver.set_faults(vec![Fault::from(fault.clone()).on(endpoint)]);
                let result = client.preference().decide_at_sign_in().await;
                assert_eq!(result, Err(error), "{fault:?} at {endpoint:?}");
                assert_eq!(forms(&homeserver), (None, None));
                assert_eq!(client.preference().pending().await, Ok(None));
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn a_sign_in_with_an_unwritten_wish_keeps_the_wish() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open_over(&setup, PreferencePolicy::default(), without_network()).await;
    client.preference().set_enabled(false).await.expect("it is kept");
    client.shutdown();
    let client = open(&setup, policy(UndeterminedPolicy::ChooseOn)).await;
    let decision = client.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!(decision.backups, PreferenceValue::Disabled);
    assert_eq!(decision.reason, DecisionReason::ChosenHere);
    assert_eq!(decision.write, Some(PreferenceWrite::Written));
    assert_eq!(forms(&homeserver), both(false));
}

#[tokio::test]
async fn an_app_that_takes_no_part_makes_no_request() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::OptOut).await;
    let preference = client.preference();
    let opted_out = AccessError::NotConfigured;
    assert_eq!(preference.decide_at_sign_in().await, Err(opted_out.clone()));
    assert_eq!(preference.set_enabled(true).await, Err(opted_out.clone()));
    assert_eq!(preference.flush(RunBudget::default()).await, Err(opted_out.clone()));
    assert_eq!(preference.refresh().await, Err(opted_out.clone()));
    let events = vec![account_data(STABLE, json!({ "enabled": true }))];
    assert_eq!(preference.account_data_arrived(events).await, Err(opted_out));
    assert_eq!(homeserver.requests().total(), 0);
    assert_eq!(preference.pending().await, Ok(None));
    assert!(setup.host.token_requests.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn a_disabled_preference_does_not_stop_a_restore() {
    let homeserver = homeserver(50, 2);
    homeserver.set_account_data(STABLE, json!({ "enabled": false }));
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let decision = client.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!(decision.backups, PreferenceValue::Disabled);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, WHOLE);
    assert_all_once(&setup.delivered(), &homeserver);
}

#[tokio::test]
async fn a_form_that_cannot_be_read_does_not_count_as_missing() {
    for unreadable in [STABLE, UNSTABLE] {
        let homeserver = homeserver(1, 1);
        let setup = Setup::new(&homeserver);
        let transport = meddling(move |request| {
            if request.url.ends_with(unreadable) {
                return Err(TransportError::Tls);
            }
            Ok(())
        });
        let client = open_over(&setup, policy(UndeterminedPolicy::ChooseOn), transport).await;
        let result = client.preference().decide_at_sign_in().await;
        assert_eq!(result, Err(AccessError::Tls), "{unreadable}");
        assert_eq!(forms(&homeserver), (None, None));
        assert_eq!(*setup.host.preference_wake_up.lock().expect("not poisoned"), None);
    }
}

#[tokio::test]
async fn a_value_can_be_a_default_for_the_user_to_confirm() {
    let homeserver = homeserver(1, 1);
    homeserver.set_account_data(STABLE, json!({ "enabled": false }));
    let setup = Setup::new(&homeserver);
    let confirming = PreferencePolicy::TakePart {
        determined: DeterminedPolicy::Confirm,
        undetermined: UndeterminedPolicy::ChooseOn,
        write_unstable: true,
    };
    let client = open(&setup, confirming).await;
    let decision = client.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!(
        (decision.backups, decision.reason, decision.ask_user),
        (PreferenceValue::Disabled, DecisionReason::ValueToConfirm, true)
    );
    assert_eq!(decision.write, None);
}

#[tokio::test]
async fn a_sign_in_asks_about_a_wish_that_another_device_contradicts() {
    for (resolution, backups, reason, ask_user) in [
        (None, PreferenceValue::Disabled, DecisionReason::ChoicesDiffer, true),
        (
            Some(PreferenceResolution::TakeTheirs),
            PreferenceValue::Disabled,
            DecisionReason::FollowsValue,
            false,
        ),
        (
            Some(PreferenceResolution::KeepOurs),
            PreferenceValue::Enabled,
            DecisionReason::ChosenHere,
            false,
        ),
    ] {
        let homeserver = homeserver(1, 1);
        let setup = Setup::new(&homeserver);
        *setup.host.resolution.lock().expect("not poisoned") = resolution;
        let offline = open_over(&setup, PreferencePolicy::default(), without_network()).await;
        offline.preference().set_enabled(true).await.expect("it is kept");
        offline.shutdown();
        homeserver.set_account_data(STABLE, json!({ "enabled": false }));
        let client = open(&setup, PreferencePolicy::default()).await;
        let decision = client.preference().decide_at_sign_in().await.expect("a decision");
        assert_eq!(
            (decision.backups, decision.reason, decision.ask_user),
            (backups, reason, ask_user),
            "{resolution:?}"
        );
        if resolution.is_none() {
            let write = decision.write.expect("a write was tried");
            assert!(matches!(pending(&write), PendingReason::ChangedMeanwhile { .. }));
        }
        let asked = setup.host.conflicts.lock().expect("not poisoned").len();
        assert_eq!(asked, 1);
    }
}

#[tokio::test]
async fn an_unwritten_choice_of_the_policy_gives_way_to_another_device() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open(&setup, policy(UndeterminedPolicy::ChooseOn)).await;
    homeserver.set_faults(vec![
        Fault::from(status(403, json!({ "errcode": "M_FORBIDDEN" }))).on(EndpointKind::PutAccountData),
    ]);
    let decision = client.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!(decision.backups, PreferenceValue::Enabled);
    assert_eq!(decision.write.as_ref().map(pending), Some(&PendingReason::Refused));
    homeserver.set_faults(Vec::new());
    homeserver.set_account_data(STABLE, json!({ "enabled": false }));
    let decision = client.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!(
        (decision.backups, decision.reason),
        (PreferenceValue::Disabled, DecisionReason::FollowsValue)
    );
    assert_eq!(forms(&homeserver), (Some(json!({ "enabled": false })), None));
    let flushed = client
        .preference()
        .flush(RunBudget::default())
        .await
        .expect("an answer");
    assert!(
        matches!(flushed, Some(PreferenceWrite::TheirsTaken { .. })),
        "{flushed:?}"
    );
    assert_eq!(client.preference().pending().await, Ok(None));
    assert!(setup.host.conflicts.lock().expect("not poisoned").is_empty());
}
