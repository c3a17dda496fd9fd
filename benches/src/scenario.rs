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

/// The results of one scenario.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) contestant: Contestant,
    /// Time in seconds.
    pub(crate) time: Spread,
    /// Growth of peak memory, in MiB.
    pub(crate) growth: Spread,
    /// Processor time, in seconds.
    pub(crate) cpu: Spread,
    /// Bytes that went to the disk.
    pub(crate) written: Spread,
}

/// Returns the scenarios that these options ask for.
pub(crate) fn all(options: &Options) -> Vec<Scenario> {
    use Contestant::{Delivered, DeliveredSealed, DeliveredSilently, Fetched, Opened, PlainDownload};
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
    if options.large_keys > 0 {
        let contestants = [
            PlainDownload,
            Fetched,
            Opened,
            Delivered,
            DeliveredSealed,
            DeliveredSilently,
        ];
        all.push(new(Kind::Large, options.large_keys, 200, &contestants));
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

    /// Runs every contestant once in each round.
    pub(crate) fn measure(self, rounds: usize) -> Result<Measured, Failure> {
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
        let mut figures = vec![Vec::<Figure>::new(); self.contestants.len()];
        for _ in 0..rounds.div_ceil(self.rounds_divided_by) {
            for (contestant, figures) in self.contestants.iter().zip(&mut figures) {
                let (figure, ()) = child::run(contestant.name(), &homeserver.account)?;
                crate::say(&format!(
                    "  {:<34} {:>7.2} s {:>7.1} MiB",
                    contestant.name(),
                    figure.time.as_secs_f64(),
                    mebibytes(figure.growth)
                ));
                figures.push(figure);
            }
        }
        let rows = self.contestants.iter().zip(&figures).map(|(contestant, figures)| {
            Some(Row {
                contestant: *contestant,
                time: Spread::of(figures.iter().map(|figure| figure.time.as_secs_f64()))?,
                growth: Spread::of(figures.iter().map(|figure| mebibytes(figure.growth)))?,
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
        self.rows.iter().find(|row| row.contestant == contestant)
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
