//! One call of a typed echo tool through the whole pipeline: `cargo bench -p ferromcp`.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use ferromcp::core::{Call, Credential, Door, NoClient, Operation, Outcome};
use ferromcp::{Context, Gateway, Json, JsonSchema, ProtocolVersion, Server, Tool};
use ferromcp_protocol::RequestMeta;
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
fn call(gateway: &Gateway, name: &str) -> Outcome {
    let meta = RequestMeta::default();
    let call = Call {
        operation: Operation::CallTool,
        name,
        arguments: Some(r#"{"msg":"hello, world"}"#),
        params: None,
        meta: &meta,
        version: ProtocolVersion::LATEST,
        door: Door::Library,
        credential: Credential::Local,
        tenant: None,
        client: &NoClient,
        input: None,
        timeout: None,
    };
    let mut future = pin!(gateway.call(&call));
    match future.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("an echo does not wait"),
    }
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

criterion_group!(benches, benchmark);
criterion_main!(benches);
