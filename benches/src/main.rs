//! The benchmark: `cargo run --release -p keyferry-bench`.
//!
//! Every figure comes from a process of its own. Its parent, this program, takes the time and the memory from outside:
//! from the moment it says "go" until the child says "done". Contestants run in turn, round by round, so that whatever
//! else the machine does falls on all of them. What happens inside a run, pauses and first keys, the child times itself
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
mod statistics;
mod targets;

use std::{io::Write, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let mut arguments = arguments.peekable();
    // The two things that a child of this program is.
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

/// What a child of that name does.
fn work(name: &str, told: &str) -> Result<(), Failure> {
    if phone::NAMES.contains(&name) {
        phone::work(name, told)
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
        results.push(scenario.measure(options.rounds)?);
    }
    let phone = phone::measure(&options)?;
    let report = report::markdown(&results, &phone, options.rounds);
    say(&report);
    if let Some(directory) = &options.write_to {
        let directory = Path::new(directory);
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("README.md"), report)?;
        std::fs::write(directory.join("restore.svg"), chart::svg(&results)?)?;
    }
    Ok(())
}

/// Tells the person in front of the terminal. Nothing depends on it.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
