//! The performance targets, and whether they are met.

use crate::{
    contestant::Contestant,
    contestant::Contestant::{
        Delivered, DeliveredSilently, DeliveredSilentlySealed, Fetched, Floor, MatrixSdk, MatrixSdkSealed, Opened,
        PlainDownload,
    },
    scenario::{Build, Kind, Measured, Row},
};

pub(crate) struct Target {
    pub(crate) text: String,
    pub(crate) value: String,
    pub(crate) is_met: bool,
}

impl Target {
    pub(crate) fn at_most(what: &str, value: f64, most: f64, unit: &str) -> Self {
        Self {
            text: format!("{what}: at most {most} {unit}"),
            value: format!("{value:.2}"),
            is_met: value <= most,
        }
    }

    pub(crate) fn at_least(what: &str, value: f64, least: f64) -> Self {
        Self {
            text: format!("{what}: at least {least}"),
            value: format!("{value:.2}"),
            is_met: value >= least,
        }
    }
}

/// Keys from which a backup counts as large: its delivery is compared less strictly.
const LARGE: u64 = 500_000;

/// Returns the targets that apply to this scenario. Times, processor time and bytes are compared by their medians,
/// memory by its greatest value, as apps ship it if that was measured: of a larger program, the kernel maps more pages.
pub(crate) fn of(measured: &Measured) -> Vec<Target> {
    match measured.scenario.kind {
        Kind::SlowLink => at_least_and_most(&[], &[slow_link(measured)]),
        Kind::Unlimited | Kind::Large => {
            let mut targets = at_least_and_most(&speeds(measured), &costs(measured));
            targets.extend(memory(measured));
            targets
        }
        Kind::Synapse(_) => Vec::new(),
    }
}

/// What is measured, its value, if it was, and its bound.
type Bound = (String, Option<f64>, f64);

fn at_least_and_most(at_least: &[Bound], at_most: &[Bound]) -> Vec<Target> {
    let target = |(what, value, bound): &Bound, how: &str, is_met: fn(f64, f64) -> bool| {
        value.map(|value| Target {
            text: format!("{what}: at {how} {bound}"),
            value: format!("{value:.2}"),
            is_met: is_met(value, *bound),
        })
    };
    let at_least = at_least
        .iter()
        .map(|bound| target(bound, "least", |value, least| value >= least));
    let at_most = at_most
        .iter()
        .map(|bound| target(bound, "most", |value, most| value <= most));
    at_least.chain(at_most).flatten().collect()
}

fn time(measured: &Measured, contestant: Contestant) -> Option<f64> {
    measured.row(contestant).map(|row| row.time.median)
}

fn quotient(measured: &Measured, above: Contestant, below: Contestant) -> Option<f64> {
    Some(time(measured, above)? / time(measured, below)?)
}

fn slow_link(measured: &Measured) -> Bound {
    let what = "fetched: time, divided by that of the plain download";
    (what.to_owned(), quotient(measured, Fetched, PlainDownload), 1.1)
}

fn speeds(measured: &Measured) -> [Bound; 4] {
    let keys = measured.scenario.keys;
    let thousands = time(measured, Fetched).map(|time| keys as f64 / time / 1000.0);
    let times_as_fast = |ours: Contestant, theirs, least| {
        let what = format!("{}: times as fast as {}", ours.name(), Contestant::name(theirs));
        (what, quotient(measured, theirs, ours), least)
    };
    [
        ("fetched: thousand keys a second".to_owned(), thousands, 40.0),
        (
            "opened, from start to end: share of the floor's speed".to_owned(),
            quotient(measured, Floor, Opened),
            0.78,
        ),
        times_as_fast(DeliveredSilently, MatrixSdk, if keys < LARGE { 3.0 } else { 2.5 }),
        times_as_fast(DeliveredSilentlySealed, MatrixSdkSealed, 2.0),
    ]
}

fn costs(measured: &Measured) -> [Bound; 3] {
    let keys = measured.scenario.keys as f64;
    let written = |contestant| measured.row(contestant).map(|row| row.written.median / keys / 1e3);
    let cpu = measured.row(DeliveredSilently).map(|row| row.cpu.median / keys * 1e6);
    [
        ("opened: KB written for a key".to_owned(), written(Opened), 1.2),
        (
            format!("{}: KB written for a key", DeliveredSilently.name()),
            written(DeliveredSilently),
            8.0,
        ),
        (
            format!("{}: µs of processor time for a key", DeliveredSilently.name()),
            cpu,
            75.0,
        ),
    ]
}

fn memory(measured: &Measured) -> Vec<Target> {
    let bounds = [
        (Fetched, 18.0),
        (Opened, 18.0),
        (Delivered, 58.0),
        (DeliveredSilently, 58.0),
    ];
    let bounds = bounds.map(|(contestant, most)| {
        let shipped = measured.row_of(contestant, Build::Shipped);
        let row = shipped.or_else(|| measured.row(contestant));
        let name = row.map_or_else(String::new, Row::name);
        (
            format!("{name}: MiB that the peak grows by"),
            row.map(|row| row.growth.most),
            most,
        )
    });
    at_least_and_most(&[], &bounds)
}
