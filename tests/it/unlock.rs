//! Unlocking: every right secret works, and each way to be wrong has its own error.

use keyferry::{AccessError, RunBudget, UnlockError, UnlockSecret};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver, VersionAction};
use serde_json::json;

use crate::support::{
    Setup, WHOLE, backup_entry::version_info, homeserver, needs_unlock, run_to_completion, start, status,
    unlock_version,
};

fn recovery_key(text: &str) -> UnlockSecret {
    UnlockSecret::RecoveryKey { text: text.into() }
}

fn passphrase(text: &str) -> UnlockSecret {
    UnlockSecret::Passphrase { text: text.into() }
}

async fn attempt(homeserver: &Homeserver, secret: UnlockSecret) -> Result<(), UnlockError> {
    let setup = Setup::new(homeserver);
    let client = setup.open().await;
    client.unlock(secret).await?;
    assert_eq!(client.download().run(RunBudget::default()).await.outcome, WHOLE);
    Ok(())
}

#[tokio::test]
async fn every_kind_of_secret_unlocks() {
    let homeserver = homeserver(50, 2);
    let account = homeserver.account();
    let decryption_key = account.backup_decryption_key_base64.as_str();
    for secret in [
        recovery_key(&account.recovery_key),
        recovery_key(&account.recovery_key.replace(' ', "")),
        recovery_key(&account.recovery_key.replace(' ', "\u{a0}\n ")),
        recovery_key(&account.backup_recovery_key),
        passphrase(&account.secret_storage_passphrase),
        UnlockSecret::DecryptionKey {
            base64: decryption_key.into(),
        },
        UnlockSecret::DecryptionKey {
            base64: format!("{decryption_key}=").into(),
        },
    ] {
        assert_eq!(attempt(&homeserver, secret.clone()).await, Ok(()), "{secret:?}");
    }
}

#[tokio::test]
async fn a_legacy_passphrase_unlocks() {
    let homeserver = start(Config {
        keys: 50,
        rooms: 2,
        legacy_passphrase: Some("correct horse".to_owned()),
        ..Config::default()
    });
    assert_eq!(attempt(&homeserver, passphrase("correct horse")).await, Ok(()));
    assert_eq!(
        attempt(&homeserver, passphrase("wrong horse")).await,
        Err(UnlockError::WrongKey)
    );
}

#[tokio::test]
async fn each_wrong_secret_has_its_own_error() {
    let homeserver = homeserver(50, 2);
    let account = homeserver.account().clone();
    let mut typo = account.recovery_key.replace(' ', "").into_bytes();
    typo[9] = if typo[9] == b'x' { b'y' } else { b'x' };
    let typo = String::from_utf8(typo).expect("ASCII");
    let other = start(Config {
        seed: 99,
        keys: 1,
        rooms: 1,
        ..Config::default()
    });
    for (secret, error) in [
        (recovery_key(""), UnlockError::NotAKey),
        (recovery_key("not a key: 0OIl"), UnlockError::NotAKey),
        (recovery_key(&typo), UnlockError::Mistyped),
        (recovery_key(&other.account().recovery_key), UnlockError::WrongKey),
        (
            recovery_key(&other.account().backup_recovery_key),
            UnlockError::WrongKey,
        ),
        (passphrase("something else"), UnlockError::WrongKey),
        (
            UnlockSecret::DecryptionKey { base64: "AAAA".into() },
            UnlockError::NotAKey,
        ),
        (
            UnlockSecret::DecryptionKey {
                base64: other.account().backup_decryption_key_base64.as_str().into(),
            },
            UnlockError::WrongKey,
        ),
    ] {
        assert_eq!(attempt(&homeserver, secret.clone()).await, Err(error), "{secret:?}");
    }

    // No key of secret storage has a passphrase any more.
    homeserver.set_account_data(
        &format!("m.secret_storage.key.{}", account.passphrase_key_id),
        json!({}),
    );
    assert_eq!(
        attempt(&homeserver, passphrase("any")).await,
        Err(UnlockError::NoPassphrase)
    );
    assert_eq!(attempt(&homeserver, recovery_key(&account.recovery_key)).await, Ok(()));
    // An empty object is how clients delete account data.
    homeserver.set_account_data("m.megolm_backup.v1", json!({}));
    assert_eq!(
        attempt(&homeserver, recovery_key(&account.recovery_key)).await,
        Err(UnlockError::WrongKey)
    );
    assert_eq!(
        attempt(&homeserver, recovery_key(&account.backup_recovery_key)).await,
        Ok(())
    );
}

#[tokio::test]
async fn rounds_out_of_range_from_a_server_are_not_run() {
    let homeserver = homeserver(10, 1);
    let account = homeserver.account().clone();
    let name = format!("m.secret_storage.key.{}", account.passphrase_key_id);
    let mut description = homeserver.account_data(&name).expect("a description");
    for iterations in [json!(0), json!(-1), json!(4_000_000_000_u64), json!("many")] {
        description["passphrase"]["iterations"] = iterations.clone();
        homeserver.set_account_data(&name, description.clone());
        let result = attempt(&homeserver, passphrase(&account.secret_storage_passphrase)).await;
        assert_eq!(result, Err(UnlockError::Unsupported), "{iterations}");
    }
}

#[tokio::test]
async fn rounds_out_of_range_from_a_legacy_backup_are_not_run() {
    let homeserver = homeserver(10, 1);
    for (iterations, bits) in [
        (json!(0), 256),
        (json!(-1), 256),
        (json!(4_000_000_000_u64), 256),
        (json!(1e300), 256),
        (json!(1), 8),
    ] {
        let auth_data = json!({
            "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE",
            "private_key_salt": "salt", "private_key_iterations": iterations, "private_key_bits": bits,
        });
        homeserver.set_faults(vec![
            Fault::from(status(200, version_info("1", "10", 10, auth_data))).on(EndpointKind::CurrentVersion),
            Fault::from(status(404, json!({ "errcode": "M_NOT_FOUND" }))).on(EndpointKind::GetAccountData),
        ]);
        let result = attempt(&homeserver, passphrase("anything")).await;
        assert_eq!(result, Err(UnlockError::Unsupported), "{iterations}, {bits} bits");
    }
}

#[tokio::test]
async fn a_fault_of_the_server_is_not_reported_as_a_wrong_secret() {
    let homeserver = homeserver(10, 1);
    let secret = || recovery_key(&homeserver.account().recovery_key);
    for (fault, error) in [
        (
            FaultKind::NotJson,
            AccessError::Unreachable { retry_after: None }.into(),
        ),
        (status(502, json!("<html>")), AccessError::ServerFault.into()),
        (
            status(401, json!({ "errcode": "M_UNKNOWN_TOKEN", "soft_logout": true })),
            AccessError::NotSignedIn { soft_logout: true }.into(),
        ),
        (status(404, json!("<html>")), AccessError::RefusedByServer.into()),
    ] {
        homeserver.set_faults(vec![Fault::from(fault.clone())]);
        assert_eq!(attempt(&homeserver, secret()).await, Err(error), "{fault:?}");
        // A fault in the middle of the unlock is no wrong key either.
        homeserver.set_faults(vec![Fault::from(fault.clone()).on(EndpointKind::GetAccountData)]);
        let result = attempt(&homeserver, secret()).await;
        assert!(
            !matches!(result, Ok(()) | Err(UnlockError::WrongKey)),
            "{fault:?}: {result:?}"
        );
    }
    homeserver.set_faults(Vec::new());
    homeserver.set_version_state(VersionAction::Delete);
    assert_eq!(attempt(&homeserver, secret()).await, Err(AccessError::NoBackup.into()));
}

#[tokio::test]
async fn a_wrong_key_never_replaces_a_good_one() {
    let homeserver = homeserver(100, 2);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    let other = start(Config {
        seed: 99,
        keys: 1,
        rooms: 1,
        ..Config::default()
    });
    let wrong = recovery_key(&other.account().recovery_key);
    assert_eq!(client.unlock(wrong).await, Err(UnlockError::WrongKey));
    assert_eq!(
        setup.open().await.download().run(RunBudget::default()).await.outcome,
        WHOLE
    );
}

#[tokio::test]
async fn progress_shows_the_keys_that_wait_for_another_decryption_key() {
    let homeserver = homeserver(300, 3);
    let setup = Setup::new(&homeserver);
    let client = setup.open_unlocked().await;
    run_to_completion(&client).await;
    let last_locked = || {
        setup
            .host
            .progress
            .lock()
            .expect("not poisoned")
            .last()
            .map(|progress| progress.locked)
    };
    assert_eq!(last_locked(), Some(0));

    homeserver.set_version_state(VersionAction::NewWithOtherKey);
    let report = client.download().run(RunBudget::default()).await;
    assert_eq!((report.outcome, report.summary.locked), (needs_unlock(&["2"]), 300));
    assert_eq!(last_locked(), Some(300));

    unlock_version(&client, &homeserver, "2").await;
    run_to_completion(&client).await;
    assert_eq!(last_locked(), Some(0));
}
