//! matrix-sdk's `Client`, filled through `keyferry_matrix_sdk::ClientSink`.

use std::process::Command;

use crate::common::synapse;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Synapse: run scripts/test.sh synapse"]
async fn a_client_that_never_had_a_key_reads_a_rooms_history_after_a_run() {
    let synapse = synapse().await;
    synapse.register("alice", "FIRST").await;
    let program = std::env::var("KEYFERRY_SECOND_DEVICE").expect("KEYFERRY_SECOND_DEVICE, see scripts/test.sh");
    let output = Command::new(program)
        .args(["history", synapse.url(), "alice", "alice"])
        .output()
        .expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    let failed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "before: 0 of 20\ndelivered: 20\nafter: 20 of 20\n", "{failed}");
}
