//! The benchmark: `cargo run --release -p keyferry-bench`.
//!
//! Every figure comes from a separate process. Its parent, this program, measures time and memory from outside, from
//! the moment it says "go" until the child says "done". Contestants take turns, round by round, so that other load on
//! the machine affects all of them. Events inside a run (pauses and first keys) are timed by the child itself
//! (`phone`).

mod account;
mod app;
mod arguments;
mod chart;
mod child;
mod contestant;
mod homeserver;
mod phone;
mod report;
mod scenario;
mod sdk;
mod sizes;
mod statistics;
mod table;
mod targets;
#[path = "../../tests/support/token_host.rs"]
mod token_host;
mod upload;

use std::{io::Write, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let mut arguments = arguments.peekable();
    // A child of this program is either the homeserver or a process that is measured.
    if arguments.next_if(|first| first == homeserver::FLAG).is_some() {
        return keyferry_test_homeserver::main_with_args(std::iter::once(program).chain(arguments));
    }
    if arguments.next_if(|first| first == child::FLAG).is_some() {
        return child::main(arguments, work);
    }
    match measure(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error}"));
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

/// Does the work of the child with this name, with the orders in `told` (JSON).
fn work(name: &str, told: &str) -> Result<(), Failure> {
    if phone::NAMES.contains(&name) {
        phone::work(name, told)
    } else if upload::is_child(name) {
        upload::work(name, told)
    } else {
        contestant::work(name, told)
    }
}

fn measure(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<(), Failure> {
    let Some(options) = arguments::parse(arguments)? else {
        say(arguments::HELP);
        return Ok(());
    };
    let mut results = Vec::new();
    for scenario in scenario::all(&options) {
        results.push(scenario.measure(&options)?);
    }
    let phone = phone::measure(&options)?;
    let uploads = upload::measure(&options)?;
    let report = report::markdown(&results, &uploads, &phone, &options);
    say(&report);
    if let Some(directory) = &options.write_to {
        let directory = Path::new(directory);
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("README.md"), report)?;
        std::fs::write(directory.join("restore.svg"), chart::svg(&results)?)?;
    }
    Ok(())
}

/// Prints a text for the person at the terminal. Nothing depends on it, so a failure is ignored.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
