//! The performance targets, and whether they are met.

use crate::{
    contestant::Contestant,
    contestant::Contestant::{Delivered, Fetched, Floor, MatrixSdk, Opened, PlainDownload},
    scenario::{Kind, Measured},
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
}

/// Returns the targets that apply to this scenario. Times are compared by their medians, memory by its greatest
/// value.
pub(crate) fn of(measured: &Measured) -> Vec<Target> {
    let mut targets = Vec::new();
    let time = |contestant| measured.row(contestant).map(|row| row.time.median);
    let mut ratio = |text: &str, value: Option<f64>, is_met: fn(f64) -> bool| {
        if let Some(value) = value {
            targets.push(Target {
                text: text.to_owned(),
                value: format!("{value:.2}"),
                is_met: is_met(value),
            });
        }
    };
    let quotient = |above: Contestant, below: Contestant| Some(time(above)? / time(below)?);
    match measured.scenario.kind {
        Kind::SlowLink => ratio(
            "fetched, against the plain download: at most 1.1 times its time",
            quotient(Fetched, PlainDownload),
            |value| value <= 1.1,
        ),
        Kind::Unlimited => {
            let thousands = time(Fetched).map(|time| measured.scenario.keys as f64 / time / 1000.0);
            ratio("fetched: at least 40 thousand keys a second", thousands, |value| {
                value >= 40.0
            });
            ratio(
                "opened, from start to end: at least 0.7 of the floor's speed",
                quotient(Floor, Opened),
                |value| value >= 0.7,
            );
            ratio(
                "delivered: at least 2 times as fast as matrix-sdk's way",
                quotient(MatrixSdk, Delivered),
                |value| value >= 2.0,
            );
        }
        Kind::Large | Kind::Synapse(_) => {}
    }
    if matches!(measured.scenario.kind, Kind::Unlimited | Kind::Large) {
        for (contestant, most) in [(Fetched, 32.0), (Opened, 32.0), (Delivered, 64.0)] {
            if let Some(row) = measured.row(contestant) {
                targets.push(Target {
                    text: format!("growth of peak memory, {}: at most {most} MiB", contestant.name()),
                    value: format!("{:.1}", row.growth.most),
                    is_met: row.growth.most <= most,
                });
            }
        }
    }
    targets
}
