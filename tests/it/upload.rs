//! Keys of the app's crypto that are not in the backup yet: what a logout would lose, and the way to save them first.

use std::sync::Arc;

use keyferry::{
    AccessError, ClientOptions, KeyBackupClient, Milliseconds, OlmMachineSource, PauseCause, PendingUpload,
    RoomKeyLookup, RunBudget, UploadHindrance, UploadOutcome,
};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver, VersionAction};
use matrix_sdk_crypto::{OlmMachine, olm::SenderData, store::types::BackupDecryptionKey};

use crate::support::{
    Setup, run_to_completion,
    sessions::{Original, machines, save},
    start,
};

/// An app whose crypto uploads to the account's backup.
struct App {
    homeserver: Homeserver,
    setup: Setup,
    machine: OlmMachine,
    client: Arc<KeyBackupClient>,
}

impl App {
    async fn new() -> Self {
        let homeserver = start(Config {
            keys: 20,
            rooms: 2,
            ..Config::default()
        });
        let setup = Setup::new(&homeserver);
        let [machine, _] = machines(&setup.directory.path().join("crypto")).await;
        let options = ClientOptions {
            room_key_source: Some(Arc::new(OlmMachineSource::new(machine.clone()))),
            ..setup.options()
        };
        let client = setup.open_with(options).await.expect("the client opens");
        client.unlock(setup.recovery_key()).await.expect("the key fits");
        run_to_completion(&client).await;
        Self {
            homeserver,
            setup,
            machine,
            client,
        }
    }

    /// Makes the machine upload to version 1.
    async fn switch_on(&self) {
        let key = BackupDecryptionKey::from_base64(&self.setup.account.backup_decryption_key_base64).expect("a key");
        let (backups, public_key) = (self.machine.backup_machine(), key.megolm_v1_public_key());
        let saved = backups.save_decryption_key(Some(key), Some("1".to_owned()));
        saved.await.expect("the key is saved");
        public_key.set_version("1".to_owned());
        backups.enable_backup_v1(public_key).await.expect("backups are on");
    }

    /// Gives the machine this many new sessions, and returns them.
    async fn receive(&self, sessions: usize) -> Vec<Original> {
        let mut received = Vec::new();
        for _ in 0..sessions {
            let original = Original::new();
            save(&self.machine, original.whole(SenderData::unknown(), true)).await;
            received.push(original);
        }
        received
    }

    async fn flush(&self) -> (UploadOutcome, u64) {
        let report = self.client.upload().flush(RunBudget::default()).await;
        (report.outcome, report.uploaded)
    }
}

#[tokio::test]
async fn what_a_logout_would_lose_is_counted_and_saved() {
    let app = App::new().await;
    app.switch_on().await;
    let received = app.receive(250).await;
    let upload = app.client.upload();
    let pending = upload.pending_upload().await.expect("an answer");
    assert_eq!(
        pending,
        PendingUpload {
            keys: 250,
            is_backed_up: true
        }
    );
    let status = upload.upload_status().await.expect("an answer");
    assert_eq!((status.known, status.uploaded, status.waiting), (250, 0, 250));
    assert_eq!((status.version.as_deref(), status.on_server), (Some("1"), Some(20)));
    assert_eq!(status.hindrance, None);

    assert_eq!(app.flush().await, (UploadOutcome::Completed, 250));
    assert_eq!(
        app.homeserver.requests().of(EndpointKind::PutKeys),
        3,
        "a hundred keys each"
    );
    assert_eq!(upload.pending_upload().await.expect("an answer").keys, 0);
    assert_eq!(upload.upload_status().await.expect("an answer").on_server, Some(270));
    assert_eq!(app.flush().await, (UploadOutcome::Completed, 0));

    // Another device gets them.
    let device = Setup::new(&app.homeserver);
    let client = device.open_unlocked().await;
    run_to_completion(&client).await;
    for original in received {
        let found = client
            .find_room_key("!r:localhost".to_owned(), original.group.session_id())
            .await;
        let Ok(RoomKeyLookup::Found { key, .. }) = found else {
            panic!("{found:?}")
        };
        assert!(key.shared_history);
    }
}

#[tokio::test]
async fn what_keeps_keys_from_being_uploaded_is_named() {
    let app = App::new().await;
    app.receive(3).await;
    let upload = app.client.upload();
    let hindered = |by| (UploadOutcome::Hindered { by }, 0);
    assert!(!upload.pending_upload().await.expect("an answer").is_backed_up);
    assert_eq!(app.flush().await, hindered(UploadHindrance::NotInUse));
    app.switch_on().await;
    app.homeserver.set_version_state(VersionAction::New);
    assert_eq!(app.flush().await, hindered(UploadHindrance::OtherBackup));
    let status = upload.upload_status().await.expect("an answer");
    assert_eq!(status.hindrance, Some(UploadHindrance::OtherBackup));
    for _ in 0..2 {
        app.homeserver.set_version_state(VersionAction::Delete);
    }
    assert_eq!(app.flush().await, hindered(UploadHindrance::NoBackup));

    app.client
        .download()
        .pause(PauseCause::User)
        .await
        .expect("it is stored");
    let causes = vec![PauseCause::User];
    assert_eq!(app.flush().await, (UploadOutcome::Paused { causes: causes.clone() }, 0));
    let status = upload.upload_status().await.expect("an answer");
    assert_eq!(status.hindrance, Some(UploadHindrance::Paused { causes }));

    let device = Setup::new(&app.homeserver);
    let client = device.open().await;
    assert_eq!(client.upload().pending_upload().await, Err(AccessError::NotConfigured));
    client.shutdown();
    app.client.shutdown();
    assert_eq!(upload.pending_upload().await, Err(AccessError::ShutDown));
}

#[tokio::test]
async fn an_upload_that_failed_goes_on_and_asks_for_its_wake_up() {
    let app = App::new().await;
    app.switch_on().await;
    app.receive(150).await;
    let fault = FaultKind::Status {
        code: 503,
        body: "".into(),
        headers: [("Retry-After".to_owned(), "3600".to_owned())].into(),
    };
    let fault = Fault::from(fault).on(EndpointKind::PutKeys).skip(1).times(1);
    app.homeserver.set_faults(vec![fault]);
    let report = app.client.upload().flush(RunBudget::default()).await;
    assert!(matches!(report.outcome, UploadOutcome::Blocked { .. }), "{report:?}");
    assert_eq!(report.uploaded, 100);
    let wake_up = report.wake_up.expect("it was asked for");
    assert!(
        wake_up.not_before >= Milliseconds(1_800_000) && wake_up.needs_network,
        "{wake_up:?}"
    );
    let asked = || *app.setup.host.upload_wake_up.lock().expect("not poisoned");
    assert_eq!(asked(), Some(wake_up));
    let download = app.client.download();
    // The network that has come back changes nothing about a server that asked to wait; the user's word does.
    download.resume(PauseCause::Offline).await.expect("nothing is stored");
    assert_eq!(asked(), Some(wake_up));
    download.stop().await.expect("it is stored");
    assert_eq!(asked(), None);
    download.start().await.expect("it is stored");
    assert_eq!(asked().expect("it is asked for").not_before, Milliseconds(0));
    assert_eq!(app.flush().await, (UploadOutcome::Completed, 50));
    assert_eq!(asked(), None);
    download.start().await.expect("it is stored");
    assert_eq!(asked(), None, "nothing is left");
}

#[tokio::test]
async fn the_end_of_a_pause_asks_for_an_upload_that_was_held() {
    let app = App::new().await;
    app.switch_on().await;
    app.receive(10).await;
    let asked = || *app.setup.host.upload_wake_up.lock().expect("not poisoned");
    let download = app.client.download();
    download.pause(PauseCause::User).await.expect("it is stored");
    download.resume(PauseCause::User).await.expect("it is stored");
    assert_eq!(asked(), None, "the app has not asked for an upload");
    download.pause(PauseCause::User).await.expect("it is stored");
    let causes = vec![PauseCause::User];
    assert_eq!(app.flush().await, (UploadOutcome::Paused { causes }, 0));
    assert_eq!(asked(), None);
    download.resume(PauseCause::User).await.expect("it is stored");
    let wake_up = asked().expect("it is asked for");
    assert!(
        wake_up.not_before == Milliseconds(0) && wake_up.expected_bytes > 0,
        "{wake_up:?}"
    );
    download.stop().await.expect("it is stored");
    assert_eq!(asked(), None, "a stop cancels the wake-up");
    download.start().await.expect("it is stored");
    assert!(asked().is_some(), "what was left is asked for again");
    assert_eq!(app.flush().await, (UploadOutcome::Completed, 10));
    assert_eq!(asked(), None);
}

#[tokio::test]
async fn a_copy_that_begins_later_than_the_backups_is_not_uploaded() {
    // Synapse would replace the backup's copy: this one was forwarded less often.
    let app = App::new().await;
    app.switch_on().await;
    let original = app.receive(1).await.remove(0);
    assert_eq!(app.flush().await, (UploadOutcome::Completed, 1));
    run_to_completion(&app.client).await;
    // The machine gets the session again, directly and late.
    let late = original
        .local(crate::support::sessions::Origin::DirectOfUnknown, 7, true)
        .await;
    save(&app.machine, late).await;
    assert_eq!(app.client.upload().pending_upload().await.expect("an answer").keys, 1);
    let uploads = app.homeserver.requests().of(EndpointKind::PutKeys);
    assert_eq!(app.flush().await, (UploadOutcome::Completed, 1));
    assert_eq!(
        app.homeserver.requests().of(EndpointKind::PutKeys),
        uploads,
        "nothing was sent"
    );
    // A better one is.
    let other = Original::new();
    save(
        &app.machine,
        other
            .local(crate::support::sessions::Origin::DirectOfUnknown, 7, true)
            .await,
    )
    .await;
    assert_eq!(app.flush().await, (UploadOutcome::Completed, 1));
    run_to_completion(&app.client).await;
    save(&app.machine, other.whole(SenderData::unknown(), true)).await;
    assert_eq!(app.flush().await, (UploadOutcome::Completed, 1));
    assert_eq!(app.homeserver.requests().of(EndpointKind::PutKeys), uploads + 2);
}
