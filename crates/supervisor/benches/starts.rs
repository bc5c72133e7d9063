//! How long a start takes, and whether that depends on how much memory this process has: beside fork and exec, which is what
//! the standard library does when something is to be done in the child before the program runs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ferromcp_supervisor::{Child, ChildSpec};

const PROGRAM: &str = "cat";
const PAGE: usize = 4096;

fn ours(runtime: &tokio::runtime::Runtime) -> Duration {
    runtime.block_on(async {
        let begun = Instant::now();
        let child = Child::spawn(ChildSpec::new("bench", PROGRAM)).await.unwrap();
        let took = begun.elapsed();
        child.kill().await;
        took
    })
}

#[expect(
    unsafe_code,
    reason = "the baseline is what the standard library does with a hook"
)]
fn forked() -> Duration {
    let mut command = Command::new(PROGRAM);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: the hook does nothing.
    unsafe { command.pre_exec(|| Ok(())) };
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let took = begun.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

fn starts(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for mebibytes in [16, 256] {
        let mut memory = vec![0_u8; mebibytes << 20];
        for page in memory.chunks_mut(PAGE) {
            page[0] = 1;
        }
        let mut group = criterion.benchmark_group(format!("start with {mebibytes} MiB"));
        group.sample_size(20);
        group.bench_function("ours", |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| ours(&runtime)).sum());
        });
        group.bench_function("fork and exec", |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| forked()).sum());
        });
        group.finish();
        black_box(&memory);
    }
}

criterion_group!(benches, starts);
criterion_main!(benches);
