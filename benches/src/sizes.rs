//! What a key costs in backups of different sizes: the same contestants, over all scenarios of one run.

use std::collections::BTreeMap;

use crate::{
    contestant::{
        Contestant,
        Contestant::{DeliveredSilently, Fetched},
    },
    scenario::{Kind, Measured, Row},
    table::Table,
    targets::Target,
};

/// The speed that must be left in a larger backup, as a share of that in the smallest one.
const LEAST_SHARES: [(Contestant, f64); 2] = [(Fetched, 0.8), (DeliveredSilently, 0.75)];

/// The rows of one contestant, by the number of keys.
type BySize<'a> = BTreeMap<u64, &'a Row>;

/// Returns the rows of each contestant that was measured with several sizes.
pub(crate) fn by_size(results: &[Measured]) -> Vec<(Contestant, BySize<'_>)> {
    let of_contestant = |contestant| {
        let comparable = results.iter().filter(|measured| {
            matches!(measured.scenario.kind, Kind::Unlimited | Kind::Large) && measured.scenario.rooms > 1
        });
        let rows = comparable.filter_map(|measured| Some((measured.scenario.keys, measured.row(contestant)?)));
        (contestant, rows.collect::<BySize<'_>>())
    };
    let all = Contestant::over_sizes().into_iter().map(of_contestant);
    all.filter(|(_, rows)| rows.len() > 1).collect()
}

/// Returns the cost of a key in microseconds, from start to end.
pub(crate) fn cost(keys: u64, row: &Row) -> f64 {
    row.time.median / keys as f64 * 1e6
}

/// Returns the table of all costs; `None` if there is only one size.
pub(crate) fn table(results: &[Measured]) -> Option<Table> {
    let all = by_size(results);
    if all.is_empty() {
        return None;
    }
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (contestant, by_size) in &all {
        for (keys, row) in by_size {
            rows.push(vec![
                contestant.name().to_owned(),
                keys.to_string(),
                format!("{:.1}", cost(*keys, row)),
                format!("{:.1}", row.cpu.median / *keys as f64 * 1e6),
                format!("{:.2}", row.written.median / *keys as f64 / 1e3),
                format!("{:.1}", row.growth.most),
            ]);
        }
    }
    for (contestant, least) in LEAST_SHARES {
        let Some((_, by_size)) = all.iter().find(|(other, _)| *other == contestant) else {
            continue;
        };
        let mut costs = by_size.iter().map(|(keys, row)| (*keys, cost(*keys, row)));
        let Some((smallest, base)) = costs.next() else { continue };
        targets.extend(costs.map(|(keys, cost)| {
            let what = format!(
                "{}: speed at {keys} keys, as a share of that at {smallest}",
                contestant.name()
            );
            Target::at_least(&what, base / cost, least)
        }));
    }
    Some(Table {
        title: "Cost of a key by size".to_owned(),
        about: "200 rooms, unlimited link. Time from start to end, divided by the number of keys.".to_owned(),
        columns: &[
            "",
            "keys",
            "time, µs a key",
            "CPU, µs a key",
            "written, KB a key",
            "memory, MiB",
        ],
        rows,
        targets,
    })
}
