//! What limits cost per call, next to the keyed limiter most would take, in the same run.
//!
//! `cargo bench -p ferromcp-limits`; the groups "1 thread" and "2 threads" give calls per second of all threads together.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ferromcp_limits::{
    Clients, Gcra, LimitSettings, Limits, Nanos, Quota, Quotas, Rate, Request, TenantSettings,
};
use governor::{DefaultKeyedRateLimiter, Quota as GovernorQuota, RateLimiter};

/// A rate that nothing here uses up.
fn plenty() -> Rate {
    Rate::parse("1000000/s")
        .unwrap()
        .with_burst(1_000_000_000)
        .unwrap()
}

fn settings(global: bool) -> LimitSettings {
    let tenant = TenantSettings {
        rate: Some(plenty()),
        quotas: Quotas {
            tool_calls: Some(Quota::new(1 << 60, Duration::from_secs(60)).unwrap()),
            concurrent: Some(1_000),
            ..Quotas::default()
        },
    };
    LimitSettings {
        global: global.then(plenty),
        client: Some(plenty()),
        max_clients: 65_536,
        tenants: (0..1_000).map(|id| (format!("tenant-{id}"), tenant)).collect(),
        tools: [("echo".to_owned(), plenty())].into(),
    }
}

/// Runs so many operations on each of so many threads; the time from the start of all to the end of the last.
fn timed(threads: usize, operations: u64, run: impl Fn(usize, u64) + Sync) -> Duration {
    let barrier = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (barrier, run) = (&barrier, &run);
                scope.spawn(move || {
                    barrier.wait();
                    run(thread, operations);
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        start.elapsed()
    })
}

/// Time moves on a little with every call, as it does in a server.
fn time(call: u64) -> Nanos {
    Nanos::new(1_800_000_000_000_000_000 + call * 250)
}

fn keyed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rate of one of 10,000 clients");
    group.throughput(Throughput::Elements(1));
    let (clients, rate) = (Clients::new(65_536), plenty());
    let keys: Vec<_> = (0u32..10_000)
        .map(|name| clients.key("tenant", &name.to_le_bytes()))
        .collect();
    let quota = GovernorQuota::per_second(NonZeroU32::new(1_000_000).unwrap())
        .allow_burst(NonZeroU32::new(1_000_000_000).unwrap());
    let governor: DefaultKeyedRateLimiter<u64> = RateLimiter::keyed(quota);
    let mut call = 0u64;
    group.bench_function("ferromcp-limits", |bencher| {
        bencher.iter(|| {
            call += 1;
            let key = keys[(call * 7_919 % 10_000) as usize];
            clients.take(black_box(key), &rate, time(call)).allowed()
        });
    });
    group.bench_function("governor", |bencher| {
        bencher.iter(|| {
            call += 1;
            governor.check_key(black_box(&(call * 7_919 % 10_000))).is_ok()
        });
    });
    let gcra = Gcra::new();
    group.bench_function("one Gcra, no key", |bencher| {
        bencher.iter(|| {
            call += 1;
            gcra.take(black_box(&rate), time(call)).allowed()
        });
    });
    let mut stranger = 0u64;
    group.bench_function("a new client each time, hashed", |bencher| {
        bencher.iter(|| {
            stranger += 1;
            let key = clients.key("tenant", &stranger.to_le_bytes());
            clients.take(key, &rate, time(stranger)).allowed()
        });
    });
    group.finish();
}

fn composite(criterion: &mut Criterion) {
    for threads in [1, 2] {
        let noun = if threads == 1 { "1 thread" } else { "2 threads" };
        let mut group =
            criterion.benchmark_group(format!("tenant looked up, quota and rates checked, {noun}"));
        group.throughput(Throughput::Elements(threads as u64));
        for (name, global, same_tool) in [
            ("client, tenant, quota, concurrent", false, false),
            ("and the server's rate", true, false),
            ("and one tool's rate (shared)", true, true),
        ] {
            let limits = Limits::new(&settings(global), time(0));
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|operations| {
                    timed(threads, operations, |thread, operations| {
                        let names: Vec<String> =
                            (0..64).map(|id| format!("tenant-{}", id * 2 + thread)).collect();
                        let keys: Vec<_> = names
                            .iter()
                            .map(|name| limits.client_key(name, b"client"))
                            .collect();
                        for call in 0..operations {
                            let index = (call % 64) as usize;
                            let request = Request {
                                tenant: limits.tenant(&names[index]).map(|tenant| &**tenant),
                                client: Some(keys[index]),
                                tool: if same_tool {
                                    limits.tool("echo").map(|tool| &**tool)
                                } else {
                                    None
                                },
                                bytes: 300,
                            };
                            black_box(limits.admit(&request, time(call))).unwrap();
                        }
                    })
                });
            });
        }
        let quota = GovernorQuota::per_second(NonZeroU32::new(1_000_000).unwrap())
            .allow_burst(NonZeroU32::new(1_000_000_000).unwrap());
        let clients: DefaultKeyedRateLimiter<u64> = RateLimiter::keyed(quota);
        let tenants: DefaultKeyedRateLimiter<u64> = RateLimiter::keyed(quota);
        group.bench_function("governor: client and tenant rates only", |bencher| {
            bencher.iter_custom(|operations| {
                timed(threads, operations, |thread, operations| {
                    for call in 0..operations {
                        let key = call % 64 * 2 + thread as u64;
                        black_box(clients.check_key(&key).is_ok() && tenants.check_key(&key).is_ok());
                    }
                })
            });
        });
        group.finish();
    }
}

fn refusals(criterion: &mut Criterion) {
    let mut set = settings(true);
    set.client = Some(Rate::parse("1/h").unwrap());
    let limits = Limits::new(&set, time(0));
    let request = Request {
        tenant: limits.tenant("tenant-1").map(|tenant| &**tenant),
        client: Some(limits.client_key("tenant-1", b"client")),
        tool: limits.tool("echo").map(|tool| &**tool),
        bytes: 300,
    };
    criterion.bench_function("a flooding client refused", |bencher| {
        bencher.iter(|| limits.admit(black_box(&request), time(1)).is_err());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = keyed, composite, refusals
}
criterion_main!(benches);
