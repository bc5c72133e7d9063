//! Signals while calls are in flight, with a slow upstream server.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Door, PATIENCE, Served, Session, alive_with, eventually, ferromcp, fixture, text};

/// A configuration with the conformance fixture as the server `fix`, whose process carries the mark.
struct Slow {
    directory: TempDir,
    mark: String,
}

impl Slow {
    fn with_drain(drain: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().display().to_string();
        let config = json!({
            "supervisor": { "drain": drain },
            "servers": { "fix": { "command": fixture(), "args": ["--stdio"], "env": { "TEST_MARK": name } } },
        });
        std::fs::write(directory.path().join("ferromcp.yaml"), config.to_string()).unwrap();
        Self {
            mark: format!("TEST_MARK={name}"),
            directory,
        }
    }

    fn config(&self) -> std::path::PathBuf {
        self.directory.path().join("ferromcp.yaml")
    }

    fn served(&self) -> Served {
        let served = Served::with_config(&self.config());
        ready(&served.door);
        assert_eq!(alive_with(&self.mark).len(), 1);
        served
    }

    fn assert_no_child(&self) {
        assert_eq!(
            alive_with(&self.mark),
            Vec::<i32>::new(),
            "children were left behind"
        );
    }
}

fn ready(door: &Door) {
    eventually("the upstream server is ready", || {
        (door.source("fix").0 == "ready").then_some(())
    });
}

fn in_flight(door: &Door) {
    eventually("the call is in flight", || {
        (door.health()["in_flight"] == 1).then_some(())
    });
}

/// Starts a REST call of this many seconds.
fn call(door: &Door, seconds: f64) -> std::thread::JoinHandle<Value> {
    let door = door.clone();
    std::thread::spawn(move || {
        door.rest("fix__slow_compute", &json!({ "seconds": seconds }))
            .json()
    })
}

#[test]
fn a_call_in_flight_finishes_before_the_end() {
    let slow = Slow::with_drain("20s");
    let mut served = slow.served();
    let call = call(&served.door, 1.5);
    in_flight(&served.door);
    served.process.signal(Signal::TERM);
    let answer = call.join().unwrap();
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(served.process.exit_code(PATIENCE), 0);
    slow.assert_no_child();
}

#[test]
fn a_call_over_stdio_finishes_before_the_end() {
    let slow = Slow::with_drain("20s");
    let mut command = ferromcp(["serve", "--mode", "all", "--addr", "127.0.0.1:0", "--config"]);
    command.arg(slow.config());
    let mut session = Session::start(command);
    let address = session
        .process
        .stderr
        .wait(|line| line.strip_prefix("listening http://").map(str::to_owned));
    let door = Door::new(&address);
    ready(&door);
    session.initialize();
    let id = session.send_request(
        "tools/call",
        json!({ "name": "fix__slow_compute", "arguments": { "seconds": 1.5, "label": "sums" } }),
    );
    in_flight(&door);
    session.process.signal(Signal::TERM);
    assert_eq!(text(&session.response(&id)["result"]), "Computed sums in 1.5 s");
    assert_eq!(session.process.exit_code(PATIENCE), 0);
    session.assert_only_messages();
    slow.assert_no_child();
}

#[test]
fn a_call_beyond_the_drain_limit_is_cut_off() {
    let slow = Slow::with_drain("300ms");
    let mut served = slow.served();
    let call = call(&served.door, 600.0);
    in_flight(&served.door);
    let since = Instant::now();
    served.process.signal(Signal::TERM);
    assert_eq!(served.process.exit_code(PATIENCE), 4);
    assert!(since.elapsed() < Duration::from_secs(12), "{:?}", since.elapsed());
    served
        .process
        .stderr
        .wait(|line| line.contains("drain limit").then_some(()));
    // Whether an answer still went out or the connection broke, nobody is told of success.
    if let Ok(answer) = call.join() {
        assert_eq!(answer["success"], false, "{answer}");
    }
    slow.assert_no_child();
}

#[test]
fn a_second_signal_does_not_wait() {
    let slow = Slow::with_drain("60s");
    let mut served = slow.served();
    let call = call(&served.door, 600.0);
    in_flight(&served.door);
    let since = Instant::now();
    served.process.signal(Signal::TERM);
    let stopping = |line: &str| line.contains("stopping").then_some(());
    served.process.stderr.wait(stopping);
    served.process.signal(Signal::TERM);
    assert_eq!(served.process.exit_code(PATIENCE), 4);
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    if let Ok(answer) = call.join() {
        assert_eq!(answer["success"], false, "{answer}");
    }
    slow.assert_no_child();
}

#[test]
fn no_door_takes_calls_while_another_one_drains() {
    let slow = Slow::with_drain("60s");
    let mut command = ferromcp(["serve", "--mode", "all", "--addr", "127.0.0.1:0", "--config"]);
    command.arg(slow.config());
    let mut session = Session::start(command);
    let listening = |line: &str| line.strip_prefix("listening http://").map(str::to_owned);
    let door = Door::new(&session.process.stderr.wait(listening));
    ready(&door);
    session.initialize();
    session.send_request(
        "tools/call",
        json!({ "name": "fix__slow_compute", "arguments": { "seconds": 600, "label": "sums" } }),
    );
    in_flight(&door);
    // A connection from before: the listener itself closes.
    let kept = std::net::TcpStream::connect(&door.address).unwrap();
    session.process.signal(Signal::TERM);
    let stopping = |line: &str| line.contains("stopping").then_some(());
    session.process.stderr.wait(stopping);
    assert_refused(kept);
    session.process.signal(Signal::INT);
    assert_eq!(session.process.exit_code(PATIENCE), 4);
    slow.assert_no_child();
}

/// While calls run to their end: not ready any more, and whoever comes is sent elsewhere, with a time to come back.
#[test]
fn readiness_goes_first_and_newcomers_are_told_when_to_retry() {
    let slow = Slow::with_drain("60s");
    let mut served = slow.served();
    let door = served.door.clone();
    let running = call(&door, 2.0);
    in_flight(&door);
    served.process.signal(Signal::TERM);
    served
        .process
        .stderr
        .wait(|line| line.contains("stopping").then_some(()));
    assert_eq!(door.get("/readyz").status, 503);
    assert_eq!(door.get("/healthz").status, 200);
    let json = ("Content-Type", "application/json");
    let late = json!({ "tool": "echo", "arguments": { "msg": "late" } }).to_string();
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": crate::support::LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" },
    } });
    let accept = ("Accept", "application/json, text/event-stream");
    for answer in [
        door.request("POST", "/v1/tools/call", &[json], &late),
        door.request("POST", "/mcp", &[json, accept], &hello.to_string()),
    ] {
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1")),
            "{answer:?}"
        );
        assert!(answer.body.contains("admit.draining"), "{answer:?}");
    }
    assert_eq!(running.join().unwrap()["success"], true);
    assert_eq!(served.process.exit_code(PATIENCE), 0);
    slow.assert_no_child();
}

/// Whatever becomes of a call on this connection, it does not run.
fn assert_refused(mut connection: std::net::TcpStream) {
    use std::io::{Read, Write};
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = r#"{"tool":"echo","arguments":{"msg":"late"}}"#;
    let head = "POST /v1/tools/call HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut answer = String::new();
    if connection.write_all(request.as_bytes()).is_ok() {
        let mut head = [0; 12];
        if connection.read_exact(&mut head).is_ok() {
            answer = String::from_utf8_lossy(&head).into_owned();
        }
    }
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 503"),
        "{answer}"
    );
}

#[test]
fn a_taken_port_leaves_no_child_behind() {
    let slow = Slow::with_drain("1s");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = ferromcp([
        "serve",
        "--addr",
        &taken.local_addr().unwrap().to_string(),
        "--config",
    ]);
    command.arg(slow.config());
    assert_eq!(crate::support::finish(command, "").code, 3);
    slow.assert_no_child();
}
