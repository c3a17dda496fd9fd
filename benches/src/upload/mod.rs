//! Measures how fast keys get into a backup: a move by keyferry, beside matrix-sdk's way of uploading the same keys.
//!
//! Each child prepares itself with the whole backup before it begins, and deletes the version that it has filled.

mod matrix_sdk;
mod ours;

use keyferry_test_homeserver::Config;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::{
    Failure,
    account::Account,
    arguments::Options,
    child::{self, Figure},
    homeserver::Homeserver,
    report::spread,
    statistics::Spread,
    table::Table,
    targets::Target,
};

const NAME: &str = "upload";
/// Keys that all contestants upload. matrix-sdk's way takes a quarter of a minute for them.
const KEYS: u64 = 10_000;
const ROOMS: u64 = 200;
/// By how much peak memory may grow, in MiB.
const MOST_GROWTH: f64 = 32.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uploader {
    /// keyferry moves the backup to a new key.
    Keyferry,
    /// `BackupMachine` makes requests of 100 keys, with a pause of 100 ms between them.
    MatrixSdk,
    /// The same without the pause.
    MatrixSdkWithoutPause,
}

impl Uploader {
    const ALL: [Self; 3] = [Self::Keyferry, Self::MatrixSdk, Self::MatrixSdkWithoutPause];

    fn name(self) -> &'static str {
        match self {
            Self::Keyferry => "keyferry, uploads",
            Self::MatrixSdk => "matrix-sdk's way, uploads",
            Self::MatrixSdkWithoutPause => "matrix-sdk's way, uploads without its pause",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|uploader| uploader.name() == name)
    }
}

/// What a child answers: the time from the first upload to the end of the last one, in seconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Uploaded {
    seconds: f64,
    keys: u64,
}

/// Whether a child has this name.
pub(crate) fn is_child(name: &str) -> bool {
    Uploader::named(name).is_some()
}

/// Does the work of the child with this name.
pub(crate) fn work(name: &str, told: &str) -> Result<(), Failure> {
    let account: Account = serde_json::from_str(told)?;
    match Uploader::named(name).ok_or("no such child")? {
        Uploader::Keyferry => ours::run(&account),
        Uploader::MatrixSdk => matrix_sdk::run(&account, true),
        Uploader::MatrixSdkWithoutPause => matrix_sdk::run(&account, false),
    }
}

/// Makes the measurements that these options ask for.
pub(crate) fn measure(options: &Options) -> Result<Vec<Table>, Failure> {
    if options.only.as_ref().is_some_and(|text| !NAME.contains(text.as_str())) {
        return Ok(Vec::new());
    }
    let small = |keys| {
        Homeserver::small(&Config {
            keys,
            rooms: ROOMS,
            ..Config::default()
        })
    };
    let rounds = options.rounds.max(3);
    let mut tables = vec![beside(&small(KEYS)?, "small homeserver", rounds)?];
    if let Some(python) = &options.synapse {
        let synapse = Runtime::new()?.block_on(Homeserver::synapse(python, KEYS, ROOMS))?;
        tables.push(beside(&synapse, "Synapse", rounds)?);
    }
    let mut sizes = vec![options.keys];
    sizes.extend(options.large_keys.first());
    let mut memory = memory_table();
    for keys in sizes {
        let growth = alone(&small(keys)?, keys, &mut memory.rows)?;
        let what = format!("{keys} keys: growth of peak memory");
        memory.targets.push(Target::at_most(&what, growth, MOST_GROWTH, "MiB"));
    }
    tables.push(memory);
    Ok(tables)
}

/// Lets all contestants upload to one homeserver, in turns.
fn beside(homeserver: &Homeserver, name: &str, rounds: usize) -> Result<Table, Failure> {
    crate::say(&format!("{NAME}, {KEYS} keys, {name} …"));
    let mut figures = vec![Vec::new(); Uploader::ALL.len()];
    for _ in 0..rounds {
        for (uploader, figures) in Uploader::ALL.into_iter().zip(&mut figures) {
            let (figure, uploaded) = run(uploader, homeserver)?;
            figures.push((
                uploaded.keys as f64 / uploaded.seconds,
                figure.growth as f64 / f64::from(1 << 20),
            ));
        }
    }
    let (mut rows, mut medians) = (Vec::new(), Vec::new());
    for (uploader, figures) in Uploader::ALL.into_iter().zip(figures) {
        let speed = Spread::of(figures.iter().map(|(speed, _)| *speed)).ok_or("nothing was measured")?;
        let growth = Spread::of(figures.iter().map(|(_, growth)| *growth)).ok_or("nothing was measured")?;
        medians.push(speed.median);
        rows.push(vec![uploader.name().to_owned(), spread(&speed, 0), spread(&growth, 1)]);
    }
    let ratio = medians[0] / medians[1];
    Ok(Table {
        title: format!("Uploads, {name}"),
        about: format!(
            "{KEYS} keys in {ROOMS} rooms, {rounds} rounds. keyferry opens each key and encrypts it to the new version; \
             matrix-sdk's `BackupMachine` encrypts the same keys from its store. Measured by each process itself, from \
             its first upload to the end of its last."
        ),
        columns: &["", "keys/s", "memory, MiB"],
        rows,
        targets: vec![Target {
            text: "keyferry: at least 3 times as fast as matrix-sdk's way".to_owned(),
            value: format!("{ratio:.2}"),
            is_met: ratio >= 3.0,
        }],
    })
}

fn memory_table() -> Table {
    Table {
        title: "A whole move".to_owned(),
        about:
            "Once for each size: uploaded, read back, opened and proved. Memory is what the peak grows by while all of \
                that happens."
                .to_owned(),
        columns: &["keys", "uploaded, keys/s", "whole move, s", "memory, MiB"],
        rows: Vec::new(),
        targets: Vec::new(),
    }
}

/// Moves a backup once, and returns by how much memory grew, in MiB.
fn alone(homeserver: &Homeserver, keys: u64, rows: &mut Vec<Vec<String>>) -> Result<f64, Failure> {
    crate::say(&format!("{NAME}, {keys} keys …"));
    let (figure, uploaded) = run(Uploader::Keyferry, homeserver)?;
    let growth = figure.growth as f64 / f64::from(1 << 20);
    rows.push(vec![
        keys.to_string(),
        format!("{:.0}", keys as f64 / uploaded.seconds),
        format!("{:.1}", figure.time.as_secs_f64()),
        format!("{growth:.1}"),
    ]);
    Ok(growth)
}

fn run(uploader: Uploader, homeserver: &Homeserver) -> Result<(Figure, Uploaded), Failure> {
    let (figure, uploaded): (Figure, Uploaded) = child::run(uploader.name(), &homeserver.account)?;
    crate::say(&format!(
        "  {:<44} {:>7.0} keys/s {:>7.1} MiB",
        uploader.name(),
        uploaded.keys as f64 / uploaded.seconds,
        figure.growth as f64 / f64::from(1 << 20)
    ));
    Ok((figure, uploaded))
}
