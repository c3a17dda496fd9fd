//! The program: one line when it is ready, and no life after its parent.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Command, Stdio},
};

use serde_json::Value;

#[test]
fn it_serves_until_its_standard_input_ends() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_keyferry-test-homeserver"))
        .args(["--room-sizes", "5,7", "--seed", "9", "--odd-entries"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut line = String::new();
    let stdout = program.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it prints a line");
    let ready: Value = serde_json::from_str(&line).expect("the line is JSON");
    assert_eq!((&ready["keys"], &ready["rooms"]), (&12.into(), &2.into()));
    let url = ready["homeserver_url"].as_str().expect("there is a URL");
    let address = url.trim_start_matches("http://").to_owned();
    TcpStream::connect(&address).expect("it serves");

    drop(program.stdin.take());
    assert!(program.wait().expect("it ends").success());
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn an_unknown_flag_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_keyferry-test-homeserver"))
        .arg("--kees")
        .stdin(Stdio::null())
        .output()
        .expect("the program is built");
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(!output.stderr.is_empty());
}
