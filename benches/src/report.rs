//! Writes the figures as tables.

use std::fmt::Write;

use crate::{
    arguments::Options,
    scenario::{Measured, Row},
    sizes,
    statistics::Spread,
    table::Table,
    targets::{self, Target},
};

/// Returns the whole report. Writing into a string does not fail.
pub(crate) fn markdown(results: &[Measured], uploads: &[Table], phone: &[Table], options: &Options) -> String {
    let mut text = String::from("# Benchmark\n\n![The figures as a picture](restore.svg)\n\n");
    let _ = writeln!(
        text,
        "Made by `cargo run --release -p keyferry-bench -- {}--write-to docs/bench`, on {}.\n\n\
         Each contestant runs in its own process, one after the other in every round; time and memory are measured \
         from outside. Figures are the median (least to most). Homeserver and contestant share the machine. Memory is \
         how much the peak grows after the process is ready to begin; code is what of it are pages of the program, \
         which the kernel drops when it needs memory. Processor time is that of all cores together; \
         written is what went to the disk. Rows with (before) are an earlier commit; those with (as it ships) are built \
         with the profile `mobile`.",
        asked_for(options),
        machine()
    );
    for measured in results {
        let _ = writeln!(text, "\n## {}\n", measured.scenario.name());
        text.push_str("| | time, s | keys/s | memory, MiB | of it code, MiB | CPU, µs a key | written, KB a key |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
        for row in &measured.rows {
            let _ = writeln!(text, "{}", line(row, measured.scenario.keys));
        }
        text.push_str(&said_of(&targets::of(measured)));
    }
    let sizes = sizes::table(results);
    for (title, tables) in [
        ("By size", sizes.as_slice()),
        ("Moving a backup", uploads),
        ("Life on a phone", phone),
    ] {
        if !tables.is_empty() {
            let _ = writeln!(text, "\n## {title}");
        }
        for table in tables {
            write_table(&mut text, table);
        }
    }
    text
}

fn write_table(text: &mut String, table: &Table) {
    let _ = writeln!(text, "\n### {}\n\n{}\n", table.title, table.about);
    let _ = writeln!(
        text,
        "| {} |\n|{}",
        table.columns.join(" | "),
        "---|".repeat(table.columns.len())
    );
    for row in &table.rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text.push_str(&said_of(&table.targets));
}

fn said_of(targets: &[Target]) -> String {
    let mut text = String::new();
    if !targets.is_empty() {
        text.push_str("\n| target | reached | |\n|---|---|---|\n");
    }
    for target in targets {
        let met = if target.is_met { "met" } else { "**not met**" };
        let _ = writeln!(text, "| {} | {} | {met} |", target.text, target.value);
    }
    text
}

fn line(row: &Row, keys: u64) -> String {
    let keys = keys as f64;
    format!(
        "| {} | {} | {:.0} | {} | {:.1} | {:.1} | {:.2} |",
        row.name(),
        spread(&row.time, 2),
        keys / row.time.median,
        spread(&row.growth, 1),
        row.code.median,
        row.cpu.median / keys * 1e6,
        row.written.median / keys / 1e3,
    )
}

pub(crate) fn spread(spread: &Spread, digits: usize) -> String {
    let Spread { least, median, most } = spread;
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

/// Returns the arguments that decide what is measured.
fn asked_for(options: &Options) -> String {
    let sizes: Vec<_> = options.large_keys.iter().map(u64::to_string).collect();
    let mut text = format!(
        "--rounds {} --keys {} --large-keys {} ",
        options.rounds,
        options.keys,
        if sizes.is_empty() {
            "0".to_owned()
        } else {
            sizes.join(",")
        }
    );
    let programs = [
        ("--before", options.before.is_some()),
        ("--shipped", options.shipped.is_some()),
        ("--synapse", options.synapse.is_some()),
    ];
    for (name, _) in programs.iter().filter(|(_, is_given)| *is_given) {
        let _ = write!(text, "{name} … ");
    }
    text
}

/// Describes the machine that was measured on, as the kernel does.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("an unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    format!("{cores} cores of {model}")
}
