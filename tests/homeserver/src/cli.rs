//! The command line.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    thread,
};

use lexopt::{Arg, Parser, ValueExt};

use crate::{Config, Homeserver};

const HELP: &str = "\
keyferry-test-homeserver: a small homeserver with a key backup, for tests

  --server NAME             which server to behave like: synapse, dendrite, conduit, continuwuity,
                            conduwuit, tuwunel or palpo
  --keys N                  room keys in the backup
  --rooms N                 rooms that the keys are spread over
  --room-sizes A,B,C        number of keys in each room; replaces --keys and --rooms
  --left-rooms N            how many of the last rooms are not joined
  --twins N                 how many of the last keys repeat the first ones in another room
  --held-back N             how many of the last keys stay out of the backup until they are released
  --user NAME               localpart of the account's user id
  --seed N                  seed from which everything is derived
  --port N                  port on 127.0.0.1; 0 takes any free port
  --latency-ms N            milliseconds to wait before every answer
  --bytes-per-second N      speed of the link, shared by all connections
  --odd-entries             make some entries broken or strange
  --odd-every N             distance between the odd entries
  --first-version N         number of the backup version that exists at the start
  --bad-room-id             store an entry under an invalid room id; only conduit reacts to it
  --most-body N             most bytes of a request's body; nginx has 1048576 unless set otherwise
  --legacy-passphrase TEXT  passphrase from which to derive the backup decryption key

Prints one line of JSON when it is ready, then serves until its standard input ends.
";

/// Runs the homeserver with these command-line arguments. The first one is the name of the program.
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = match parse(args) {
        Ok(Some(config)) => run(config),
        Ok(None) => io::stdout().write_all(HELP.as_bytes()),
        Err(error) => Err(io::Error::other(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If even this cannot be written, the exit code still reports the failure.
            let _ = writeln!(io::stderr(), "keyferry-test-homeserver: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Parses the command line. Returns `None` if the user asked for help.
fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Config>, lexopt::Error> {
    let mut config = Config::default();
    let mut parser = Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        let Arg::Long(name) = arg else {
            return Err(arg.unexpected());
        };
        match name {
            "server" => config.server = parser.value()?.parse()?,
            "keys" => config.keys = parser.value()?.parse()?,
            "rooms" => config.rooms = parser.value()?.parse()?,
            "left-rooms" => config.left_rooms = parser.value()?.parse()?,
            "twins" => config.twins = parser.value()?.parse()?,
            "held-back" => config.held_back = parser.value()?.parse()?,
            "user" => config.user = parser.value()?.string()?,
            "seed" => config.seed = parser.value()?.parse()?,
            "port" => config.port = parser.value()?.parse()?,
            "latency-ms" => config.latency_ms = parser.value()?.parse()?,
            "bytes-per-second" => config.bytes_per_second = Some(parser.value()?.parse()?),
            "odd-entries" => config.odd_entries = true,
            "odd-every" => config.odd_every = parser.value()?.parse()?,
            "first-version" => config.first_version = parser.value()?.parse()?,
            "bad-room-id" => config.bad_room_id = true,
            "most-body" => config.most_body = Some(parser.value()?.parse()?),
            "legacy-passphrase" => config.legacy_passphrase = Some(parser.value()?.string()?),
            "room-sizes" => {
                let sizes = parser.value()?.string()?;
                let sizes = sizes.split(',').map(str::parse).collect::<Result<_, _>>();
                config.room_sizes = sizes.map_err(|_| "--room-sizes takes numbers separated by commas")?;
            }
            "help" => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(config))
}

fn run(config: Config) -> io::Result<()> {
    let homeserver = Homeserver::start(config)?;
    let mut ready = serde_json::to_value(homeserver.account())?;
    ready["keys"] = homeserver.truth().len().into();
    ready["rooms"] = homeserver.truth().rooms().into();
    let mut stdout = io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;

    // Standard input ends when the parent process ends, however that happens.
    let stopper = homeserver.stopper();
    thread::spawn(move || {
        // A read error counts as the end, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stopper.stop();
    });
    homeserver.wait();
    Ok(())
}
