//! The homeserver as a program: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    keyferry_test_homeserver::main_with_args(std::env::args_os())
}
