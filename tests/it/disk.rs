//! An audit log that cannot be written: calls are refused or go on, as configured, loudly.

use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Answer, Door, Legacy, PATIENCE, Process, Served, Setup as Admin, eventually, ferromcp, finish, program,
};

/// Starts `ferromcp serve` so that a limit on the size of files is an error of writing, as a full disk is.
fn start(config: &Path) -> Served {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap '' XFSZ; exec \"$0\" serve --addr 127.0.0.1:0 --config \"$1\"",
    ]);
    command.arg(program()).arg(config);
    Served::of(Process::start(command))
}

/// Makes the disk full, or not any more, for one process: no file may grow beyond so many bytes.
fn disk(process: &Process, room: Option<u64>) {
    let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: room,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).expect("a limit");
}

fn config(audit: &Value) -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ferromcp.yaml");
    std::fs::write(&file, json!({ "audit": audit }).to_string()).unwrap();
    (directory, file)
}

fn echo(door: &Door) -> Answer {
    door.rest("echo", &json!({ "msg": "x" }))
}

fn records(directory: &TempDir) -> Vec<Value> {
    let mut query = ferromcp(["audit", "query", "audit"]);
    query.current_dir(directory.path());
    let done = finish(query, "");
    assert_eq!(done.code, 0, "{done:?}");
    let records = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    records.collect()
}

fn verify(directory: &TempDir) {
    let mut verify = ferromcp(["audit", "verify", "audit"]);
    verify.current_dir(directory.path());
    let done = finish(verify, "");
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn a_full_disk_refuses_calls_with_the_rule_and_they_pass_when_there_is_room() {
    for on_full in ["block", "drop"] {
        let (directory, file) = config(&json!({ "file": "audit", "on_full": on_full, "on_error": "refuse" }));
        let mut served = start(&file);
        assert_eq!(echo(&served.door).status, 200);
        let legacy = Legacy::open(&served.door);
        disk(&served.process, Some(0));
        // A call whose record is what finds out still passes; then none does, on any door.
        let refused = eventually("calls are refused", || {
            let answer = echo(&served.door);
            (answer.status != 200).then_some(answer)
        });
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(
            refused.json()["error"]["rule"],
            "audit.unavailable",
            "{refused:?}"
        );
        assert_eq!(refused.json()["error"]["code"], "unavailable", "{refused:?}");
        let call = json!({ "name": "echo", "arguments": { "msg": "x" } });
        for answer in [
            legacy.request("tools/call", call.clone()),
            served.door.modern("tools/call", call),
        ] {
            assert_eq!(answer["error"]["data"]["rule"], "audit.unavailable", "{answer}");
            assert_eq!(answer["error"]["code"], -32013, "{answer}");
        }
        served
            .process
            .stderr
            .wait(|line| line.contains("the audit log cannot be written").then_some(()));
        disk(&served.process, None);
        eventually("calls pass again", || {
            (echo(&served.door).status == 200).then_some(())
        });
        served.process.signal(rustix::process::Signal::TERM);
        assert_eq!(served.process.exit_code(PATIENCE), 0);
        // The log says that there was a failure, and its chain holds.
        let records = records(&directory);
        let resumed = records.iter().find(|record| record["kind"] == "resumed");
        let resumed = resumed.unwrap_or_else(|| panic!("{records:#?}"));
        assert!(
            resumed["note"]
                .as_str()
                .is_some_and(|note| note.contains("File too large")),
            "{resumed}"
        );
        verify(&directory);
    }
}

#[test]
fn with_continue_calls_go_on_and_what_is_lost_is_counted_and_marked() {
    for on_full in ["block", "drop"] {
        let admin = Admin::new();
        let text = std::fs::read_to_string(admin.config()).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["audit"] = json!({
            "file": "audit", "on_full": on_full, "on_error": "continue", "arguments": "store",
            "max_arguments": "256KiB", "redact": [],
        });
        config["auth"] = json!({ "anonymous": "local" });
        config["validation"] = json!({ "max_string": "250KiB" });
        std::fs::write(admin.config(), config.to_string()).unwrap();
        let mut served = start(&admin.config());
        let api = admin.api(&served.process);
        assert_eq!(echo(&served.door).status, 200);
        disk(&served.process, Some(0));
        // Large arguments, so that what may wait is soon full.
        let large = json!({ "msg": "x".repeat(200 << 10) });
        let lost = eventually("records are lost", || {
            assert_eq!(served.door.rest("echo", &large).status, 200);
            let status = api.ok("GET", "status", "");
            status["audit"]["dropped"].as_u64().filter(|dropped| *dropped > 0)
        });
        let status = api.ok("GET", "status", "");
        assert_eq!(status["audit"]["state"], "failing", "{status}");
        assert_eq!(echo(&served.door).status, 200);
        disk(&served.process, None);
        eventually("the log is written again", || {
            (api.ok("GET", "status", "")["audit"]["state"] == "ok").then_some(())
        });
        served.process.signal(rustix::process::Signal::TERM);
        assert_eq!(served.process.exit_code(PATIENCE), 0);
        let records = records(&admin.directory);
        let marked: u64 = records
            .iter()
            .filter(|record| record["kind"] == "dropped")
            .map(|record| record["count"].as_u64().unwrap())
            .sum();
        assert!(marked >= lost, "{marked} of {lost}");
        assert!(records.iter().any(|record| record["kind"] == "resumed"));
        verify(&admin.directory);
    }
}

#[test]
fn two_processes_on_one_directory_are_refused() {
    let (directory, file) = config(&json!({ "file": "audit" }));
    let served = Served::with_config(&file);
    assert_eq!(echo(&served.door).status, 200);
    let second = finish(
        ferromcp([
            "serve".as_ref(),
            "--addr".as_ref(),
            "127.0.0.1:0".as_ref(),
            "--config".as_ref(),
            file.as_os_str(),
        ]),
        "",
    );
    assert_eq!(second.code, 1, "{second:?}");
    let says = second.stderr.lines().last().unwrap_or_default();
    assert!(says.contains("in use by another writer"), "{second:?}");
    assert!(
        says.contains(&directory.path().join("audit").display().to_string()),
        "{second:?}"
    );
    // The first one is not disturbed, and one that comes after it goes on.
    assert_eq!(echo(&served.door).status, 200);
    drop(served);
    let third = Served::with_config(&file);
    assert_eq!(echo(&third.door).status, 200);
    drop(third);
    verify(&directory);
}
