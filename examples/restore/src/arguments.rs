//! The command line.

use std::{ffi::OsString, path::PathBuf};

use lexopt::{Arg, ValueExt};

pub(crate) const HELP: &str = "\
Restores every room key of a Matrix key backup.

  keyferry-restore [--json] [--verbose]
                            a demonstration with 20,000 keys; needs nothing else
  keyferry-restore --homeserver URL --user-id ID --device-id ID --data-dir DIR [options]

Options:
  --access-token TOKEN          or KEYFERRY_ACCESS_TOKEN
  --recovery-key KEY            or KEYFERRY_RECOVERY_KEY, or a hidden prompt
  --recovery-passphrase TEXT    a security phrase instead of the key
  --vault-passphrase TEXT       or KEYFERRY_VAULT_PASSPHRASE: keeps the backup's decryption key, sealed
  --export FILE                 writes an encrypted key export file at the end
  --export-passphrase TEXT      the passphrase of that file
  --olm-store DIR               also delivers the keys to the matrix-sdk crypto store in DIR; needs a build with
                                the feature olm-store
  --max-seconds N               pauses after N seconds; run the same command to continue
  --json                        prints one line of JSON to standard output, and nothing else
  --verbose                     prints log lines to standard error

The same command continues where the last one ended. Ctrl-C pauses.

Keys in the vault are exported and reported even if the restore is not complete.

Exit codes: 0 complete (keys that cannot be used are listed), 1 failed, 2 bad arguments, 3 paused or blocked (run it again),
4 wrong recovery key, 5 no backup, 6 not signed in, 7 the server counts more keys than it returns.";

pub(crate) enum Command {
    Help,
    Demo(Box<Options>),
    Restore(Box<Options>),
}

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) homeserver: String,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) data_dir: String,
    pub(crate) access_token: String,
    pub(crate) recovery_key: Option<String>,
    pub(crate) recovery_passphrase: Option<String>,
    pub(crate) vault_passphrase: Option<String>,
    pub(crate) export: Option<(PathBuf, String)>,
    pub(crate) olm_store: Option<PathBuf>,
    pub(crate) is_demo: bool,
    pub(crate) max_seconds: Option<u64>,
    pub(crate) json: bool,
    pub(crate) verbose: bool,
}

/// Reads the command line; the error is a sentence for the user.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options::default();
    let (mut export, mut export_passphrase) = (None, None);
    let mut names_an_account = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let name = match argument {
            Arg::Long(name) => name.to_owned(),
            Arg::Short('h') => "help".to_owned(),
            other => return Err(other.unexpected().to_string()),
        };
        match name.as_str() {
            "help" => return Ok(Command::Help),
            "json" => options.json = true,
            "verbose" => options.verbose = true,
            _ => {
                names_an_account = true;
                let value = parser
                    .value()
                    .and_then(|value| value.string())
                    .map_err(|error| error.to_string())?;
                match name.as_str() {
                    "homeserver" => options.homeserver = value,
                    "user-id" => options.user_id = value,
                    "device-id" => options.device_id = value,
                    "data-dir" => options.data_dir = value,
                    "access-token" => options.access_token = value,
                    "recovery-key" => options.recovery_key = Some(value),
                    "recovery-passphrase" => options.recovery_passphrase = Some(value),
                    "vault-passphrase" => options.vault_passphrase = Some(value),
                    "export" => export = Some(PathBuf::from(value)),
                    "export-passphrase" => export_passphrase = Some(value),
                    "olm-store" => options.olm_store = Some(PathBuf::from(value)),
                    "max-seconds" => {
                        let seconds = value.parse().map_err(|_| "--max-seconds takes a number of seconds")?;
                        options.max_seconds = Some(seconds);
                    }
                    _ => return Err(format!("unknown option --{name}")),
                }
            }
        }
    }
    if !names_an_account {
        return Ok(Command::Demo(Box::new(options)));
    }
    from_environment(&mut options);
    for (value, name) in [
        (&options.homeserver, "--homeserver"),
        (&options.user_id, "--user-id"),
        (&options.device_id, "--device-id"),
        (&options.data_dir, "--data-dir"),
        (&options.access_token, "--access-token (or KEYFERRY_ACCESS_TOKEN)"),
    ] {
        if value.is_empty() {
            return Err(format!("{name} is missing"));
        }
    }
    options.export = match (export, export_passphrase) {
        (None, None) => None,
        (Some(path), Some(passphrase)) if !passphrase.is_empty() => Some((path, passphrase)),
        _ => return Err("--export and --export-passphrase must be used together".to_owned()),
    };
    Ok(Command::Restore(Box::new(options)))
}

fn from_environment(options: &mut Options) {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if options.access_token.is_empty() {
        options.access_token = variable("KEYFERRY_ACCESS_TOKEN").unwrap_or_default();
    }
    options.recovery_key = options
        .recovery_key
        .take()
        .or_else(|| variable("KEYFERRY_RECOVERY_KEY"));
    options.vault_passphrase = options
        .vault_passphrase
        .take()
        .or_else(|| variable("KEYFERRY_VAULT_PASSPHRASE"));
}
