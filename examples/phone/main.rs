//! A miniature phone, and you are its operating system. Commands on standard input run, pause, resume, stop and end
//! the download, and move the backup to a new key; each answer is a line of JSON.
//!
//! ```text
//! phone ACCOUNT.json DATA_DIR [--deliveries FILE] [--sink-delay-ms N] [--name NAME] [--max-vault-bytes N]
//!     [--crypto DIR] [--by-session]
//! ```
//! The account file has what `keyferry-test-homeserver` prints. Exits with 0 if the last run completed, with 1 on a
//! failure, and otherwise with 3.

#![allow(clippy::print_stderr, reason = "a program for people")]

#[path = "../reset/crypto.rs"]
mod crypto;
mod sink;
#[path = "../../tests/support/token_host.rs"]
mod token_host;

use std::{
    error::Error,
    io::Write,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use crypto::with_crypto;
use keyferry::{
    Account, ClientOptions, DownloadPolicy, KeyBackupClient, Milliseconds, PauseCause, ReqwestTransport, ResetCause,
    ResetOutcome, RoomKeySink, RunBudget, RunOutcome, SecretBytes, UnlockSecret, VaultProtection,
};
use lexopt::{Arg, ValueExt};
use serde_json::{Value, json};
use token_host::TokenHost;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    task::JoinHandle,
};

const HELP: &str = "\
Commands:
  run [MS]                 start a run, for at most MS milliseconds if given; other commands work meanwhile
  wait                     wait until the run has ended
  pause CAUSE              user, in_background, low_power, thermal, metered, offline, not_charging, storage_locked
  resume CAUSE             end that cause
  stop, start, end         give the download up, take it up again, end the current run
  status, quiescent, refresh
  move                     begin to move the backup to a new key; needs --crypto, a directory for the app's crypto store
  reset [MS]               start a run of that move
  prioritise ROOM
  fetch ROOM [SESSION]
At the end of its input, the program waits for the run.";

fn main() -> ExitCode {
    // Few threads, as on a phone. The deep futures of a run need some stack in a debug build.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(live())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one answer.
pub(crate) fn tell(answer: &Value) {
    // Writing fails only if the reader is gone, and then the answer does not matter.
    let _ = writeln!(std::io::stdout().lock(), "{answer}");
}

#[derive(Default)]
struct Arguments {
    positional: Vec<String>,
    deliveries: Option<PathBuf>,
    sink_delay: Duration,
    name: Option<String>,
    max_vault_bytes: Option<u64>,
    crypto: Option<PathBuf>,
    by_session: bool,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Value(value) => arguments.positional.push(value.string()?),
            Arg::Long("deliveries") => arguments.deliveries = Some(parser.value()?.into()),
            Arg::Long("sink-delay-ms") => arguments.sink_delay = Duration::from_millis(parser.value()?.parse()?),
            Arg::Long("name") => arguments.name = Some(parser.value()?.string()?),
            Arg::Long("crypto") => arguments.crypto = Some(parser.value()?.into()),
            Arg::Long("by-session") => arguments.by_session = true,
            Arg::Long("max-vault-bytes") => arguments.max_vault_bytes = Some(parser.value()?.parse()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(arguments)
}

async fn live() -> Result<bool, Box<dyn Error>> {
    let arguments = arguments()?;
    let [account, data_dir] = arguments.positional.as_slice() else {
        return Err(format!("usage: phone ACCOUNT.json DATA_DIR [options]\n{HELP}").into());
    };
    let account: Value = serde_json::from_str(&std::fs::read_to_string(account)?)?;
    let client = open(&account, data_dir.clone(), &arguments).await?;
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    if !client.download().status().await?.unlocked {
        let text = text("recovery_key").into();
        client.unlock(UnlockSecret::RecoveryKey { text }).await?;
    }
    tell(&json!({ "ready": true }));
    let mut run: Option<JoinHandle<bool>> = None;
    let mut completed = false;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [job @ ("run" | "reset"), limit @ ..] => {
                let max_duration = limit.first().map(|limit| limit.parse().map(Milliseconds)).transpose()?;
                let (client, is_reset) = (client.clone(), *job == "reset");
                run = Some(tokio::spawn(async move {
                    let budget = RunBudget { max_duration };
                    if is_reset {
                        reset(&client, budget).await
                    } else {
                        download(&client, budget).await
                    }
                }));
            }
            ["wait"] => completed = ended(run.take()).await?.unwrap_or(completed),
            _ => tell(&answer(&client, &words).await),
        }
    }
    completed = ended(run.take()).await?.unwrap_or(completed);
    client.shutdown();
    Ok(completed)
}

async fn ended(run: Option<JoinHandle<bool>>) -> Result<Option<bool>, Box<dyn Error>> {
    let Some(run) = run else { return Ok(None) };
    Ok(Some(run.await?))
}

/// Runs the download once. Returns whether it completed.
async fn download(client: &KeyBackupClient, budget: RunBudget) -> bool {
    let report = client.download().run(budget).await;
    tell(&json!({
        "outcome": format!("{:?}", report.outcome),
        "fetched": report.summary.fetched,
        "opened": report.summary.opened,
        "delivered": report.summary.delivered,
        "bytes": report.bytes_downloaded,
        "decrypted": report.decrypted,
    }));
    matches!(report.outcome, RunOutcome::Completed { .. })
}

/// Runs the reset once. Returns whether it completed.
async fn reset(client: &KeyBackupClient, budget: RunBudget) -> bool {
    let report = client.reset().run(budget).await;
    tell(&json!({ "reset": format!("{report:?}") }));
    report.outcome == ResetOutcome::Completed
}

async fn open(
    account: &Value,
    data_dir: String,
    arguments: &Arguments,
) -> Result<Arc<KeyBackupClient>, Box<dyn Error>> {
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    let account = Account {
        homeserver_url: text("homeserver_url"),
        user_id: text("user_id"),
        device_id: text("device_id"),
    };
    // An app keeps a random key in the system's keyring instead.
    let protection = VaultProtection::Key {
        key: SecretBytes::from(vec![7; 32]),
    };
    let options = ClientOptions {
        download: Some(DownloadPolicy {
            max_vault_bytes: arguments.max_vault_bytes,
            ..DownloadPolicy::default()
        }),
        process_name: arguments.name.clone(),
        ..ClientOptions::new(account, data_dir, protection)
    };
    let transport = Arc::new(ReqwestTransport::new()?);
    let host = Arc::new(TokenHost::new(text("access_token")).on_wake_up(|wake_up| {
        tell(&json!({ "wake_up": wake_up.map(|wake_up| format!("{wake_up:?}")) }));
    }));
    let options = match &arguments.crypto {
        Some(store) => {
            let recovery_key = text("recovery_key");
            with_crypto(options, store, &recovery_key, None, transport.clone(), host.clone()).await?
        }
        None => options,
    };
    let sink = match &arguments.deliveries {
        Some(path) => {
            let sink = sink::FileSink::new(path, arguments.sink_delay, arguments.by_session)?;
            Some(Arc::new(sink) as Arc<dyn RoomKeySink>)
        }
        None => None,
    };
    Ok(KeyBackupClient::open(options, transport, host, sink).await?)
}

async fn answer(client: &KeyBackupClient, words: &[&str]) -> Value {
    let download = client.download();
    let began = Instant::now();
    let result = match words {
        ["pause", word] => match cause(word) {
            Some(cause) => download.pause(cause).await.map_err(|error| error.to_string()),
            None => Err("no such cause".to_owned()),
        },
        ["resume", word] => match cause(word) {
            Some(cause) => download.resume(cause).await.map_err(|error| error.to_string()),
            None => Err("no such cause".to_owned()),
        },
        ["stop"] => download.stop().await.map_err(|error| error.to_string()),
        ["start"] => download.start().await.map_err(|error| error.to_string()),
        ["end"] => {
            download.end_run();
            Ok(())
        }
        ["quiescent"] => {
            download.await_quiescent().await;
            Ok(())
        }
        ["prioritise", room] => {
            let rooms = vec![(*room).to_owned()];
            download
                .prioritise_rooms(rooms)
                .await
                .map_err(|error| error.to_string())
        }
        ["move"] => {
            let reset = client.reset();
            let begun = reset.move_backup(ResetCause::BackupDamaged, Vec::new()).await;
            begun.map_err(|error| error.to_string())
        }
        ["status"] => return said(download.status().await),
        ["refresh"] => return said(client.refresh().await),
        ["fetch", room] => return said(client.fetch_room((*room).to_owned()).await),
        ["fetch", room, session] => {
            return said(
                client
                    .fetch_session((*room).to_owned(), (*session).to_owned(), None)
                    .await,
            );
        }
        _ => Err(HELP.to_owned()),
    };
    let ms = began.elapsed().as_secs_f64() * 1_000.0;
    match result {
        Ok(()) => json!({ "done": words.join(" "), "ms": ms }),
        Err(error) => json!({ "failed": words.join(" "), "error": error }),
    }
}

fn said<T: std::fmt::Debug, E: std::fmt::Display>(answer: Result<T, E>) -> Value {
    match answer {
        Ok(answer) => json!({ "answer": format!("{answer:?}") }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn cause(word: &str) -> Option<PauseCause> {
    Some(match word {
        "user" => PauseCause::User,
        "in_background" => PauseCause::InBackground,
        "low_power" => PauseCause::LowPower,
        "thermal" => PauseCause::Thermal,
        "metered" => PauseCause::MeteredNetwork,
        "offline" => PauseCause::Offline,
        "not_charging" => PauseCause::NotCharging,
        "storage_locked" => PauseCause::StorageLocked,
        _ => return None,
    })
}
