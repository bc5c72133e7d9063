//! What a record costs the call, what the log manages to the disk, how fast it is verified; each next to a baseline of the same run.
//!
//! `cargo bench -p ferromcp-audit`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ferromcp_audit::{
    Audit, AuditWriter, Config, Decision, Kind, OnFull, Record, SigningKey, VerifyOptions, verify,
};

const ARGS: &str = r#"{"query":"SELECT id, name FROM customers WHERE country = $1 ORDER BY name","parameters":["DE"],"options":{"limit":100,"offset":0,"timeout_ms":2500,"explain":false},"tags":["report","weekly","sales"],"note":"Numbers for the meeting on Monday; keep closed accounts out of it.","path":"reports/week-31.csv"}"#;

fn record(time: SystemTime) -> Record<'static> {
    Record {
        request_id: [0xab; 16],
        trace_id: Some([0xcd; 16]),
        tenant: Some("company-a"),
        principal: Some("key-2026-1"),
        client: Some("claude-desktop/1.4"),
        method: Some("tools/call"),
        tool: Some("query"),
        source: Some("postgres"),
        args: Some(ARGS),
        decision: Some(Decision::Allow),
        latency: Duration::from_micros(1234),
        bytes_in: 512,
        bytes_out: 2048,
        ..Record::new(Kind::Call, time, "http", "ok")
    }
}

fn open(dir: Option<&Path>, change: impl FnOnce(&mut Config)) -> (Audit, AuditWriter) {
    let mut config = Config::new(dir);
    config.sign_key = Some(SigningKey::parse(&[7; 32]).unwrap());
    change(&mut config);
    Audit::open(config).unwrap()
}

/// The baseline: a line under one lock, as a log without a queue would do it.
struct Lines(Mutex<Vec<u8>>);

impl Lines {
    fn record(&self, record: &Record<'_>) {
        let mut lines = self.0.lock().unwrap();
        if lines.len() > 4 << 20 {
            lines.clear();
        }
        let time = record.time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        writeln!(
            lines,
            r#"{{"time":{},"request_id":"{:032x}","door":"{}","tenant":"{}","principal":"{}","client":"{}","method":"{}","tool":"{}","source":"{}","args":{:?},"outcome":"{}","latency_us":{},"bytes_in":{},"bytes_out":{}}}"#,
            time.as_micros(),
            u128::from_be_bytes(record.request_id),
            record.door,
            record.tenant.unwrap(),
            record.principal.unwrap(),
            record.client.unwrap(),
            record.method.unwrap(),
            record.tool.unwrap(),
            record.source.unwrap(),
            record.args.unwrap(),
            record.outcome,
            record.latency.as_micros(),
            record.bytes_in,
            record.bytes_out
        )
        .unwrap();
    }
}

/// Time for `count` records in all, shared among threads that begin together; the queue has room for a
/// burst, and what the writer does between bursts is not in the time.
fn bursts(count: u64, threads: u64, burst: u64, record: impl Fn() + Sync, settle: impl Fn()) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = count.div_ceil(threads);
    while left > 0 {
        let each = left.min(burst);
        left -= each;
        if threads == 1 {
            let start = Instant::now();
            (0..each).for_each(|_| record());
            total += start.elapsed();
        } else {
            let barrier = Barrier::new(threads as usize);
            let slowest = std::thread::scope(|scope| {
                let run = || {
                    barrier.wait();
                    let start = Instant::now();
                    (0..each).for_each(|_| record());
                    start.elapsed()
                };
                let others: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                others
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .max()
                    .unwrap()
            });
            total += slowest;
        }
        settle();
    }
    total
}

fn enqueue(criterion: &mut Criterion) {
    let time = SystemTime::now();
    let baseline = Lines(Mutex::new(Vec::with_capacity(8 << 20)));
    for threads in [1, 2] {
        let mut group = criterion.benchmark_group(format!("enqueue, {threads} threads"));
        group.throughput(Throughput::Elements(1));
        // Long delays, so that the writer sleeps while the time is taken; then it is made to empty the queue.
        let (audit, writer) = open(None, |config| {
            config.queue_bytes = 64 << 20;
            config.shards = 2;
            config.limits.commit_delay = Duration::from_secs(10);
        });
        group.bench_function("audit", |bencher| {
            bencher.iter_custom(|count| {
                let push = || {
                    audit.record(black_box(&record(time))).unwrap();
                };
                bursts(count, threads, 2000, push, || audit.flush().wait().unwrap())
            });
        });
        writer.close().unwrap();
        group.bench_function("baseline: format a line under one lock", |bencher| {
            bencher.iter_custom(|count| {
                bursts(
                    count,
                    threads,
                    2000,
                    || baseline.record(black_box(&record(time))),
                    || (),
                )
            });
        });
        group.finish();
    }
}

/// Everything: enqueue, JSON, hashes, ring, file, `fdatasync`.
fn durable(criterion: &mut Criterion) {
    const RECORDS: u64 = 100_000;
    let time = SystemTime::now();
    let mut group = criterion.benchmark_group("durable");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    let dir = tempfile::tempdir().unwrap();
    let (audit, writer) = open(Some(dir.path()), |config| {
        config.on_full = OnFull::Block;
        config.limits.keep_segments = Some(2);
    });
    group.bench_function("100,000 records, then wait", |bencher| {
        bencher.iter(|| {
            for _ in 0..RECORDS {
                audit.record(&record(time)).unwrap();
            }
            audit.flush().wait().unwrap();
        });
    });
    writer.close().unwrap();
    let baseline = Lines(Mutex::new(Vec::new()));
    let mut file = tempfile::tempfile().unwrap();
    group.bench_function("baseline: format, write and sync, no hash", |bencher| {
        bencher.iter(|| {
            for _ in 0..RECORDS {
                baseline.record(&record(time));
                let mut lines = baseline.0.lock().unwrap();
                if lines.len() > 1 << 20 {
                    file.write_all(&lines).unwrap();
                    lines.clear();
                }
            }
            file.sync_data().unwrap();
            file.set_len(0).unwrap();
            file.rewind().unwrap();
        });
    });
    group.finish();
}

/// Many tasks that each wait for their record: how well one `fdatasync` serves all.
fn acknowledged(criterion: &mut Criterion) {
    const EACH: u64 = 20;
    let time = SystemTime::now();
    let mut group = criterion.benchmark_group("acknowledged");
    group.sample_size(10);
    for threads in [1u64, 32] {
        group.throughput(Throughput::Elements(threads * EACH));
        let dir = tempfile::tempdir().unwrap();
        let (audit, writer) = open(Some(dir.path()), |_| {});
        let audit = Arc::new(audit);
        group.bench_function(format!("{threads} waiting at a time"), |bencher| {
            bencher.iter(|| {
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            for _ in 0..EACH {
                                let ticket = audit.record(&record(time)).unwrap();
                                audit.durable(ticket).wait().unwrap();
                            }
                        });
                    }
                });
            });
        });
        writer.close().unwrap();
    }
    group.finish();
}

fn verifying(criterion: &mut Criterion) {
    const RECORDS: u64 = 100_000;
    let time = SystemTime::now();
    let dir = tempfile::tempdir().unwrap();
    let (audit, writer) = open(Some(dir.path()), |_| {});
    for _ in 0..RECORDS {
        audit.record(&record(time)).unwrap();
    }
    let keys = vec![writer.public_key().unwrap()];
    writer.close().unwrap();
    let options = VerifyOptions {
        keys,
        ..VerifyOptions::default()
    };
    let files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    let bytes: u64 = files.iter().map(|path| path.metadata().unwrap().len()).sum();
    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    group.bench_function("100,000 records", |bencher| {
        bencher.iter(|| assert!(verify(dir.path(), &options).unwrap().first_bad.is_none()));
    });
    group.bench_function("baseline: read and SHA-256 the files", |bencher| {
        bencher.iter(|| {
            for path in &files {
                let bytes = std::fs::read(path).unwrap();
                black_box(ring::digest::digest(&ring::digest::SHA256, &bytes));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, enqueue, durable, acknowledged, verifying);
criterion_main!(benches);
