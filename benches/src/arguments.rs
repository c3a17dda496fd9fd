//! The command line.

use std::ffi::OsString;

use lexopt::{Arg, Parser, ValueExt};

pub(crate) const HELP: &str = "\
Measures keyferry side by side with a plain download, matrix-sdk's way, and the floor.

  --rounds N      rounds of every scenario (default: 5); a third of them for the large one and the slices
  --keys N        keys in the backup (default: 50000)
  --large-keys N  keys in the large backup, for memory and for the first key (default: 500000; 0: skip both)
  --only TEXT     measure only what has TEXT in its name: a scenario, 'upload', 'slices', 'pause', 'first key',
                  'look-ups'
  --contestants TEXT
                  measure only the contestant of this name, or else those with TEXT in their name
  --synapse PATH  also measure with Synapse, run by the Python at PATH: see scripts/synapse-venv.sh
  --write-to DIR  write README.md and restore.svg to DIR
";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) keys: u64,
    pub(crate) large_keys: u64,
    pub(crate) only: Option<String>,
    pub(crate) contestants: Option<String>,
    pub(crate) synapse: Option<String>,
    pub(crate) write_to: Option<OsString>,
}

/// Reads the command line. `None` means that help was asked for.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        rounds: 5,
        keys: 50_000,
        large_keys: 500_000,
        only: None,
        contestants: None,
        synapse: None,
        write_to: None,
    };
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("rounds") => options.rounds = parser.value()?.parse::<usize>()?.max(1),
            Arg::Long("keys") => options.keys = parser.value()?.parse()?,
            Arg::Long("large-keys") => options.large_keys = parser.value()?.parse()?,
            Arg::Long("only") => options.only = Some(parser.value()?.string()?),
            Arg::Long("contestants") => options.contestants = Some(parser.value()?.string()?),
            Arg::Long("synapse") => options.synapse = Some(parser.value()?.string()?),
            Arg::Long("write-to") => options.write_to = Some(parser.value()?),
            Arg::Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}
