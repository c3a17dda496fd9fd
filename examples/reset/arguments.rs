//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, ValueExt};
use serde_json::Value;

pub(crate) const HELP: &str = "\
Moves a Matrix key backup to a new key, and deletes the old one when the new one is proved.

  reset                     a demonstration with 5,000 keys; needs nothing else
  reset --homeserver URL --user-id ID --device-id ID --data-dir DIR [options]
  reset ACCOUNT.json DATA_DIR [options]

Options:
  --access-token TOKEN      or KEYFERRY_ACCESS_TOKEN
  --recovery-key KEY        or KEYFERRY_RECOVERY_KEY: the key of secret storage, which stays the same unless it is renewed
  --new-storage             renews secret storage, as if somebody else knew the recovery key; prints the new key first
  --new-recovery-key KEY    or KEYFERRY_NEW_RECOVERY_KEY: that new key, when the command is repeated
  --die-after KEYS          kills the process when so many keys were uploaded
  --keep-old                does not delete the old version
  --yes                     does not ask before it begins

The same command continues where the last one ended. The file ACCOUNT.json has what `keyferry-test-homeserver` prints.
Your other clients back up again as soon as they have read the new key from secret storage.

Exit codes: 0 done, 1 failed, 2 bad arguments, 3 not done yet (run it again).";

pub(crate) enum Command {
    Help,
    Demo,
    Work(Box<Options>),
}

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) homeserver: String,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) access_token: String,
    pub(crate) recovery_key: String,
    pub(crate) renews_storage: bool,
    pub(crate) new_recovery_key: String,
    pub(crate) die_after: Option<u64>,
    pub(crate) keeps_old: bool,
    pub(crate) is_confirmed: bool,
}

/// Reads the command line; the error is a sentence for the user.
pub(crate) fn parse() -> Result<Command, String> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let mut options = Options {
        access_token: variable("KEYFERRY_ACCESS_TOKEN"),
        recovery_key: variable("KEYFERRY_RECOVERY_KEY"),
        new_recovery_key: variable("KEYFERRY_NEW_RECOVERY_KEY"),
        ..Options::default()
    };
    let mut positional = Vec::new();
    let mut is_demo = true;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        is_demo = false;
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            Arg::Long("homeserver") => options.homeserver = text(&mut parser)?,
            Arg::Long("user-id") => options.user_id = text(&mut parser)?,
            Arg::Long("device-id") => options.device_id = text(&mut parser)?,
            Arg::Long("data-dir") => options.data_dir = text(&mut parser)?.into(),
            Arg::Long("access-token") => options.access_token = text(&mut parser)?,
            Arg::Long("recovery-key") => options.recovery_key = text(&mut parser)?,
            Arg::Long("new-storage") => options.renews_storage = true,
            Arg::Long("new-recovery-key") => options.new_recovery_key = text(&mut parser)?,
            Arg::Long("die-after") => {
                let keys = text(&mut parser)?.parse();
                options.die_after = Some(keys.map_err(|_| "--die-after needs a number.")?);
            }
            Arg::Long("keep-old") => options.keeps_old = true,
            Arg::Long("yes") => options.is_confirmed = true,
            Arg::Value(value) => positional.push(value.string().map_err(wrong)?),
            _ => return Err(wrong(argument.unexpected())),
        }
    }
    if is_demo {
        return Ok(Command::Demo);
    }
    if let [account, data_dir] = positional.as_slice() {
        options.data_dir = data_dir.into();
        read_account(account, &mut options)?;
    }
    let needed = [
        ("--homeserver", &options.homeserver),
        ("--user-id", &options.user_id),
        ("--device-id", &options.device_id),
        ("--access-token", &options.access_token),
        ("--recovery-key", &options.recovery_key),
    ];
    match needed.iter().find(|(_, value)| value.is_empty()) {
        Some((name, _)) => Err(format!("{name} is missing.")),
        None if options.data_dir.as_os_str().is_empty() => Err("--data-dir is missing.".to_owned()),
        None => Ok(Command::Work(Box::new(options))),
    }
}

fn wrong(error: lexopt::Error) -> String {
    format!("{error}.")
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(ValueExt::string).map_err(wrong)
}

fn read_account(path: &str, options: &mut Options) -> Result<(), String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("{path} cannot be read: {error}.");
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let account: Value = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    options.homeserver = text("homeserver_url");
    options.user_id = text("user_id");
    options.device_id = text("device_id");
    options.access_token = text("access_token");
    options.recovery_key = text("recovery_key");
    Ok(())
}
