//! A real process that is killed in the middle: what it was told is durable is there afterwards.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{call, calls, config, filled, good, kinds, open};

const DIRECTORY: &str = "FERROMCP_AUDIT_KILL_TEST";

/// The process that is killed: four threads record, and print the number of each durable record.
#[test]
#[ignore = "the other half of a_killed_process_loses_nothing_acknowledged"]
fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let mut config = config(&dir);
    config.limits.segment_bytes = 50_000;
    let (audit, _writer) = open(config);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let audit = audit.clone();
            scope.spawn(move || {
                for number in (thread..).step_by(4) {
                    let ticket = audit.record(&call(&number.to_string())).unwrap();
                    // Every eighth waits; the others go along.
                    if number % 8 == thread {
                        audit.durable(ticket).wait().unwrap();
                        writeln!(std::io::stdout(), "durable {number}").unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let number = |line: &str| {
        line.trim_end()
            .strip_prefix("durable ")
            .and_then(|text| text.parse::<u64>().ok())
    };
    let mut line = String::new();
    while acknowledged.len() < 300 {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "the child ended by itself"
        );
        acknowledged.extend(number(&line));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still said before it died counts, too; half a line does not.
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    acknowledged.extend(
        rest.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .filter_map(number),
    );

    filled(dir.path(), 0..0, |_| {});
    let report = good(dir.path());
    assert!(report.closed && report.segments > 1);
    assert!(kinds(dir.path()).contains(&"recovery".to_owned()));
    let found: BTreeSet<u64> = calls(dir.path()).into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
