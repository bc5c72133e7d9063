//! `ferromcp serve` on its HTTP doors.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Legacy, Process, Served, directory_with, ferromcp, finish, names, text};

/// From a signal to the end when nothing is in flight: milliseconds, and some allowance for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);

#[test]
fn it_prints_its_urls_and_a_line_that_works() {
    let served = Served::start::<&str>([]);
    let (door, said) = (&served.door, &served.process.stderr);
    for path in ["/mcp", "/v1/tools", "/v1/openapi.json", "/health"] {
        let url = door.url(path);
        said.wait(|line| line.contains(&url).then_some(()));
    }
    let line = said.wait(|line| line.trim().starts_with("curl ").then(|| line.trim().to_owned()));
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]);
    let ran = finish(shell, "");
    assert_eq!(ran.code, 0, "{line}: {ran:?}");
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&answer["success"], &answer["output"]),
        (&json!(true), &json!("hello")),
        "{answer}"
    );

    // The call has its record.
    let record = said.wait(|line| line.contains("\"event\":\"call\"").then(|| line.to_owned()));
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["request_id"], answer["request_id"], "{record}");
    assert_eq!(
        (&record["name"], &record["outcome"]),
        (&json!("echo"), &json!("ok")),
        "{record}"
    );
}

#[test]
fn every_door_serves() {
    let directory = directory_with("hello.txt", "kept here");
    let served = Served::start(["--root", directory.path().to_str().unwrap()]);
    let door = &served.door;
    assert_eq!(door.get("/healthz").status, 200);
    assert_eq!(door.get("/readyz").status, 200);
    assert_eq!(door.health()["status"], "ok");
    let document = door.get("/v1/openapi.json").json();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{document}"
    );
    let listed = door.get("/v1/tools").json();
    assert!(names(&listed["tools"]).contains(&"read_file"), "{listed}");

    let arguments = json!({ "path": "hello.txt" });
    assert!(door.rest_text("read_file", &arguments).contains("kept here"));
    let params = json!({ "name": "read_file", "arguments": arguments });
    let modern = door.modern("tools/call", params.clone());
    assert!(text(&modern["result"]).contains("kept here"), "{modern}");
    let legacy = Legacy::open(door).request("tools/call", params);
    assert!(text(&legacy["result"]).contains("kept here"), "{legacy}");

    let outside = door.rest("read_file", &json!({ "path": "../../etc/passwd" }));
    assert_eq!(outside.json()["success"], false, "{outside:?}");
    let write = door.rest("write_file", &json!({ "path": "new.txt", "content": "x" }));
    assert_eq!(write.json()["success"], false, "only with --write: {write:?}");
    assert!(!directory.path().join("new.txt").exists());
}

#[test]
fn signals_end_it_at_once_when_nothing_is_in_flight() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut served = Served::start::<&str>([]);
        // Neither a session, nor its open event stream, nor an idle connection holds it up.
        let legacy = Legacy::open(&served.door);
        let mut headers = legacy.headers();
        headers.retain(|(name, _)| *name != "Content-Type");
        let _stream = served.door.send("GET", "/mcp", &headers, "");
        let _idle = std::net::TcpStream::connect(&served.door.address).unwrap();
        assert_eq!(served.door.health()["sessions"], 1);
        served.process.signal(signal);
        assert_eq!(served.process.exit_code(AT_ONCE), 0, "{signal:?}");
        assert_eq!(served.process.stdout.all(), Vec::<String>::new());
    }
}

#[test]
fn a_taken_port_is_exit_code_3() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = finish(ferromcp(["serve", "--addr", &address]), "");
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains(&address), "{refused:?}");
    // Nor do two of them share a port.
    let served = Served::start::<&str>([]);
    let second = finish(ferromcp(["serve", "--addr", &served.door.address]), "");
    assert_eq!(second.code, 3, "{second:?}");
}

#[test]
fn an_address_that_others_reach_is_refused_without_authentication() {
    for address in ["0.0.0.0:0", "[::]:0", ":0"] {
        let refused = finish(ferromcp(["serve", "--addr", address]), "");
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(
            refused.stderr.contains("no authentication is configured"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("--insecure-no-auth"), "{refused:?}");
    }
    let open = ["serve", "--addr", "0.0.0.0:0", "--insecure-no-auth"];
    let mut process = Process::start(ferromcp(open));
    process
        .stderr
        .wait(|line| line.contains("NO AUTHENTICATION").then_some(()));
    process
        .stderr
        .wait(|line| line.starts_with("listening http://0.0.0.0:").then_some(()));
    process.signal(Signal::TERM);
    assert_eq!(process.exit_code(AT_ONCE), 0);
}
