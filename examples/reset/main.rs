//! Moves a key backup to a new key: that of a demonstration, which kills itself once on the way and proves the result,
//! or that of a real account.
//!
//! ```text
//! cargo run --release --example reset
//! cargo run --release --example reset -- --help
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod arguments;
mod crypto;
mod demo;
mod new_storage;
#[path = "../../tests/support/token_host.rs"]
mod token_host;
mod work;

use std::process::ExitCode;

use arguments::Command;

fn main() -> ExitCode {
    let command = match arguments::parse() {
        Ok(command) => command,
        Err(message) => {
            eprintln!("{message}\nTry --help.");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime");
    let result = runtime.block_on(async {
        match command {
            Command::Help => {
                println!("{}", arguments::HELP);
                Ok(true)
            }
            Command::Demo => demo::run().await,
            Command::Work(options) => work::run(&options).await,
        }
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
