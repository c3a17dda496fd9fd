//! The backup preference: what is decided at sign-in, what is written when, and what is told.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use keyferry::{
    AccountDataEvent, DecisionReason, DeterminedPolicy, HttpExchange, HttpRequest, HttpTransport, KeyBackupClient,
    PendingReason, PreferenceError, PreferenceForm, PreferencePolicy, PreferenceResolution, PreferenceSource,
    PreferenceValue, PreferenceWrite, ReqwestTransport, RunBudget, RunOutcome, TransportError, UndeterminedPolicy,
};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, Homeserver, VersionAction};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::common::{Setup, assert_all_once, homeserver};

const STABLE: &str = "m.key_backup";
const UNSTABLE: &str = "m.org.matrix.custom.backup_disabled";

fn policy(undetermined: UndeterminedPolicy) -> PreferencePolicy {
    PreferencePolicy::TakePart {
        determined: DeterminedPolicy::Follow,
        undetermined,
        write_unstable: true,
    }
}

async fn open(setup: &Setup, policy: PreferencePolicy) -> Arc<KeyBackupClient> {
    let mut options = setup.options();
    options.preference = Some(policy);
    setup.open_with(options).await.expect("the client opens")
}

/// The same, with something done to requests.
async fn open_over(setup: &Setup, policy: PreferencePolicy, transport: Meddling) -> Arc<KeyBackupClient> {
    let mut options = setup.options();
    options.preference = Some(policy);
    setup
        .open_over(options, Arc::new(transport))
        .await
        .expect("the client opens")
}

fn forms(homeserver: &Homeserver) -> (Option<Value>, Option<Value>) {
    (homeserver.account_data(STABLE), homeserver.account_data(UNSTABLE))
}

fn both(enabled: bool) -> (Option<Value>, Option<Value>) {
    (
        Some(json!({ "enabled": enabled })),
        Some(json!({ "disabled": !enabled })),
    )
}

fn status(code: u16, body: Value) -> FaultKind {
    FaultKind::Status {
        code,
        body,
        headers: Default::default(),
    }
}

fn pending(write: &PreferenceWrite) -> &PendingReason {
    match write {
        PreferenceWrite::Pending { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn account_data(event_type: &str, content: Value) -> AccountDataEvent {
    AccountDataEvent {
        event_type: event_type.to_owned(),
        content_json: content.to_string(),
    }
}

type BeforeRequest = dyn Fn(&HttpRequest) -> Result<(), TransportError> + Send + Sync;

/// A transport that looks at every request before it is made, and may refuse it.
struct Meddling {
    inner: ReqwestTransport,
    before: Box<BeforeRequest>,
}

impl Meddling {
    fn new(before: impl Fn(&HttpRequest) -> Result<(), TransportError> + Send + Sync + 'static) -> Self {
        Self {
            inner: ReqwestTransport::new().expect("a transport"),
            before: Box::new(before),
        }
    }

    /// No network at all.
    fn offline() -> Self {
        Self::new(|_| Err(TransportError::Offline))
    }
}

impl HttpTransport for Meddling {
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        (self.before)(&request)?;
        self.inner.start(request)
    }
}

#[tokio::test]
async fn a_sign_in_follows_what_other_clients_wrote() {
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
async fn the_policy_chooses_where_nobody_has_said() {
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
        // The choice is the account's value from now on, and our own write is no news.
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
    // Between our first and our second look another device says no.
    let transport = Meddling::new(move |request| {
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
async fn what_is_no_answer_gives_no_decision_and_no_write() {
    let not_signed_in = || PreferenceError::NotSignedIn { soft_logout: false };
    let unreachable = || PreferenceError::Unreachable { retry_after_ms: None };
    // Each is tried again for some seconds.
    let mut cases = JoinSet::new();
    for endpoint in [EndpointKind::GetAccountData, EndpointKind::CurrentVersion] {
        for (fault, error) in [
            (status(502, json!("<html>")), unreachable()),
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
                PreferenceError::Refused,
            ),
            (status(404, json!("<html>")), PreferenceError::Refused),
            (
                status(404, json!({ "errcode": "M_UNRECOGNIZED" })),
                PreferenceError::Refused,
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
async fn a_changed_setting_is_written_in_both_forms() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    for enabled in [false, true, true] {
        let write = client.preference().set_enabled(enabled).await;
        assert_eq!(write, Ok(PreferenceWrite::Written));
        assert_eq!(forms(&homeserver), both(enabled));
        assert_eq!(client.preference().pending().await, Ok(None));
        assert_eq!(*setup.host.wake_up.lock().expect("not poisoned"), None);
    }
    // The third time there was nothing to do.
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

    let client = open_over(&setup, PreferencePolicy::default(), Meddling::offline()).await;
    let write = client.preference().set_enabled(true).await.expect("it is kept");
    assert_eq!(pending(&write), &PendingReason::Unreachable);
    let write = client.preference().set_enabled(false).await.expect("it is kept");
    assert_eq!(pending(&write), &PendingReason::Unreachable);
    let wake_up = *setup.host.wake_up.lock().expect("not poisoned");
    assert!(wake_up.is_some_and(|wake_up| wake_up.needs_network && wake_up.not_before_ms >= 30_000));
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
    // The wish counts on this device, before it is written.
    assert!(homeserver.account_data(UNSTABLE).is_none());
    let flushed = client.preference().flush(RunBudget::default()).await;
    assert_eq!(flushed, Ok(Some(PreferenceWrite::Written)));
    assert_eq!(forms(&homeserver), both(false));
    assert_eq!(*setup.host.wake_up.lock().expect("not poisoned"), None);
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
async fn a_sign_in_with_a_wish_that_is_not_written_keeps_to_the_wish() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open_over(&setup, PreferencePolicy::default(), Meddling::offline()).await;
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
async fn what_the_server_answers_a_write_says_why_it_is_pending() {
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
            let wake_up = *setup.host.wake_up.lock().expect("not poisoned");
            let wait = wake_up.expect("a wake-up").not_before_ms;
            match fault {
                FaultKind::Status { code: 429, .. } => assert_eq!(wait, 120_000),
                FaultKind::Status { code: 403, .. } => assert_eq!(wait, 86_400_000),
                _ => assert_eq!(wait, 30_000),
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
async fn killed_between_the_two_writes_the_other_one_follows() {
    let homeserver = homeserver(1, 1);
    homeserver.set_account_data(UNSTABLE, json!({ "disabled": false }));
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    // The second request that writes is never answered; the process ends while it waits.
    homeserver.set_faults(vec![
        Fault::from(FaultKind::Silence).on(EndpointKind::PutAccountData).skip(1),
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
        setup.host.wake_up.lock().expect("not poisoned").is_some(),
        "it was asked for before"
    );
    let flushed = client.preference().flush(RunBudget::default()).await;
    assert_eq!(flushed, Ok(Some(PreferenceWrite::Written)));
    assert_eq!(forms(&homeserver), both(false));
    assert!(setup.host.conflicts.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn a_budget_ends_an_attempt_and_the_wish_stays() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let offline = open_over(&setup, PreferencePolicy::default(), Meddling::offline()).await;
    offline.preference().set_enabled(true).await.expect("it is kept");
    offline.shutdown();
    homeserver.set_faults(vec![Fault::from(FaultKind::Silence).on(EndpointKind::PutAccountData)]);
    let client = open(&setup, PreferencePolicy::default()).await;
    let budget = RunBudget {
        max_duration_ms: Some(200),
    };
    let write = client
        .preference()
        .flush(budget)
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
        let offline = open_over(&setup, PreferencePolicy::default(), Meddling::offline()).await;
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
            "it is a change, too"
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
                    *setup.host.wake_up.lock().expect("not poisoned"),
                    None,
                    "nothing to wait for"
                );
                assert_eq!(forms(&homeserver), (Some(json!({ "enabled": false })), None));
                let kept = preference.pending().await.expect("it is there").expect("a wish");
                assert!(kept.changed_meanwhile.is_some());
                // What the user then says settles it.
                assert_eq!(preference.set_enabled(true).await, Ok(PreferenceWrite::Written));
                assert_eq!(forms(&homeserver), both(true));
            }
        }
    }
}

#[tokio::test]
async fn of_two_wishes_at_once_the_last_one_wins() {
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
async fn a_server_that_flips_the_value_is_told_of_once_each_and_not_fought() {
    let homeserver = homeserver(1, 1);
    homeserver.set_account_data(STABLE, json!({ "enabled": true }));
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    let preference = client.preference();
    preference.decide_at_sign_in().await.expect("a decision");
    for flip in 0..6 {
        let enabled = flip % 2 == 1;
        homeserver.set_account_data(STABLE, json!({ "enabled": enabled }));
        if flip < 4 {
            let events = vec![
                account_data("m.direct", json!({})),
                account_data(STABLE, json!({ "enabled": enabled })),
            ];
            for _ in 0..2 {
                preference
                    .account_data_arrived(events.clone())
                    .await
                    .expect("it is noted");
            }
        } else {
            for _ in 0..2 {
                preference.refresh().await.expect("an answer");
            }
        }
        let notices = setup.host.notices.lock().expect("not poisoned").clone();
        assert_eq!(notices.len(), flip + 1);
        let notice = notices[flip];
        let value = if enabled {
            PreferenceValue::Enabled
        } else {
            PreferenceValue::Disabled
        };
        assert_eq!((notice.now.value, notice.changed), (value, PreferenceForm::Stable));
        assert_ne!(notice.before.map(|before| before.value), Some(value));
    }
    assert!(homeserver.requests().of(EndpointKind::PutAccountData) == 0);
    preference
        .account_data_arrived(vec![AccountDataEvent {
            event_type: STABLE.to_owned(),
            content_json: "{".to_owned(),
        }])
        .await
        .expect("it is passed over");
    assert_eq!(setup.host.notices.lock().expect("not poisoned").len(), 6);
}

#[tokio::test]
async fn late_echoes_of_our_own_writes_are_no_news() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    let preference = client.preference();
    preference.set_enabled(true).await.expect("it is written");
    preference.set_enabled(false).await.expect("it is written");
    for enabled in [true, false] {
        let events = vec![
            account_data(STABLE, json!({ "enabled": enabled })),
            account_data(UNSTABLE, json!({ "disabled": !enabled })),
        ];
        preference.account_data_arrived(events).await.expect("it is noted");
    }
    assert!(setup.host.notices.lock().expect("not poisoned").is_empty());
    preference
        .account_data_arrived(vec![account_data(STABLE, json!({ "enabled": true }))])
        .await
        .expect("it is noted");
    assert_eq!(setup.host.notices.lock().expect("not poisoned").len(), 1);
}

#[tokio::test]
async fn an_app_that_takes_no_part_makes_no_request() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::OptOut).await;
    let preference = client.preference();
    let opted_out = PreferenceError::OptedOut;
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
async fn off_does_not_stop_a_restore() {
    let homeserver = homeserver(50, 2);
    homeserver.set_account_data(STABLE, json!({ "enabled": false }));
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    let decision = client.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!(decision.backups, PreferenceValue::Disabled);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!(report.outcome, RunOutcome::Completed);
    let sink = setup.sink.as_ref().expect("a sink");
    assert_all_once(&sink.keys.lock().expect("not poisoned"), &homeserver);
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
    assert_eq!(
        client.preference().set_enabled(true).await,
        Err(PreferenceError::ShutDown)
    );
    assert_eq!(client.preference().pending().await, Err(PreferenceError::ShutDown));
}
