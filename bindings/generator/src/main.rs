//! The generator of the Kotlin and Swift bindings, in the version that the crate itself uses.
//!
//! `uniffi-bindgen surface LIBRARY` prints what the library exports, a line for each thing, and `uniffi-bindgen rust-surface
//! FOLDER` the public items of the crate whose sources are in a folder.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for scripts")]

mod rust_surface;
mod surface;

use std::{error::Error, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["surface", library] => print_lines(library, surface::lines(library)),
        ["rust-surface", folder] => print_lines(folder, rust_surface::declarations(folder.as_ref())),
        _ => {
            uniffi::uniffi_bindgen_main();
            ExitCode::SUCCESS
        }
    }
}

fn print_lines(source: &str, lines: Result<impl IntoIterator<Item = String>, Box<dyn Error>>) -> ExitCode {
    match lines {
        Ok(lines) => {
            lines.into_iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{source}: {error}");
            ExitCode::FAILURE
        }
    }
}
