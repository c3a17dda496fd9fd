//! Restores one account, as an app would do it.

use std::{io::IsTerminal, sync::Arc, time::Instant};

use keyferry::{
    Account, ClientOptions, KeyBackupClient, LogLevel, Milliseconds, Remedy, ReqwestTransport, RunBudget, UnlockError,
    UnlockSecret, VaultProtection, VersionStatus, init_logging,
};

use crate::{arguments::Options, exit, host::ExampleHost, report, sink};

pub(crate) async fn run(options: Options) -> u8 {
    match restore(&options).await {
        Ok(code) => code,
        Err(Failure { code, outcome, message }) => {
            eprintln!("{message}");
            if options.json {
                println!(
                    "{}",
                    report::json(outcome, &Default::default(), Default::default(), None)
                );
            }
            code
        }
    }
}

struct Failure {
    code: u8,
    outcome: &'static str,
    message: String,
}

fn failure(code: u8, outcome: &'static str, message: impl ToString) -> Failure {
    Failure {
        code,
        outcome,
        message: message.to_string(),
    }
}

async fn restore(options: &Options) -> Result<u8, Failure> {
    init_logging(if options.verbose {
        LogLevel::Debug
    } else {
        LogLevel::Error
    });
    let began = Instant::now();
    let sink = sink::open(options)
        .await
        .map_err(|message| failure(exit::BAD_ARGUMENTS, "bad_arguments", message))?;
    let transport = ReqwestTransport::new().map_err(|error| failure(exit::FAILED, "failed", error))?;
    let host = Arc::new(ExampleHost::new(options.access_token.clone()));
    let client_options = ClientOptions::new(
        Account {
            homeserver_url: options.homeserver.clone(),
            user_id: options.user_id.clone(),
            device_id: options.device_id.clone(),
        },
        options.data_dir.clone(),
        match &options.vault_passphrase {
            Some(passphrase) => VaultProtection::Passphrase {
                passphrase: passphrase.as_str().into(),
            },
            None => VaultProtection::NoProtection,
        },
    );
    let client = KeyBackupClient::open(client_options, Arc::new(transport), host.clone(), sink.clone())
        .await
        .map_err(|error| failure(exit::BAD_ARGUMENTS, "bad_arguments", error))?;
    let locked_out = match unlock(&client, options).await {
        Ok(()) => None,
        // The user can type the key again.
        Err(failure) if failure.code == exit::WRONG_RECOVERY_KEY => return Err(failure),
        // Goes on: entries that are fetched without the key are useful, and so are those already in the vault.
        Err(failure) => {
            eprintln!("Not unlocked: {}.", failure.message);
            Some(failure)
        }
    };

    let download = client.download();
    let budget = RunBudget {
        max_duration: options.max_seconds.map(|seconds| Milliseconds(seconds * 1_000)),
    };
    let interrupted = {
        let download = download.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                download.end_run();
            }
        })
    };
    let result = download.run(budget).await;
    interrupted.abort();
    host.finish();
    let elapsed = began.elapsed();
    let mut code = report::exit_code(&result.outcome);
    if options.json {
        let name = report::outcome_name(&result.outcome);
        println!("{}", report::json(name, &result.summary, elapsed, host.fetched_after()));
    } else {
        println!("{}", report::text(&result, elapsed, sink.is_some()));
    }
    // Exports what is in the vault, however the run ended.
    if let Some((path, passphrase)) = &options.export {
        match client
            .export_room_keys(passphrase.as_str().into(), path.display().to_string())
            .await
        {
            Ok(summary) => eprintln!("{}", report::exported(&summary, &result)),
            Err(error) => {
                eprintln!("The export failed: {error}.");
                code = exit::FAILED;
            }
        }
    }
    client.shutdown();
    Ok(match locked_out {
        Some(failure) if code != exit::FAILED => failure.code,
        _ => code,
    })
}

async fn unlock(client: &KeyBackupClient, options: &Options) -> Result<(), Failure> {
    let status = client
        .download()
        .status()
        .await
        .map_err(|error| failure(exit::FAILED, "failed", error))?;
    let is_locked = |version: &VersionStatus| !version.unlocked && !version.given_up;
    if !status.versions.is_empty() && !status.versions.iter().any(is_locked) {
        return Ok(());
    }
    let secret = if let Some(text) = &options.recovery_passphrase {
        UnlockSecret::Passphrase {
            text: text.as_str().into(),
        }
    } else if let Some(text) = &options.recovery_key {
        UnlockSecret::RecoveryKey {
            text: text.as_str().into(),
        }
    } else if std::io::stdin().is_terminal() {
        let text = rpassword::prompt_password("Recovery key: ")
            .map_err(|error| failure(exit::BAD_ARGUMENTS, "bad_arguments", error))?;
        UnlockSecret::RecoveryKey { text: text.into() }
    } else {
        // Fetching needs no key: it can begin before the user has found it.
        return Ok(());
    };
    client.unlock(secret).await.map(drop).map_err(|error| match error {
        UnlockError::NotAKey | UnlockError::Mistyped | UnlockError::WrongKey | UnlockError::NoPassphrase => {
            failure(exit::WRONG_RECOVERY_KEY, "wrong_recovery_key", error)
        }
        error => match error.remedy() {
            Remedy::CreateBackup => failure(exit::NO_BACKUP, "no_backup", error),
            Remedy::SignIn => failure(exit::NOT_SIGNED_IN, "not_signed_in", error),
            Remedy::Retry => failure(exit::NOT_FINISHED, "blocked", error),
            _ => failure(exit::FAILED, "failed", error),
        },
    })
}
