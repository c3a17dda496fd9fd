//! The command line.

use std::{ffi::OsString, path::PathBuf};

use lexopt::{Arg, Parser, ValueExt};

pub(crate) const HELP: &str = "\
Measures keyferry side by side with a plain download, matrix-sdk's way, and the floor.

  --rounds N      rounds of every scenario (default: 5); a third of them for the large one and the slices
  --keys N        keys in the backup (default: 50000)
  --large-keys N,N…
                  keys in large backups, for what a key costs there, and for memory; the first key and look-ups are
                  measured with the last one (default: 500000; 0: skip all of these)
  --only TEXT     measure only what has TEXT in its name: a scenario, 'upload', 'slices', 'pause', 'first key',
                  'look-ups'
  --contestants TEXT
                  measure only the contestant of this name, or else those with TEXT in their name
  --before PATH   measure this keyferry-bench, of an earlier commit, in the same rounds
  --shipped PATH  also measure this keyferry-bench, built with the profile that apps ship ('mobile')
  --synapse PATH  also measure with Synapse, run by the Python at PATH: see scripts/synapse-venv.sh
  --write-to DIR  write README.md and restore.svg to DIR
";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) keys: u64,
    pub(crate) large_keys: Vec<u64>,
    pub(crate) only: Option<String>,
    pub(crate) contestants: Option<String>,
    /// A benchmark of an earlier commit.
    pub(crate) before: Option<PathBuf>,
    /// A benchmark of this commit, built with the profile that apps ship.
    pub(crate) shipped: Option<PathBuf>,
    pub(crate) synapse: Option<String>,
    pub(crate) write_to: Option<OsString>,
}

/// Reads the command line. `None` means that help was asked for.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        rounds: 5,
        keys: 50_000,
        large_keys: vec![500_000],
        only: None,
        contestants: None,
        before: None,
        shipped: None,
        synapse: None,
        write_to: None,
    };
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("rounds") => options.rounds = parser.value()?.parse::<usize>()?.max(1),
            Arg::Long("keys") => options.keys = parser.value()?.parse()?,
            Arg::Long("large-keys") => {
                let sizes = parser
                    .value()?
                    .parse_with(|text| text.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>())?;
                options.large_keys = sizes.into_iter().filter(|keys| *keys > 0).collect();
            }
            Arg::Long("only") => options.only = Some(parser.value()?.string()?),
            Arg::Long("contestants") => options.contestants = Some(parser.value()?.string()?),
            Arg::Long("before") => options.before = Some(parser.value()?.into()),
            Arg::Long("shipped") => options.shipped = Some(parser.value()?.into()),
            Arg::Long("synapse") => options.synapse = Some(parser.value()?.string()?),
            Arg::Long("write-to") => options.write_to = Some(parser.value()?),
            Arg::Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}
