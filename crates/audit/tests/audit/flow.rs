//! From a call to the ring, the log and the second output.

use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use ferromcp_audit::{
    Audit, Config, ConfigError, DEFAULT_SECRET_KEYS, Decision, Filter, Kind, NotRecorded, OnFull, OpenError,
    Record, SecretKeys, State, StoreArgs, tail,
};

use crate::support::{Control, Faulty, at, call, calls, config, entries, filled, good, kinds, open};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_record_comes_out_as_it_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.store_args = Some(StoreArgs {
        max_bytes: 1000,
        redact: SecretKeys::new(DEFAULT_SECRET_KEYS).unwrap(),
    });
    let (audit, writer) = open(config);
    let args = r#"{"path":"/data/ü","password":"hush"}"#;
    let record = Record {
        request_id: [0xab; 16],
        trace_id: Some([1; 16]),
        tenant: Some("acme"),
        principal: Some("key-1"),
        client: Some("agent \"7\"\n"),
        method: Some("tools/call"),
        tool: Some("read_file"),
        source: Some("files"),
        args: Some(args),
        decision: Some(Decision::Deny),
        rule: Some("acl.tool"),
        latency: std::time::Duration::from_micros(1234),
        bytes_in: 10,
        bytes_out: 20,
        ..Record::new(Kind::Call, at(5), "http", "permission_denied")
    };
    let ticket = audit.record(&record).unwrap();
    audit.durable(ticket).wait().unwrap();
    audit.flush().wait().unwrap();
    let logged = tail(dir.path(), 1).unwrap().next().unwrap().unwrap();
    let recent = audit.recent(&Filter {
        tool: Some("read_file".into()),
        ..Filter::default()
    });
    writer.close().unwrap();
    assert_eq!(
        logged.args.as_deref(),
        Some(r#"{"path":"/data/ü","password":"[redacted]"}"#)
    );
    assert_eq!(logged.client.as_deref(), Some("agent \"7\"\n"));
    assert_eq!(logged.request_id, Some("ab".repeat(16)));
    assert_eq!(logged.trace_id, Some("01".repeat(16)));
    assert_eq!(logged.decision.as_deref(), Some("deny"));
    assert_eq!(logged.rule.as_deref(), Some("acl.tool"));
    assert_eq!(logged.outcome.as_deref(), Some("permission_denied"));
    assert_eq!(
        (logged.latency_us, logged.bytes_in, logged.bytes_out),
        (1234, 10, 20)
    );
    assert_eq!(logged.time, at(5));
    assert_eq!(recent.len(), 1);
    let mut without_args = logged;
    without_args.args = None;
    assert_eq!(recent[0], without_args);
    let report = good(dir.path());
    assert!(report.closed && report.unsigned == 0);
    assert_eq!(kinds(dir.path()), ["start", "checkpoint", "call", "checkpoint"]);
}

#[test]
fn hostile_texts_stay_in_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.store_args = Some(StoreArgs {
        max_bytes: 2000,
        redact: SecretKeys::default(),
    });
    let (audit, writer) = open(config);
    let name = "n".repeat(1 << 20);
    let control: String = (0..32u8).map(char::from).collect();
    let forged = "\",\"prev\":\"00\",\"hash\":\"00\"}\n{\"seq\":1";
    let args = [
        r#"{"a":"\ud800"}"#.to_owned(),
        "\u{0}\u{1}".to_owned(),
        format!("\"{}\"", "x".repeat(2 << 20)),
        String::new(),
    ];
    for args in &args {
        for text in [name.as_str(), control.as_str(), forged, "\u{202e}\u{2028}"] {
            let record = Record {
                tenant: Some(text),
                tool: Some(text),
                rule: Some(text),
                note: Some(text),
                args: Some(args),
                ..Record::new(Kind::Call, at(0), text, text)
            };
            audit.record(&record).unwrap();
        }
    }
    writer.close().unwrap();
    good(dir.path());
    let entries: Vec<_> = entries(dir.path())
        .into_iter()
        .filter(|entry| entry.kind == "call")
        .collect();
    assert_eq!(entries.len(), 16);
    assert!(
        entries[0]
            .tool
            .as_ref()
            .unwrap()
            .ends_with("n…[cut: 1048576 bytes]")
    );
    assert_eq!(entries[1].tool.as_deref(), Some(control.as_str()));
    assert_eq!(entries[2].rule.as_deref(), Some(forged));
    assert_eq!(entries[0].args.as_deref(), Some(args[0].as_str()));
    assert_eq!(entries[4].args.as_deref(), Some("[not JSON: not stored]"));
    assert!(
        entries[8]
            .args
            .as_ref()
            .unwrap()
            .ends_with("x…[cut: 2097154 bytes]")
    );
}

#[test]
fn eight_threads_lose_nothing_and_numbers_are_dense() {
    const EACH: u64 = 5000;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.shards = 3;
    config.queue_bytes = 200 << 10;
    config.limits.segment_bytes = 1 << 20;
    let (audit, writer) = open(config);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let audit = audit.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let name = (thread * EACH + number).to_string();
                    audit.record(&call(&name)).unwrap();
                }
            });
        }
    });
    writer.close().unwrap();
    let report = good(dir.path());
    assert!(report.segments > 3);
    assert_eq!(report.last.unwrap().seq, report.records);
    let calls = calls(dir.path());
    for thread in 0..8 {
        let own: Vec<u64> = calls
            .iter()
            .copied()
            .filter(|call| call / EACH == thread)
            .collect();
        assert_eq!(own, (thread * EACH..(thread + 1) * EACH).collect::<Vec<_>>());
    }
}

#[test]
fn a_full_queue_drops_and_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let control = Arc::new(Control::default());
    let mut config = config(dir.path());
    config.storage = Some(Faulty::new(dir.path(), &control));
    config.on_full = OnFull::Drop;
    config.shards = 1;
    config.queue_bytes = 64 << 10;
    let (audit, writer) = open(config);
    let gate = control.gate.lock().unwrap();
    let (mut taken, mut dropped) = (0u64, 0u64);
    while dropped < 7 {
        match audit.record(&call("1")) {
            Ok(_) => taken += 1,
            Err(error) => {
                assert_eq!(error, NotRecorded::Full);
                dropped += 1;
            }
        }
    }
    assert_eq!(audit.try_record(&call("1")), Err(NotRecorded::Full));
    assert_eq!(audit.health().dropped, 7);
    drop(gate);
    writer.close().unwrap();
    good(dir.path());
    let entries = entries(dir.path());
    let count = |kind: &str| entries.iter().filter(|entry| entry.kind == kind).count() as u64;
    assert_eq!(count("call"), taken);
    let lost: u64 = entries
        .iter()
        .filter(|e| e.kind == "dropped")
        .map(|e| e.count)
        .sum();
    assert_eq!(lost, 7);
    assert_eq!(audit.record(&call("1")), Err(NotRecorded::Closed));
    assert_eq!(audit.health().state, State::Closed);
    assert!(audit.admit().is_err());
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_full_queue_blocks_threads_and_parks_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let control = Arc::new(Control::default());
    let mut config = config(dir.path());
    config.storage = Some(Faulty::new(dir.path(), &control));
    config.shards = 1;
    config.queue_bytes = 64 << 10;
    let (audit, writer) = open(config);
    let gate = control.gate.lock().unwrap();
    let mut number = 0u64;
    while audit.try_record(&call(&number.to_string())).is_ok() {
        number += 1;
    }
    let (task_name, thread_name) = (number.to_string(), (number + 1).to_string());
    let record = call(&task_name);
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    let mut task = pin!(audit.record_async(&record));
    // The writer may have taken one more batch before it met the gate: then the queue fills again.
    let mut extra = number + 2;
    while task.as_mut().poll(&mut context).is_ready() {
        task.set(audit.record_async(&record));
        while audit.try_record(&call(&extra.to_string())).is_ok() {
            extra += 1;
        }
    }
    let thread = std::thread::spawn({
        let audit = audit.clone();
        move || audit.record(&call(&thread_name)).map(|_| ())
    });
    drop(gate);
    thread.join().unwrap().unwrap();
    audit.flush().wait().unwrap();
    assert!(wakes.0.load(Ordering::SeqCst) > 0);
    let Poll::Ready(result) = task.as_mut().poll(&mut context) else {
        panic!("there is room");
    };
    result.unwrap();
    writer.close().unwrap();
    assert_eq!(audit.health().dropped, 0);
    let mut found = calls(dir.path());
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, (0..extra).collect::<Vec<_>>());
}

#[test]
fn the_second_output_gets_the_same_lines() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Shared::default();
    let ours = sink.clone();
    filled(dir.path(), 0..100, |config| config.sink = Some(Box::new(ours)));
    let name = crate::support::segments(dir.path()).remove(0);
    let file = std::fs::read(dir.path().join(name)).unwrap();
    assert_eq!(*sink.0.lock().unwrap(), file);
}

#[test]
fn without_a_directory_there_are_ring_and_second_output() {
    let sink = Shared::default();
    let mut config = Config::new(None);
    config.sink = Some(Box::new(sink.clone()));
    let (audit, writer) = Audit::open(config).unwrap();
    assert_eq!(writer.public_key(), None);
    let ticket = audit.record(&call("1")).unwrap();
    audit.durable(ticket).wait().unwrap();
    audit.flush().wait().unwrap();
    assert_eq!(audit.recent(&Filter::default()).len(), 2);
    writer.close().unwrap();
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains("\"tool\":\"1\""));
}

#[test]
fn admin_changes_and_reloads_are_records_too() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, writer) = open(config(dir.path()));
    for kind in [Kind::Admin, Kind::Reload, Kind::Marker] {
        let record = Record {
            note: Some("tenant acme suspended"),
            ..Record::new(kind, at(1), "admin", "ok")
        };
        audit.record(&record).unwrap();
    }
    writer.close().unwrap();
    assert_eq!(kinds(dir.path())[2..5], ["admin", "reload", "marker"]);
    assert_eq!(
        entries(dir.path())[2].note.as_deref(),
        Some("tenant acme suspended")
    );
}

#[test]
fn what_is_out_of_bounds_is_refused_by_name() {
    let refused = |change: fn(&mut Config)| {
        let mut config = Config::new(None);
        change(&mut config);
        match Audit::open(config) {
            Err(OpenError::Config(error)) => ConfigError::setting(&error).to_owned(),
            other => panic!("{:?}", other.err()),
        }
    };
    assert_eq!(refused(|c| c.queue_bytes = 1), "queue_bytes");
    assert_eq!(refused(|c| c.shards = 0), "shards");
    assert_eq!(refused(|c| c.limits.segment_bytes = 1), "segment_bytes");
    assert_eq!(refused(|c| c.limits.keep_segments = Some(1)), "keep_segments");
    assert_eq!(refused(|c| c.limits.checkpoint_records = 0), "checkpoint_records");
}
