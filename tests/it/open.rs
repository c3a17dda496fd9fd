//! Opening a client: each mistake has its own error, and leaves nothing behind.

use std::sync::Arc;

use keyferry::{ClientOptions, OpenError, PauseCause, RunBudget, SecretBytes, VaultProtection};

use crate::support::{MemoryKeyring, Setup, WHOLE, homeserver};

#[tokio::test]
async fn an_invalid_account_is_refused_before_a_vault_is_created() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let good = setup.options();
    let with = |change: fn(&mut ClientOptions)| {
        let mut options = good.clone();
        change(&mut options);
        options
    };
    for (options, error) in [
        (
            with(|options| options.account.homeserver_url = "example.org".to_owned()),
            OpenError::InvalidHomeserverUrl,
        ),
        (
            with(|options| options.account.homeserver_url = "ftp://example.org".to_owned()),
            OpenError::InvalidHomeserverUrl,
        ),
        (
            with(|options| options.account.user_id = "alice".to_owned()),
            OpenError::InvalidAccount,
        ),
        (
            with(|options| options.account.device_id = String::new()),
            OpenError::InvalidAccount,
        ),
        (
            with(|options| options.data_dir = String::new()),
            OpenError::UnusableDataDir,
        ),
        (
            with(|options| options.data_dir = "/dev/null/vault".to_owned()),
            OpenError::UnusableDataDir,
        ),
        (
            with(|options| {
                options.protection = VaultProtection::Key {
                    key: SecretBytes::from(vec![1; 31]),
                }
            }),
            OpenError::WrongVaultKey,
        ),
        (
            with(|options| options.protection = VaultProtection::Passphrase { passphrase: "".into() }),
            OpenError::WrongVaultKey,
        ),
    ] {
        assert_eq!(setup.open_with(options).await.err(), Some(error));
    }
    assert!(!setup.vault_directory().exists());
}

#[tokio::test]
async fn a_vault_opens_only_for_its_account_with_its_key() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let good = setup.options();
    setup.open_with(good.clone()).await.expect("the client opens");
    let key = |byte| VaultProtection::Key {
        key: SecretBytes::from(vec![byte; 32]),
    };
    let passphrase = VaultProtection::Passphrase {
        passphrase: "right".into(),
    };
    let attempt = async |change: &dyn Fn(&mut ClientOptions)| {
        let mut options = good.clone();
        change(&mut options);
        setup.open_with(options).await.err()
    };
    assert_eq!(
        attempt(&|options| options.protection = key(8)).await,
        Some(OpenError::WrongVaultKey)
    );
    assert_eq!(
        attempt(&|options| options.protection = passphrase.clone()).await,
        Some(OpenError::OtherProtection)
    );
    assert_eq!(
        attempt(&|options| options.protection = VaultProtection::NoProtection).await,
        Some(OpenError::OtherProtection)
    );
    assert_eq!(
        attempt(&|options| options.account.user_id = "@bob:localhost".to_owned()).await,
        Some(OpenError::OtherAccount)
    );
    assert_eq!(attempt(&|_| ()).await, None);

    let file = setup.vault_file();
    let vault = rusqlite::Connection::open(&file).expect("the vault is a database");
    vault.pragma_update(None, "user_version", 999).expect("a newer version");
    drop(vault);
    assert_eq!(attempt(&|_| ()).await, Some(OpenError::VaultTooNew));
    std::fs::write(
        &file,
        b"not a database, and long enough to be looked at as one, so they say; even longer than 100 bytes",
    )
    .expect("the file can be written");
    assert_eq!(attempt(&|_| ()).await, Some(OpenError::VaultDamaged));
}

#[tokio::test]
async fn a_wrong_passphrase_is_reported() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::new(&homeserver);
    let with = |text: &str| ClientOptions {
        protection: VaultProtection::Passphrase {
            passphrase: text.into(),
        },
        ..setup.options()
    };
    setup.open_with(with("right")).await.expect("the client opens");
    assert_eq!(
        setup.open_with(with("wrong")).await.err(),
        Some(OpenError::WrongVaultKey)
    );
    setup.open_with(with("right")).await.expect("the client opens again");
}

#[tokio::test]
async fn a_keyring_keeps_the_key_and_its_loss_is_reported() {
    let homeserver = homeserver(100, 1);
    let setup = Setup::new(&homeserver);
    let keyring = Arc::new(MemoryKeyring::default());
    let options = || ClientOptions {
        protection: VaultProtection::Keyring {
            keyring: keyring.clone(),
        },
        ..setup.options()
    };
    let client = setup.open_with(options()).await.expect("the client opens");
    client
        .unlock(setup.recovery_key())
        .await
        .expect("the recovery key fits");
    let client = setup.open_with(options()).await.expect("the client opens again");
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);

    *keyring.broken.lock().expect("not poisoned") = true;
    let unavailable = |key_lost| Some(OpenError::KeyringUnavailable { key_lost });
    assert_eq!(setup.open_with(options()).await.err(), unavailable(false));
    *keyring.broken.lock().expect("not poisoned") = false;
    keyring.items.lock().expect("not poisoned").clear();
    assert_eq!(setup.open_with(options()).await.err(), unavailable(true));
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_their_owner_only_and_hold_no_secret() {
    use std::os::unix::fs::PermissionsExt;

    let homeserver = homeserver(500, 5);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let directory = setup.vault_directory();
    assert_eq!(
        std::fs::metadata(&directory).expect("a directory").permissions().mode() & 0o777,
        0o700
    );
    let key = homeserver.truth().key(3);
    for file in std::fs::read_dir(&directory).expect("a directory") {
        let path = file.expect("a file").path();
        assert_eq!(
            std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777,
            0o600
        );
        let bytes = std::fs::read(&path).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        for secret in [
            &key.session_key,
            &key.room_id,
            &setup.account.backup_decryption_key_base64,
            &setup.account.access_token,
            &setup.account.user_id,
        ] {
            assert!(!text.contains(secret.as_str()), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn calls_after_shutdown_report_it_and_callbacks_are_released() {
    let homeserver = homeserver(10, 1);
    let setup = Setup::with_sink(&homeserver);
    let client = setup.open_unlocked().await;
    client.download().run(RunBudget::default()).await;
    let (host, sink) = (
        Arc::downgrade(&setup.host),
        Arc::downgrade(setup.sink.as_ref().expect("a sink")),
    );
    client.shutdown();
    client.shutdown();
    assert_eq!(
        client.download().status().await.err(),
        Some(keyferry::AccessError::ShutDown)
    );
    assert_eq!(
        client.find_room_key("!a".to_owned(), "s".to_owned()).await.err(),
        Some(keyferry::AccessError::ShutDown)
    );
    let download = client.download();
    for answer in [
        download.pause(PauseCause::User).await,
        download.resume(PauseCause::User).await,
        download.stop().await,
        download.start().await,
        download.prioritise_rooms(vec!["!a".to_owned()]).await,
        download.crypto_store_was_replaced().await,
    ] {
        assert_eq!(answer, Err(keyferry::AccessError::ShutDown));
    }
    assert_eq!(client.refresh().await, Err(keyferry::AccessError::ShutDown));
    drop(setup);
    assert_eq!((host.strong_count(), sink.strong_count()), (0, 0));
}
