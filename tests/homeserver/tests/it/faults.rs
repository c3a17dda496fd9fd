//! What a client receives when a fault hits its request.

use std::{
    io::{ErrorKind, Read, Write},
    time::Instant,
};

use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver};
use serde_json::json;

use crate::client::{Reply, V3, connect, get};

fn start() -> Homeserver {
    Homeserver::start(Config {
        keys: 500,
        ..Config::default()
    })
    .expect("it starts")
}

fn download(homeserver: &Homeserver) -> Reply {
    get(homeserver, &format!("{V3}/room_keys/keys?version=1"))
}

fn with(homeserver: &Homeserver, fault: impl Into<Fault>) -> Reply {
    homeserver.set_faults(vec![fault.into()]);
    download(homeserver)
}

#[test]
fn bodies_break_off_at_the_given_byte() {
    let homeserver = start();
    let whole = download(&homeserver);
    assert!(whole.complete && whole.error.is_none());
    let length = whole.body.len() as u64;
    for after_bytes in [0, 1, 100_000, length] {
        let cut = with(&homeserver, FaultKind::CutBody { after_bytes });
        assert_eq!((cut.complete, cut.error), (false, None));
        assert_eq!(cut.body.len() as u64, after_bytes);
        assert!(whole.body.starts_with(&cut.body));

        let reset = with(&homeserver, FaultKind::Reset { after_bytes });
        assert_eq!(reset.error, Some(ErrorKind::ConnectionReset));
        assert_eq!(reset.body.len() as u64, after_bytes);
    }
    let stalled = with(&homeserver, FaultKind::Stall { after_bytes: 70_000 });
    assert_eq!(stalled.error, Some(ErrorKind::WouldBlock));
    assert_eq!(stalled.body.len(), 70_000);
    let far = with(
        &homeserver,
        FaultKind::CutBody {
            after_bytes: length + 1,
        },
    );
    assert!(far.complete);
}

#[test]
fn a_silent_fault_sends_nothing_and_wears_off() {
    let homeserver = start();
    let silent = with(&homeserver, Fault::from(FaultKind::Silence).times(1));
    assert_eq!(silent.error, Some(ErrorKind::WouldBlock));
    assert!(silent.head.is_empty());
    assert!(download(&homeserver).complete);
}

#[test]
fn answers_are_replaced_for_one_endpoint() {
    let homeserver = start();
    let limited: Vec<Fault> = serde_json::from_value(json!([{
        "kind": "status",
        "code": 429,
        "body": { "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 50 },
        "headers": { "Retry-After": "1" },
        "endpoint": "all_keys",
        "skip": 1,
        "times": 1,
    }]))
    .expect("it is a fault");
    homeserver.set_faults(limited);
    assert_eq!(download(&homeserver).status, 200);
    let version = get(&homeserver, &format!("{V3}/room_keys/version"));
    assert_eq!(version.status, 200);
    let reply = download(&homeserver);
    assert_eq!(reply.errcode(), (429, "M_LIMIT_EXCEEDED".to_owned()));
    assert!(reply.head.contains("retry-after: 1\r\n"));
    assert_eq!(download(&homeserver).status, 200);

    let portal = with(&homeserver, FaultKind::NotJson);
    assert!(portal.head.contains("text/html") && portal.body.starts_with(b"<!DOCTYPE"));
    let elsewhere = with(
        &homeserver,
        FaultKind::Redirect {
            location: "http://example.org/".to_owned(),
        },
    );
    assert_eq!(elsewhere.status, 302);
    assert!(elsewhere.head.contains("location: http://example.org/"));
}

#[test]
fn declared_lengths_and_counts_can_be_false() {
    let homeserver = start();
    let short = with(&homeserver, FaultKind::WrongLength { declared: 1000 });
    assert!(short.head.contains("content-length: 1000\r\n"));
    assert!(!short.complete && short.body.len() > 1000);
    homeserver.set_faults(vec![FaultKind::WrongCount { count: 7 }.into()]);
    let version = get(&homeserver, &format!("{V3}/room_keys/version")).json();
    assert_eq!(version["count"], 7);
}

#[test]
fn an_endless_body_goes_on_inside_a_string() {
    let homeserver = start();
    homeserver.set_faults(vec![Fault::from(FaultKind::Endless).on(EndpointKind::AllKeys)]);
    let mut stream = connect(homeserver.account());
    let token = &homeserver.account().access_token;
    write!(
        stream,
        "GET {V3}/room_keys/keys?version=1 HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    .expect("the homeserver reads the request");
    let mut bytes = vec![0; 1 << 20];
    for _ in 0..20 {
        stream.read_exact(&mut bytes).expect("there is always more");
    }
    assert!(!bytes.contains(&b'"'));
}

#[test]
fn slow_answers_take_their_time() {
    let homeserver = start();
    let began = Instant::now();
    homeserver.set_faults(vec![
        FaultKind::Latency { ms: 100 }.into(),
        FaultKind::Drip {
            bytes_per_second: 2_000_000,
        }
        .into(),
    ]);
    let reply = download(&homeserver);
    let seconds = began.elapsed().as_secs_f64();
    let expected = 0.1 + reply.body.len() as f64 / 2_000_000.0;
    assert!(reply.complete);
    assert!(seconds >= expected, "{seconds} of {expected} seconds");
}
