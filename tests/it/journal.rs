//! A gateway that is killed in the middle of a call: afterwards its audit log says which calls may have run.

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Served, eventually, ferromcp, finish, fixture};

fn query(log: &Path, kind: &str) -> Vec<Value> {
    let query = finish(
        ferromcp([
            "audit".as_ref(),
            "query".as_ref(),
            log.as_os_str(),
            "--kind".as_ref(),
            kind.as_ref(),
        ]),
        "",
    );
    assert_eq!(query.code, 0, "{}", query.stderr);
    query
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn verify(log: &Path) {
    let verified = finish(
        ferromcp(["audit".as_ref(), "verify".as_ref(), log.as_os_str()]),
        "",
    );
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn after_a_kill_the_log_says_which_calls_may_have_run() {
    let directory = tempfile::tempdir().unwrap();
    let (file, log) = (
        directory.path().join("ferromcp.yaml"),
        directory.path().join("audit"),
    );
    let config = json!({
        "servers": { "fix": { "command": fixture(), "args": ["--stdio"] } },
        "audit": { "file": "audit", "journal": true },
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let mut served = Served::with_config(&file);
    let door = served.door.clone();
    eventually("the upstream server is ready", || {
        (door.source("fix").0 == "ready").then_some(())
    });
    // One that ends, one that cannot have effects, and one that is running when the server is killed.
    door.rest_text("fix__slow_compute", &json!({ "seconds": 0.0 }));
    door.rest_text("echo", &json!({ "msg": "x" }));
    let arguments = json!({ "seconds": 600.0 });
    let hanging = door.send(
        "POST",
        "/v1/tools/call",
        &[("Content-Type", "application/json")],
        &json!({ "tool": "fix__slow_compute", "arguments": arguments }).to_string(),
    );
    let running = |entry: &Value| entry["tool"] == "fix__slow_compute";
    let begun = eventually("both calls are in the journal", || {
        let begun = query(&log, "begin");
        (begun.iter().filter(|entry| running(entry)).count() == 2).then_some(begun)
    });
    assert!(begun.iter().all(|entry| entry["tool"] != "echo"), "{begun:?}");
    let id = begun.last().unwrap()["request_id"].clone();
    served.process.signal(Signal::KILL);
    drop(hanging);
    eventually("it is dead", || served.process.has_ended().then_some(()));
    assert_eq!(query(&log, "interrupted"), Vec::<Value>::new());

    let mut served = Served::with_config(&file);
    let told = query(&log, "interrupted");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["request_id"], id);
    assert_eq!(
        (
            &told[0]["tool"],
            &told[0]["tenant"],
            &told[0]["source"],
            &told[0]["door"]
        ),
        (
            &json!("fix__slow_compute"),
            &json!("local"),
            &json!("fix"),
            &json!("rest")
        ),
        "{told:?}"
    );
    let note = told[0]["note"].as_str().unwrap();
    assert!(note.contains("may have run"), "{note}");
    served
        .process
        .stderr
        .wait(|line| line.contains("may have run").then_some(()));
    served.process.signal(Signal::TERM);
    served.process.exit_code(crate::support::PATIENCE);
    verify(&log);
    // And never again.
    let mut served = Served::with_config(&file);
    served.process.signal(Signal::TERM);
    served.process.exit_code(crate::support::PATIENCE);
    assert_eq!(query(&log, "interrupted").len(), 1);
    verify(&log);
}
