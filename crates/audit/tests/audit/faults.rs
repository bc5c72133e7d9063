//! Disks that are full, break, or cannot be written.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferromcp_audit::{Audit, AuditWriter, Config, Fault, NotRecorded, OnError, OpenError, State};

use crate::support::{
    Control, Faulty, HandClock, call, calls, config, entries, filled, good, kinds, open, segments,
};

struct Rig {
    dir: tempfile::TempDir,
    control: Arc<Control>,
    clock: Arc<HandClock>,
}

impl Rig {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            control: Arc::default(),
            clock: Arc::default(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn open(&self, change: impl FnOnce(&mut Config)) -> (Audit, AuditWriter) {
        let mut config = config(self.path());
        config.storage = Some(Faulty::new(self.path(), &self.control));
        config.clock = self.clock.clone();
        config.shards = 1;
        config.queue_bytes = 64 << 10;
        change(&mut config);
        open(config)
    }
}

fn failing(audit: &Audit) -> bool {
    matches!(audit.health().state, State::Failing { .. })
}

#[test]
fn a_full_disk_is_seen_refused_and_survived() {
    let rig = Rig::new();
    let (audit, writer) = rig.open(|_| {});
    audit.record(&call("0")).unwrap();
    audit.flush().wait().unwrap();
    // Half of a line still fits.
    *rig.control.space.lock().unwrap() = Some(100);
    let ticket = audit.record(&call("1")).unwrap();
    let error = audit.flush().wait().unwrap_err();
    assert!(error.to_string().contains("cannot be written"), "{error}");
    assert!(audit.durable(ticket).wait().is_err());
    assert!(failing(&audit));
    assert_eq!(audit.admit().unwrap_err(), error);
    // Calls that ended are still taken.
    audit.record(&call("2")).unwrap();
    assert!(audit.flush().wait().is_err());
    *rig.control.space.lock().unwrap() = None;
    audit.flush().wait().unwrap();
    audit.durable(ticket).wait().unwrap();
    audit.admit().unwrap();
    assert_eq!(audit.health().state, State::Ok);
    assert!(audit.health().failures >= 2);
    writer.close().unwrap();
    assert!(good(rig.path()).closed);
    assert_eq!(calls(rig.path()), [0, 1, 2]);
    let resumed = entries(rig.path())
        .into_iter()
        .find(|entry| entry.kind == "resumed")
        .unwrap();
    assert_eq!(resumed.note, Some(error.reason));
}

#[test]
fn a_failed_sync_writes_everything_again() {
    let rig = Rig::new();
    let (audit, writer) = rig.open(|_| {});
    rig.control.fail_sync.store(true, Ordering::SeqCst);
    audit.record(&call("0")).unwrap();
    assert!(audit.flush().wait().is_err());
    let name = segments(rig.path()).remove(0);
    let (durable, length) = rig.control.lengths()[&name];
    assert!(durable < length);
    rig.control.fail_sync.store(false, Ordering::SeqCst);
    audit.flush().wait().unwrap();
    writer.close().unwrap();
    good(rig.path());
    assert_eq!(calls(rig.path()), [0]);
}

#[test]
fn with_continue_calls_go_on_and_the_loss_is_counted() {
    let rig = Rig::new();
    let (audit, writer) = rig.open(|config| {
        config.on_error = OnError::Continue;
        config.ring_records = 10;
    });
    rig.control.read_only.store(true, Ordering::SeqCst);
    assert!(audit.flush().wait().is_ok(), "nothing to write yet");
    audit.record(&call("0")).unwrap();
    assert!(audit.flush().wait().is_err());
    audit.admit().unwrap();
    // On a failing disk `block` does not block: the queue and the waiting lines fill, then it drops.
    let (mut taken, mut lost) = (1u64, 0u64);
    while lost < 5 {
        match audit.record(&call("1")) {
            Ok(_) => taken += 1,
            Err(error) => {
                assert_eq!(error, NotRecorded::Full);
                lost += 1;
            }
        }
    }
    assert_eq!(audit.health().dropped, 5);
    rig.control.read_only.store(false, Ordering::SeqCst);
    audit.flush().wait().unwrap();
    writer.close().unwrap();
    good(rig.path());
    assert_eq!(calls(rig.path()).len() as u64, taken);
    let entries = entries(rig.path());
    let dropped: u64 = entries
        .iter()
        .filter(|e| e.kind == "dropped")
        .map(|e| e.count)
        .sum();
    assert_eq!(dropped, 5);
    assert!(entries.iter().any(|entry| entry.kind == "resumed"));
}

#[test]
fn it_tries_again_by_itself_when_its_time_has_come() {
    let rig = Rig::new();
    let (audit, writer) = rig.open(|_| {});
    rig.control.fail_sync.store(true, Ordering::SeqCst);
    let ticket = audit.record(&call("0")).unwrap();
    assert!(audit.flush().wait().is_err());
    rig.control.fail_sync.store(false, Ordering::SeqCst);
    rig.clock.advance(Duration::from_secs(2));
    // Only wakes the writer; the attempt is its own.
    audit.record(&call("1")).unwrap();
    while audit.durable(ticket).wait().is_err() {
        std::thread::yield_now();
    }
    writer.close().unwrap();
    assert_eq!(calls(rig.path()), [0, 1]);
}

#[test]
fn a_rotation_that_fails_loses_nothing() {
    let rig = Rig::new();
    let (audit, writer) = rig.open(|config| config.limits.segment_bytes = 10_000);
    for number in 0..10u64 {
        audit.record(&call(&number.to_string())).unwrap();
    }
    audit.flush().wait().unwrap();
    rig.control.read_only.store(true, Ordering::SeqCst);
    for number in 10..60u64 {
        audit.record(&call(&number.to_string())).unwrap();
    }
    assert!(audit.flush().wait().is_err());
    rig.control.read_only.store(false, Ordering::SeqCst);
    audit.flush().wait().unwrap();
    writer.close().unwrap();
    good(rig.path());
    assert!(segments(rig.path()).len() > 1);
    assert_eq!(calls(rig.path()), (0..60).collect::<Vec<_>>());
}

#[test]
fn a_close_on_a_full_disk_says_what_is_lost() {
    let rig = Rig::new();
    let (audit, writer) = rig.open(|_| {});
    *rig.control.space.lock().unwrap() = Some(0);
    audit.record(&call("0")).unwrap();
    let error = writer.close().unwrap_err();
    assert!(error.reason.starts_with("2 records were not written"), "{error}");
    assert_eq!(audit.health().state, State::Closed);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Audit::open(config(&file.join("audit"))).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    let control = Arc::new(Control::default());
    control.read_only.store(true, Ordering::SeqCst);
    let mut config = config(&dir.path().join("audit"));
    config.storage = Some(Faulty::new(&dir.path().join("audit"), &control));
    let error = Audit::open(config).unwrap_err();
    assert!(error.to_string().contains("audit.pub"), "{error}");
}

#[test]
fn damage_that_is_no_crash_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 0..100, |config| config.limits.segment_bytes = 10_000);
    let names = segments(dir.path());
    let path = dir.path().join(names.last().unwrap());
    let original = fs::read(&path).unwrap();
    let mut changed = original.clone();
    changed[200] ^= 1;
    let half = original[..original.len() / 2].to_vec();
    for bytes in [changed, half] {
        fs::write(&path, &bytes).unwrap();
        let Err(OpenError::Damaged { bad, .. }) = Audit::open(config(dir.path())) else {
            panic!("opened");
        };
        assert_eq!(Some(&bad.file), names.last());
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    fs::write(&path, &original).unwrap();
    let middle = dir.path().join(&names[1]);
    let kept = fs::read(&middle).unwrap();
    fs::remove_file(&middle).unwrap();
    let error = Audit::open(config(dir.path())).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    fs::write(&middle, kept).unwrap();
    let head = dir.path().join("head.json");
    let kept = fs::read(&head).unwrap();
    fs::remove_file(&head).unwrap();
    let Err(OpenError::Damaged { bad, .. }) = Audit::open(config(dir.path())) else {
        panic!("opened");
    };
    assert_eq!(bad.fault, Fault::HeadMissing);
    fs::write(&head, kept).unwrap();
    open(config(dir.path())).1.close().unwrap();
    good(dir.path());
    assert!(!kinds(dir.path()).contains(&"recovery".to_owned()));
}

#[test]
fn a_rotation_by_age_that_fails_is_an_answer_to_who_waits() {
    let rig = Rig::new();
    let (audit, writer) = rig.open(|_| {});
    audit.record(&call("0")).unwrap();
    audit.flush().wait().unwrap();
    rig.control.fail_sync.store(true, Ordering::SeqCst);
    rig.clock.advance(Duration::from_secs(100_000));
    assert!(audit.flush().wait().is_err());
    rig.control.fail_sync.store(false, Ordering::SeqCst);
    audit.flush().wait().unwrap();
    writer.close().unwrap();
    good(rig.path());
    assert_eq!(calls(rig.path()), [0]);
}
