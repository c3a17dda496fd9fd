//! The program: it prints one line when it is ready, is controlled from outside, and ends with its parent.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Command, Stdio},
};

use keyferry_test_homeserver::{Config, Homeserver, RequestCounts, ServerKind};
use serde_json::{Value, json};

use crate::client::{V3, get, request};

#[test]
fn the_program_serves_until_its_standard_input_ends() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_keyferry-test-homeserver"))
        .args(["--room-sizes", "5,7", "--seed", "9", "--odd-entries"])
        .args(["--held-back", "2", "--server", "palpo", "--first-version", "999"])
        .arg("--bad-room-id")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut line = String::new();
    let stdout = program.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it prints a line");
    let ready: Value = serde_json::from_str(&line).expect("the line is JSON");
    assert_eq!((&ready["keys"], &ready["rooms"]), (&12.into(), &2.into()));
    assert_eq!(ready["backup_version"], "999");
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

#[test]
fn an_unknown_server_is_an_error_that_lists_the_known_ones() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_keyferry-test-homeserver"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program is built")
    };
    let output = run(&["--server", "matrix"]);
    assert!(!output.status.success() && output.stdout.is_empty());
    let help = run(&["--help"]);
    assert!(help.status.success());
    for kind in ServerKind::ALL {
        assert!(String::from_utf8_lossy(&output.stderr).contains(kind.name()));
        assert!(String::from_utf8_lossy(&help.stdout).contains(kind.name()));
    }
}

#[test]
fn the_controls_work_from_outside_and_leave_no_trace_in_the_counts() {
    let homeserver = Homeserver::start(Config {
        held_back: 10,
        ..Config::default()
    })
    .expect("it starts");
    let account = homeserver.account();
    let control = |method, path: &str, body| {
        let reply = request(account, method, &format!("/_control/{path}"), None, body);
        (reply.status, reply.json())
    };
    let version = || get(&homeserver, &format!("{V3}/room_keys/version"));
    let done = (200, json!({}));

    let fault = r#"[{"kind":"status","code":502,"body":"<html>","times":1}]"#;
    assert_eq!(control("POST", "faults", fault), done);
    assert_eq!((version().status, version().status), (502, 200));
    assert_eq!(control("POST", "faults", r#"[{"kind":"odd"}]"#).0, 400);
    assert_eq!(control("PUT", "version", r#"{"action":"new"}"#), done);
    assert_eq!(version().json()["version"], "2");
    let (_, counts) = control("GET", "requests", "");
    assert_eq!(counts["by_endpoint"], json!({ "current_version": 3 }));
    let other = r#"{"action":"new_with_other_key"}"#;
    assert_eq!(control("PUT", "version", other), done);
    for action in [
        r#"{"action":"touch_auth_data"}"#,
        r#"{"action":"empty_upload"}"#,
        r#"{"action":"delete_oldest"}"#,
    ] {
        assert_eq!(control("PUT", "version", action), done);
    }
    assert_eq!(version().json()["count"], 90);
    assert_eq!(control("POST", "release", ""), done);
    assert_eq!(version().json()["count"], 100);

    let token = r#"{"access_token":"new","soft_logout":true}"#;
    assert_eq!(control("PUT", "token", token), done);
    assert_eq!(version().json()["soft_logout"], true);
    assert_eq!(control("POST", "reset_requests", ""), done);
    assert_eq!(homeserver.requests(), RequestCounts::default());
    assert_eq!(control("POST", "stop", ""), done);
    homeserver.wait();
}
