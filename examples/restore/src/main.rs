//! Restores a whole key backup: from a small homeserver that it starts itself, or from a real account.
//!
//! ```text
//! cargo demo
//! cargo run --release -p keyferry-restore -- --help
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod arguments;
mod demo;
mod host;
mod report;
mod restore;
mod sink;

use std::process::ExitCode;

use arguments::Command;

/// Exit codes, as `--help` lists them.
pub(crate) mod exit {
    pub(crate) const COMPLETE: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const BAD_ARGUMENTS: u8 = 2;
    pub(crate) const NOT_FINISHED: u8 = 3;
    pub(crate) const WRONG_RECOVERY_KEY: u8 = 4;
    pub(crate) const NO_BACKUP: u8 = 5;
    pub(crate) const NOT_SIGNED_IN: u8 = 6;
    pub(crate) const SHORT: u8 = 7;
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    // The flag takes the place of the program name.
    if arguments.peek().is_some_and(|first| first == demo::SERVE_FLAG) {
        return keyferry_test_homeserver::main_with_args(arguments);
    }
    let command = match arguments::parse(arguments) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("{message}\nTry --help.");
            return ExitCode::from(exit::BAD_ARGUMENTS);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime");
    let code = runtime.block_on(async {
        match command {
            Command::Help => {
                println!("{}", arguments::HELP);
                exit::COMPLETE
            }
            Command::Demo(options) => demo::run(*options).await,
            Command::Restore(options) => restore::run(*options).await,
        }
    });
    ExitCode::from(code)
}
