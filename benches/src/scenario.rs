//! The scenarios: which contestants are compared, and on which backup.

use keyferry_test_homeserver::Config;
use tokio::runtime::Runtime;

use crate::{
    Failure,
    arguments::Options,
    child::{self, Figure},
    contestant::Contestant,
    homeserver::Homeserver,
    statistics::Spread,
};

/// 100 Mbit/s, in bytes.
const SLOW_LINK: u64 = 12_500_000;

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) kind: Kind,
    pub(crate) keys: u64,
    pub(crate) rooms: u64,
    pub(crate) contestants: Vec<Contestant>,
    /// This scenario has one round for every so many rounds of the others.
    rounds_divided_by: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unlimited,
    SlowLink,
    /// Enough keys to show whether memory grows with their number.
    Large,
    /// The backup is on Synapse, started with this Python.
    Synapse(String),
}

/// Which program was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// This one.
    Now,
    /// That of an earlier commit.
    Before,
    /// That of this commit, as apps ship it.
    Shipped,
}

/// The results of one scenario.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) contestant: Contestant,
    pub(crate) build: Build,
    /// Time in seconds.
    pub(crate) time: Spread,
    /// Growth of peak memory, in MiB.
    pub(crate) growth: Spread,
    /// The part of it that is pages of the program, in MiB.
    pub(crate) code: Spread,
    /// Processor time, in seconds.
    pub(crate) cpu: Spread,
    /// Bytes that went to the disk.
    pub(crate) written: Spread,
}

/// Returns the scenarios that these options ask for.
pub(crate) fn all(options: &Options) -> Vec<Scenario> {
    use Contestant::{Delivered, Fetched, Opened, PlainDownload};
    let new = |kind, keys, rooms, contestants: &[Contestant]| Scenario {
        rounds_divided_by: if kind == Kind::Large { 3 } else { 1 },
        kind,
        keys,
        rooms,
        contestants: contestants.to_vec(),
    };
    let mut all = vec![
        new(Kind::Unlimited, options.keys, 200, &Contestant::ALL),
        new(Kind::Unlimited, options.keys, 1, &[PlainDownload, Fetched, Opened]),
        new(Kind::SlowLink, options.keys, 200, &[PlainDownload, Fetched]),
        new(Kind::SlowLink, options.keys, 1, &[PlainDownload, Fetched]),
    ];
    for keys in &options.large_keys {
        all.push(new(Kind::Large, *keys, 200, &Contestant::over_sizes()));
    }
    if let Some(python) = &options.synapse {
        let contestants = [PlainDownload, Fetched, Opened, Delivered, Contestant::MatrixSdk];
        all.push(new(Kind::Synapse(python.clone()), options.keys, 200, &contestants));
    }
    if let Some(text) = &options.only {
        all.retain(|scenario| scenario.name().contains(text));
    }
    if let Some(text) = &options.contestants {
        for scenario in &mut all {
            let is_named = scenario.contestants.iter().any(|contestant| contestant.name() == text);
            scenario.contestants.retain(|contestant| match is_named {
                true => contestant.name() == text,
                false => contestant.name().contains(text),
            });
        }
        all.retain(|scenario| !scenario.contestants.is_empty());
    }
    all
}

impl Scenario {
    pub(crate) fn name(&self) -> String {
        let rooms = if self.rooms == 1 {
            "one room".to_owned()
        } else {
            format!("{} rooms", self.rooms)
        };
        let link = match self.kind {
            Kind::SlowLink => "100 Mbit/s",
            Kind::Unlimited | Kind::Large => "unlimited link",
            Kind::Synapse(_) => "Synapse",
        };
        format!("{} keys, {rooms}, {link}", self.keys)
    }

    /// Runs every contestant once in each round; ours also as other builds have it.
    pub(crate) fn measure(self, options: &Options) -> Result<Measured, Failure> {
        crate::say(&format!("{} …", self.name()));
        let homeserver = match &self.kind {
            Kind::Unlimited | Kind::Large | Kind::SlowLink => Homeserver::small(&Config {
                keys: self.keys,
                rooms: self.rooms,
                bytes_per_second: (self.kind == Kind::SlowLink).then_some(SLOW_LINK),
                ..Config::default()
            })?,
            Kind::Synapse(python) => Runtime::new()?.block_on(Homeserver::synapse(python, self.keys, self.rooms))?,
        };
        let now = std::env::current_exe()?;
        let mut entrants = Vec::new();
        for contestant in &self.contestants {
            let before = options.before.as_deref().filter(|_| contestant.is_ours());
            let shipped = options.shipped.as_deref().filter(|_| contestant.is_shipped());
            let programs = [
                (Build::Before, before),
                (Build::Now, Some(now.as_path())),
                (Build::Shipped, shipped),
            ];
            let programs = programs
                .into_iter()
                .filter_map(|(build, program)| Some((*contestant, build, program?)));
            entrants.extend(programs);
        }
        let mut figures = vec![Vec::<Figure>::new(); entrants.len()];
        for _ in 0..options.rounds.div_ceil(self.rounds_divided_by) {
            for (&(contestant, build, program), figures) in entrants.iter().zip(&mut figures) {
                let figure = match child::run_of(program, contestant.name(), &homeserver.account) {
                    Ok((figure, ())) => figure,
                    // The earlier commit did not have all of today's contestants.
                    Err(_) if build == Build::Before => continue,
                    Err(error) => return Err(error),
                };
                crate::say(&format!(
                    "  {:<40} {:>7.2} s {:>7.1} MiB",
                    name_of(contestant, build),
                    figure.time.as_secs_f64(),
                    mebibytes(figure.growth)
                ));
                figures.push(figure);
            }
        }
        let measured = entrants.iter().zip(&figures).filter(|(_, figures)| !figures.is_empty());
        let rows = measured.map(|(&(contestant, build, _), figures)| {
            Some(Row {
                contestant,
                build,
                time: Spread::of(figures.iter().map(|figure| figure.time.as_secs_f64()))?,
                growth: Spread::of(figures.iter().map(|figure| mebibytes(figure.growth)))?,
                code: Spread::of(figures.iter().map(|figure| mebibytes(figure.code)))?,
                cpu: Spread::of(figures.iter().map(|figure| figure.cpu.as_secs_f64()))?,
                written: Spread::of(figures.iter().map(|figure| figure.written as f64))?,
            })
        });
        let rows = rows.collect::<Option<_>>().ok_or("nothing was measured")?;
        Ok(Measured { scenario: self, rows })
    }
}

impl Measured {
    pub(crate) fn row(&self, contestant: Contestant) -> Option<&Row> {
        self.row_of(contestant, Build::Now)
    }

    pub(crate) fn row_of(&self, contestant: Contestant, build: Build) -> Option<&Row> {
        let mut rows = self.rows.iter().filter(|row| row.build == build);
        rows.find(|row| row.contestant == contestant)
    }
}

impl Row {
    /// Returns the name that tables show.
    pub(crate) fn name(&self) -> String {
        name_of(self.contestant, self.build)
    }
}

fn name_of(contestant: Contestant, build: Build) -> String {
    let build = match build {
        Build::Now => "",
        Build::Before => " (before)",
        Build::Shipped => " (as it ships)",
    };
    format!("{}{build}", contestant.name())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
