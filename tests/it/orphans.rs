//! The gateway is killed outright: nothing that it or its servers started stays behind.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Served, alive_with, eventually};

/// As a shell wrapper around a server that ignores its input and asks for nothing better than to stay.
const STUBBORN: &str = "trap '' TERM HUP INT; \
     sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1000; done' & \
     setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1000; done' & \
     while :; do sleep 1000; done";

struct Stubborn {
    _directory: TempDir,
    mark: String,
    served: Served,
}

impl Stubborn {
    /// A gateway with two of them, each of which has started all that it starts.
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().display().to_string();
        let server = json!({ "command": "sh", "args": ["-c", STUBBORN], "env": { "TEST_MARK": name } });
        let config = json!({ "servers": { "one": server, "two": server } });
        let file = directory.path().join("ferromcp.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        let served = Served::with_config(&file);
        let mark = format!("TEST_MARK={name}");
        // Three shells and three sleepers each.
        eventually("all of them run", || {
            (alive_with(&mark).len() == 12).then_some(())
        });
        Self {
            _directory: directory,
            mark,
            served,
        }
    }

    fn assert_gone(&self, limit: Duration) {
        let since = Instant::now();
        eventually("nothing is left", || {
            alive_with(&self.mark).is_empty().then_some(())
        });
        assert!(since.elapsed() < limit, "{:?}", since.elapsed());
    }
}

/// Processes of this gateway whose command line has the word.
fn children_with(word: &str, parent: u32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let of = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
            of == Some(parent) && String::from_utf8_lossy(&line).contains(word)
        })
        .collect()
}

#[test]
fn nothing_outlives_a_gateway_that_is_killed() {
    let mut stubborn = Stubborn::start();
    let watchdogs = children_with("__watchdog", stubborn.served.process.id());
    assert_eq!(watchdogs.len(), 1);
    stubborn.served.process.signal(Signal::KILL);
    // One second is for those that would end if asked.
    stubborn.assert_gone(Duration::from_secs(20));
    eventually("the watchdog has ended too", || {
        stubborn.served.process.has_ended();
        (!std::path::Path::new(&format!("/proc/{}", watchdogs[0])).exists()).then_some(())
    });
}

#[test]
fn a_watchdog_that_was_killed_is_replaced_by_one_that_knows_everything() {
    let stubborn = Stubborn::start();
    let gateway = stubborn.served.process.id();
    let first = children_with("__watchdog", gateway)[0];
    // A service manager that stops all processes at once does not disarm it.
    kill_process(Pid::from_raw(first).unwrap(), Signal::TERM).unwrap();
    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    eventually("there is another one", || {
        children_with("__watchdog", gateway)
            .iter()
            .any(|pid| *pid != first)
            .then_some(())
    });
    stubborn
        .served
        .process
        .stderr
        .wait(|line| line.contains("there is a new one").then_some(()));
    stubborn.served.process.signal(Signal::KILL);
    stubborn.assert_gone(Duration::from_secs(20));
}

#[test]
fn what_left_its_process_group_ends_with_its_server() {
    let mut stubborn = Stubborn::start();
    stubborn.served.process.signal(Signal::TERM);
    stubborn.served.process.exit_code(crate::support::PATIENCE);
    assert_eq!(alive_with(&stubborn.mark), Vec::<i32>::new());
}
