//! The host is told what other devices change, and nothing else.

use std::sync::Arc;

use keyferry::{AccountDataEvent, PreferenceForm, PreferencePolicy, PreferenceValue, PreferenceWrite, RunBudget};
use keyferry_test_homeserver::{EndpointKind, Fault};
use serde_json::json;

use super::{LosesAnAnswer, account_data, open, pending};
use crate::support::{STABLE, Setup, UNSTABLE, both, forms, homeserver, status, transport::HookedTransport};

#[tokio::test]
async fn each_flip_of_the_value_is_reported_once_and_not_overwritten() {
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
        .expect("it is ignored");
    assert_eq!(setup.host.notices.lock().expect("not poisoned").len(), 6);
}

#[tokio::test]
async fn late_echoes_of_our_own_writes_are_not_reported() {
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
    // The same value again. Now it is the value on the server, so another device has set it.
    homeserver.set_account_data(STABLE, json!({ "enabled": true }));
    preference
        .account_data_arrived(vec![account_data(STABLE, json!({ "enabled": true }))])
        .await
        .expect("it is noted");
    assert_eq!(setup.host.notices.lock().expect("not poisoned").len(), 1);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_still_counts_as_ours() {
    let homeserver = homeserver(1, 1);
    homeserver.set_account_data(STABLE, json!({ "enabled": true }));
    let setup = Setup::new(&homeserver);
    let mut options = setup.options();
    options.preference = Some(PreferencePolicy::default());
    let client = setup
        .open_over(options, Arc::new(HookedTransport::new(LosesAnAnswer::default())))
        .await
        .expect("the client opens");
    let preference = client.preference();
    preference.decide_at_sign_in().await.expect("a decision");
    let write = preference.set_enabled(false).await;
    assert_eq!(
        write,
        Ok(PreferenceWrite::Written),
        "the server is read again, and only the rest is written"
    );
    assert_eq!(forms(&homeserver), both(false));
    assert_eq!(*setup.host.notices.lock().expect("not poisoned"), []);
    assert!(setup.host.conflicts.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn a_failed_write_does_not_hide_a_change_by_another_device() {
    let homeserver = homeserver(1, 1);
    homeserver.set_account_data(STABLE, json!({ "enabled": true }));
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    let preference = client.preference();
    preference.decide_at_sign_in().await.expect("a decision");
    homeserver.set_faults(vec![
        Fault::from(status(503, json!({}))).on(EndpointKind::PutAccountData),
    ]);
    let write = preference.set_enabled(false).await.expect("it is kept");
    pending(&write);
    homeserver.set_faults(Vec::new());
    assert_eq!(preference.set_enabled(true).await, Ok(PreferenceWrite::Written));
    homeserver.set_account_data(STABLE, json!({ "enabled": false }));
    preference
        .account_data_arrived(vec![account_data(STABLE, json!({ "enabled": false }))])
        .await
        .expect("it is noted");
    let notices = setup.host.notices.lock().expect("not poisoned").clone();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].now.value, PreferenceValue::Disabled);
}

#[tokio::test]
async fn a_first_value_from_a_sync_is_reported_but_one_requested_is_not() {
    let homeserver = homeserver(1, 1);
    homeserver.set_account_data(STABLE, json!({ "enabled": true }));
    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    assert_eq!(
        client.preference().set_enabled(false).await,
        Ok(PreferenceWrite::Written)
    );
    assert_eq!(*setup.host.notices.lock().expect("not poisoned"), []);

    let setup = Setup::new(&homeserver);
    let client = open(&setup, PreferencePolicy::default()).await;
    let preference = client.preference();
    preference
        .account_data_arrived(vec![
            account_data(UNSTABLE, json!({ "disabled": true })),
            account_data(STABLE, json!({ "enabled": false })),
        ])
        .await
        .expect("it is noted");
    let notices = setup.host.notices.lock().expect("not poisoned").clone();
    assert_eq!(notices.len(), 1);
    assert_eq!(
        (notices[0].before, notices[0].now.value),
        (None, PreferenceValue::Disabled)
    );
    assert_eq!(preference.flush(RunBudget::default()).await, Ok(None));
}
