//! One call of a typed echo tool through the whole pipeline: `cargo bench -p ferromcp`.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use ferromcp::core::{Batch, BatchRequest, BatchSink, Call, Credential, Door, Outcome};
use ferromcp::{Context, Gateway, Json, JsonSchema, Server, Tool};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Echo {
    msg: String,
}

#[derive(Serialize, JsonSchema)]
struct Echoed {
    msg: String,
}

fn gateway() -> Arc<Gateway> {
    let server = Server::builder("bench", "1.0.0")
        .tool(Tool::new("echo", "Echoes", |args: Echo| async move { args.msg }))
        .tool(Tool::new(
            "echo_context",
            "Echoes",
            |args: Echo, _cx: Context| async move { args.msg },
        ))
        .tool(Tool::new("echo_json", "Echoes", |args: Echo| async move {
            Json(Echoed { msg: args.msg })
        }))
        .build();
    server.map(Server::into_gateway).unwrap_or_else(|e| panic!("{e}"))
}

/// The call never waits, so it needs no runtime to be polled to its end.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("an echo does not wait"),
    }
}

fn call(gateway: &Gateway, name: &str) -> Outcome {
    now(gateway.call(&of(name)))
}

fn of(name: &str) -> Call<'_> {
    Call::tool(
        Door::Library,
        Credential::Local,
        name,
        Some(r#"{"msg":"hello, world"}"#),
    )
}

/// Calls in one batch.
const BATCH: usize = 50;

struct Dropped;

impl BatchSink for Dropped {
    fn ended(&mut self, _at: usize, outcome: Outcome) {
        drop(black_box(outcome));
    }
}

/// What the batch engine costs beyond the same calls one after the other.
fn batches(criterion: &mut Criterion) {
    let gateway = gateway();
    let one = r#"{"tool":"echo","arguments":{"msg":"hello, world"}}"#;
    let body = format!("{{\"requests\":[{}]}}", vec![one; BATCH].join(","));
    let plan = |parallel: usize| {
        let request = BatchRequest::parse(body.as_bytes()).map(|r| BatchRequest { parallel, ..r });
        request.and_then(Batch::plan).unwrap_or_else(|e| panic!("{e}"))
    };
    let mut group = criterion.benchmark_group("batch_of_50");
    group.bench_function("calls_inline", |bencher| {
        bencher.iter(|| {
            for _ in 0..BATCH {
                black_box(now(gateway.call(&of(black_box("echo")))));
            }
        });
    });
    for (name, parallel) in [("in_order", 1), ("ten_at_a_time", 10)] {
        let batch = plan(parallel);
        let frame = of("");
        group.bench_function(name, |bencher| {
            bencher.iter(|| now(gateway.batch(black_box(&batch), &frame, &mut Dropped)));
        });
    }
    group.bench_function("read_and_plan", |bencher| {
        bencher.iter(|| plan(black_box(1)).len());
    });
    group.finish();
}

fn benchmark(criterion: &mut Criterion) {
    let gateway = gateway();
    let mut group = criterion.benchmark_group("gateway_call");
    for name in ["echo", "echo_context", "echo_json"] {
        assert!(call(&gateway, name).result.is_ok());
        group.bench_function(name, |bencher| bencher.iter(|| call(&gateway, black_box(name))));
    }
    group.finish();
}

criterion_group!(benches, benchmark, batches);
criterion_main!(benches);
