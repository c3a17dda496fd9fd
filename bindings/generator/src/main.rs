//! The generator of the Kotlin and Swift bindings, in the version that the crate itself uses.
//!
//! `uniffi-bindgen surface LIBRARY` prints what the library exports, a line for each thing.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for scripts")]

mod surface;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["surface", library] => print_surface(library),
        _ => {
            uniffi::uniffi_bindgen_main();
            ExitCode::SUCCESS
        }
    }
}

fn print_surface(library: &str) -> ExitCode {
    match surface::lines(library) {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{library}: {error}");
            ExitCode::FAILURE
        }
    }
}
