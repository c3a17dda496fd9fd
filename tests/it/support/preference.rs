//! The two events that hold the preference.

use keyferry_test_homeserver::Homeserver;
use serde_json::{Value, json};

pub(crate) const STABLE: &str = "m.key_backup";
pub(crate) const UNSTABLE: &str = "m.org.matrix.custom.backup_disabled";

/// Returns the contents of both events on the server.
pub(crate) fn forms(homeserver: &Homeserver) -> (Option<Value>, Option<Value>) {
    (homeserver.account_data(STABLE), homeserver.account_data(UNSTABLE))
}

/// Returns the contents of both events after a client has written them.
pub(crate) fn both(enabled: bool) -> (Option<Value>, Option<Value>) {
    (
        Some(json!({ "enabled": enabled })),
        Some(json!({ "disabled": !enabled })),
    )
}
