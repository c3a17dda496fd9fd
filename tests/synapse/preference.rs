//! The backup preference across the devices of one user, and in the forms that other clients write.

use std::{path::Path, sync::Arc};

use keyferry::{
    DecisionReason, DeterminedPolicy, HttpExchange, HttpRequest, HttpTransport, KeyBackupClient, PendingReason,
    PreferencePolicy, PreferenceSource, PreferenceValue, PreferenceWrite, RunBudget, TransportError,
    UndeterminedPolicy,
};
use keyferry_test_synapse::{Device, Synapse};
use serde_json::{Value, json};

use crate::common::{host, options, synapse, transport};

const STABLE: &str = "m.key_backup";
const UNSTABLE: &str = "m.org.matrix.custom.backup_disabled";

/// A transport without a network.
struct Offline;

impl HttpTransport for Offline {
    fn start(&self, _request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        Err(TransportError::Offline)
    }

    fn close_idle(&self) -> Result<(), TransportError> {
        Ok(())
    }
}

async fn open(
    synapse: &Synapse,
    device: &Device,
    directory: &Path,
    transport: Arc<dyn HttpTransport>,
) -> Arc<KeyBackupClient> {
    let mut options = options(synapse, device, directory.join(&device.id));
    options.preference = Some(PreferencePolicy::TakePart {
        determined: DeterminedPolicy::Follow,
        undetermined: UndeterminedPolicy::ChooseOn,
        write_unstable: true,
    });
    KeyBackupClient::open(options, transport, host(device), None)
        .await
        .expect("the client opens")
}

fn path(device: &Device, event_type: &str) -> String {
    format!("user/{}/account_data/{event_type}", device.user_id)
}

async fn forms(device: &Device) -> (Value, Value) {
    (
        device.get(&path(device, STABLE)).await,
        device.get(&path(device, UNSTABLE)).await,
    )
}

#[tokio::test]
#[ignore = "needs Synapse: run scripts/test.sh synapse"]
async fn devices_of_one_user_agree() {
    use PreferenceSource::{Malformed, Nothing, Stable, Unstable};
    use PreferenceValue::{Disabled, Enabled, Undetermined};
    let directory = tempfile::tempdir().expect("a directory");
    let synapse = synapse().await;
    let first = synapse.register("carol", "FIRST").await;

    // No preference is set, so the policy chooses. Both forms are written, so that any client can read them.
    let client = open(&synapse, &first, directory.path(), transport()).await;
    let decision = client.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!((decision.backups, decision.backup_exists), (Enabled, false));
    assert_eq!(decision.write, Some(PreferenceWrite::Written));
    assert_eq!(
        forms(&first).await,
        (json!({ "enabled": true }), json!({ "disabled": false }))
    );

    // One device turns backups off; another one signs in and finds them off.
    let write = client.preference().set_enabled(false).await;
    assert_eq!(write, Ok(PreferenceWrite::Written));
    assert_eq!(
        forms(&first).await,
        (json!({ "enabled": false }), json!({ "disabled": true }))
    );
    let second = synapse.login("carol", "SECOND").await;
    let other = open(&synapse, &second, directory.path(), transport()).await;
    let decision = other.preference().decide_at_sign_in().await.expect("a decision");
    assert_eq!(
        (decision.backups, decision.reason),
        (Disabled, DecisionReason::FollowsValue)
    );
    assert_eq!(decision.write, None);

    // Values that other clients write, and their deletion.
    for (stable, unstable, value, source, forms_disagree) in [
        (
            json!({ "enabled": true }),
            json!({ "disabled": true }),
            Enabled,
            Stable,
            true,
        ),
        (
            json!({ "enabled": "yes" }),
            json!({ "disabled": true }),
            Disabled,
            Unstable,
            false,
        ),
        (json!({}), json!({ "disabled": false }), Enabled, Unstable, false),
        (
            json!({ "enabled": null }),
            json!({ "disabled": 0 }),
            Undetermined,
            Malformed,
            false,
        ),
        (json!({}), json!({}), Undetermined, Nothing, false),
    ] {
        second.put(&path(&second, STABLE), stable).await;
        second.put(&path(&second, UNSTABLE), unstable).await;
        let seen = other.preference().refresh().await.expect("an answer");
        assert_eq!(
            (seen.value, seen.source, seen.forms_disagree),
            (value, source, forms_disagree)
        );
    }

    // A wish made without a network survives the process that made it.
    client.shutdown();
    let offline = open(&synapse, &first, directory.path(), Arc::new(Offline)).await;
    let write = offline.preference().set_enabled(false).await.expect("it is kept");
    assert!(
        matches!(
            write,
            PreferenceWrite::Pending {
                reason: PendingReason::Unreachable,
                ..
            }
        ),
        "{write:?}"
    );
    offline.shutdown();
    let client = open(&synapse, &first, directory.path(), transport()).await;
    let pending = client.preference().pending().await.expect("it is there");
    assert_eq!(pending.map(|wish| wish.enabled), Some(false));
    let flushed = client.preference().flush(RunBudget::default()).await;
    assert_eq!(flushed, Ok(Some(PreferenceWrite::Written)));
    assert_eq!(
        forms(&first).await,
        (json!({ "enabled": false }), json!({ "disabled": true }))
    );
    client.shutdown();
    other.shutdown();
}
