//! Calls that began and never ended: told of by the next start, once, whatever happened in between.

use std::path::Path;
use std::time::Duration;

use ferromcp_audit::{Config, Entry, Kind, Record, Tap};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{at, config, entries, filled, good, open, segments};

fn record(kind: Kind, number: u64) -> Record<'static> {
    Record {
        request_id: u128::from(number + 1).to_be_bytes(),
        tenant: Some("acme"),
        principal: Some("key-1"),
        method: Some("tools/call"),
        tool: Some("write"),
        source: Some("files"),
        args: Some(r#"{"a":1}"#),
        ..Record::new(
            kind,
            at(number),
            "http",
            if kind == Kind::Begin { "begun" } else { "ok" },
        )
    }
}

fn interrupted(dir: &Path) -> Vec<Entry> {
    let mut found = entries(dir);
    found.retain(|entry| entry.kind == "interrupted");
    found
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    let number = |entry: &Entry| u64::from_str_radix(entry.request_id.as_deref().unwrap(), 16).unwrap() - 1;
    entries.iter().map(number).collect()
}

/// Leaves the directory as a killed process does: everything written is there, nothing was closed.
fn killed(from: &Path, dir: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
    }
}

/// Begins and ends calls and gives the directory as a crash leaves it.
fn crashed(steps: &[(Kind, u64)], change: impl FnOnce(&mut Config)) -> tempfile::TempDir {
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = config(before.path());
    change(&mut config);
    let (audit, writer) = open(config);
    for (kind, number) in steps {
        let ticket = audit.record(&record(*kind, *number)).unwrap();
        audit.durable(ticket).wait().unwrap();
    }
    killed(before.path(), after.path());
    writer.close().unwrap();
    after
}

#[test]
fn a_call_that_began_and_never_ended_may_have_run() {
    let dir = crashed(
        &[
            (Kind::Begin, 1),
            (Kind::Begin, 2),
            (Kind::Call, 1),
            (Kind::Call, 7),
        ],
        |_| {},
    );
    filled(dir.path(), 0..0, |_| {});
    let found = interrupted(dir.path());
    assert_eq!(numbers(&found), [2]);
    let call = &found[0];
    assert_eq!(
        (
            call.tenant.as_deref(),
            call.tool.as_deref(),
            call.source.as_deref(),
            call.outcome.as_deref()
        ),
        (Some("acme"), Some("write"), Some("files"), Some("interrupted"))
    );
    assert_eq!(
        (call.door.as_deref(), call.principal.as_deref()),
        (Some("http"), Some("key-1"))
    );
    let note = call.note.as_deref().unwrap();
    assert!(
        note.contains("may have run") && note.contains("2026-01-01T00:00:02"),
        "{note}"
    );
    good(dir.path());
    // Once is enough.
    filled(dir.path(), 0..3, |_| {});
    assert_eq!(numbers(&interrupted(dir.path())), [2]);
    good(dir.path());
}

#[test]
fn an_orderly_end_leaves_only_what_really_has_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, writer) = open(config(dir.path()));
    audit.record(&record(Kind::Begin, 1)).unwrap();
    audit.record(&record(Kind::Call, 1)).unwrap();
    audit.record(&record(Kind::Begin, 2)).unwrap();
    writer.close().unwrap();
    filled(dir.path(), 0..0, |_| {});
    assert_eq!(numbers(&interrupted(dir.path())), [2]);
}

#[test]
fn what_runs_is_carried_from_segment_to_segment() {
    let steps: Vec<_> = [(Kind::Begin, 1), (Kind::Begin, 2)]
        .into_iter()
        .chain((10..400).map(|number| (Kind::Call, number)))
        .chain([(Kind::Call, 2)])
        .chain((400..600).map(|number| (Kind::Call, number)))
        .collect();
    let dir = crashed(&steps, |config| config.limits.segment_bytes = 16 << 10);
    let count = segments(dir.path()).len();
    assert!(count > 5, "{count} segments");
    filled(dir.path(), 0..0, |_| {});
    assert_eq!(numbers(&interrupted(dir.path())), [1]);
    good(dir.path());
}

#[test]
fn more_running_calls_than_a_segment_holds_do_not_make_segments_for_ever() {
    let steps: Vec<_> = (0..200).map(|number| (Kind::Begin, number)).collect();
    let dir = crashed(&steps, |config| config.limits.segment_bytes = 4 << 10);
    let count = segments(dir.path()).len();
    assert!((3..100).contains(&count), "{count} segments");
    filled(dir.path(), 0..0, |_| {});
    assert_eq!(numbers(&interrupted(dir.path())), (0..200).collect::<Vec<_>>());
    good(dir.path());
}

#[test]
fn a_segment_that_lost_what_it_was_to_repeat_is_no_loss() {
    let steps: Vec<_> = [(Kind::Begin, 1), (Kind::Begin, 2)]
        .into_iter()
        .chain((10..60).map(|number| (Kind::Call, number)))
        .collect();
    let dir = crashed(&steps, |config| config.limits.segment_bytes = 16 << 10);
    let names = segments(dir.path());
    let last = dir.path().join(names.last().unwrap());
    assert!(names.len() > 1);
    // A crash right after the rotation: one whole line of the new segment, and half of the next.
    let text = std::fs::read(&last).unwrap();
    let line = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    std::fs::write(&last, &text[..line + 30]).unwrap();
    filled(dir.path(), 0..0, |_| {});
    assert_eq!(numbers(&interrupted(dir.path())), [1, 2]);
    good(dir.path());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever began and ended, over rotations and crashes: told are those without an end, each once.
    #[test]
    fn told_are_those_without_an_end(steps in vec((any::<bool>(), 0..40u64), 0..120), bytes in 4..40u64) {
        let steps: Vec<_> = steps
            .into_iter()
            .map(|(begins, number)| (if begins { Kind::Begin } else { Kind::Call }, number))
            .collect();
        let mut model = std::collections::BTreeSet::new();
        for (kind, number) in &steps {
            if *kind == Kind::Begin {
                model.insert(*number);
            } else {
                model.remove(number);
            }
        }
        let dir = crashed(&steps, |config| config.limits.segment_bytes = bytes << 10);
        for _ in 0..2 {
            filled(dir.path(), 0..0, |_| {});
            let found = numbers(&interrupted(dir.path()));
            prop_assert_eq!(&found, &model.iter().copied().collect::<Vec<_>>());
            good(dir.path());
        }
    }
}

/// Keeps lines, and refuses every other time.
struct Picky(std::sync::mpsc::SyncSender<String>, bool);

impl Tap for Picky {
    fn take(&mut self, lines: &[u8]) -> u64 {
        self.1 = !self.1;
        if self.1 {
            self.0.send(String::from_utf8(lines.to_vec()).unwrap()).unwrap();
            0
        } else {
            lines.iter().filter(|byte| **byte == b'\n').count() as u64
        }
    }
}

#[test]
fn taps_get_whole_lines_and_their_losses_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, lines) = std::sync::mpsc::sync_channel(100);
    let mut config = config(dir.path());
    config.limits.commit_delay = Duration::ZERO;
    config.taps = vec![Box::new(Picky(sender, false))];
    let (audit, writer) = open(config);
    for number in 0..4 {
        let ticket = audit.record(&record(Kind::Call, number)).unwrap();
        audit.durable(ticket).wait().unwrap();
    }
    writer.close().unwrap();
    let health = audit.health();
    let got: String = lines.iter().collect();
    let got: Vec<&str> = got.lines().collect();
    assert!(
        got.iter().all(|line| Entry::parse(line.as_bytes()).is_ok()),
        "{got:?}"
    );
    assert_eq!(got.len() as u64 + health.sink_dropped, health.written);
    assert!(health.sink_dropped > 0);
}
