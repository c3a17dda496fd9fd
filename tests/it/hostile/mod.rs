//! A homeserver that is broken or malicious: every answer is bounded, spoils nothing but itself, and has a named
//! outcome.

mod answers;
mod entries;
mod versions;

use keyferry_test_homeserver::{Fault, Homeserver};

use crate::support::status;

/// Returns a fault that answers with this body.
fn answer(body: String) -> Fault {
    status(200, body).into()
}

/// Fetches the entry of a true key from the server.
async fn true_entry(homeserver: &Homeserver, index: u64) -> String {
    let key = homeserver.truth().key(index);
    let url = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let account = homeserver.account();
    let url = format!(
        "{}/_matrix/client/v3/room_keys/keys/{}/{}?version={}",
        homeserver.url(),
        url(&key.room_id),
        url(&key.session_id),
        account.backup_version
    );
    let answer = reqwest::Client::new()
        .get(url)
        .bearer_auth(&account.access_token)
        .send();
    answer.await.expect("an answer").text().await.expect("a body")
}
