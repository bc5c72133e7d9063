//! The client against a real server: the same through REST and gRPC.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_adapter_grpc::GrpcSettings;
use ferromcp_adapter_http::{Doors, HttpSettings, Listener, Threads};
use ferromcp_client::{Batch, Call, Client, Error, Event, Failure};
use ferromcp_core::{
    Access, AccessSettings, CallContext, CallError, ErrorCode, Gateway, Identity, Listing, LogMessage,
    Offers, Payload, Policy, Progress, Reply, Source, SourceFuture, Spec,
};
use ferromcp_endpoint::{Endpoint, EndpointSettings};
use ferromcp_limits::{LimitSettings, Quota, Quotas, Rate, TenantSettings};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Script;

impl Source for Script {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move { run(cx).await })
    }
}

async fn run(cx: CallContext<'_>) -> Result<Reply, CallError> {
    let text = |text: &str| Ok(Reply::Complete(Payload::text(text)));
    match cx.local_name {
        "fail" => Ok(Reply::Complete(Payload::error_text("it did not work"))),
        "limit" => Err(CallError::new(ErrorCode::RateLimited, "slow down")
            .with_rule("limit.rate.tool")
            .with_retry_after(Duration::from_millis(1_500))
            .maybe_ran()),
        "tell" => {
            cx.progress(&Progress {
                progress: 1.0,
                total: Some(2.0),
                message: Some("half"),
            });
            cx.log(&LogMessage {
                level: ferromcp_protocol::LogLevel::Info,
                logger: Some("script"),
                data: "{\"line\":1}",
            });
            text("told")
        }
        "wait" => std::future::pending().await,
        _ => {
            let arguments: Value = cx.arguments.parse()?;
            text(arguments["msg"].as_str().unwrap_or_default())
        }
    }
}

struct Server {
    rest: String,
    grpc: String,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
    threads: Option<Threads>,
}

impl Server {
    async fn start() -> Self {
        Self::with(LimitSettings::default()).await
    }

    async fn with(limits: LimitSettings) -> Self {
        let mut listing = Listing::new("script", Arc::new(Script));
        listing.offers = Offers {
            tools: true,
            ..Offers::default()
        };
        for name in ["echo", "fail", "limit", "tell", "wait"] {
            let mut schema = json!({ "type": "object" });
            if name == "echo" {
                schema["properties"] = json!({ "msg": { "type": "string" } });
                schema["required"] = json!(["msg"]);
            }
            let tool = json!({ "name": name, "inputSchema": schema });
            listing.tools.push(Spec::new(name, tool.to_string()));
        }
        let access = Access::new(AccessSettings {
            limits,
            ..AccessSettings::default()
        });
        let gateway = Gateway::new(Identity::default(), Policy::default(), ()).with_access(access);
        let gateway = Arc::new(gateway);
        gateway.publish(listing);
        let endpoint = Arc::new(Endpoint::new(Arc::clone(&gateway), EndpointSettings::default()));
        let stop = CancellationToken::new();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listener::bind_shared(any, 1).unwrap();
        let rest = format!("http://{}", listeners[0].local_addr());
        let doors = Doors::new(Arc::clone(&endpoint), HttpSettings::default());
        let threads = Threads::start(listeners, &doors, &stop, Duration::from_secs(1)).unwrap();
        let listener = TcpListener::bind(any).await.unwrap();
        let grpc = format!("grpc://{}", listener.local_addr().unwrap());
        let doors = ferromcp_adapter_grpc::Doors::new(endpoint, GrpcSettings::default(), None).unwrap();
        tokio::spawn(ferromcp_adapter_grpc::serve(listener, doors, stop.clone()));
        Self {
            rest,
            grpc,
            gateway,
            stop,
            threads: Some(threads),
        }
    }

    /// A client for each way.
    fn clients(&self) -> [Client; 2] {
        [&self.rest, &self.grpc].map(|url| Client::builder(url).build().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(threads) = self.threads.take() {
            threads.join();
        }
    }
}

fn echo(text: &str) -> Call {
    Call::new("echo", &json!({ "msg": text })).unwrap()
}

fn failure(error: &Error) -> &Failure {
    error.failure().unwrap_or_else(|| panic!("{error:?}"))
}

/// Without what differs from call to call.
fn settled(object: &Value) -> Value {
    let mut object = object.clone();
    for one in std::iter::once(&mut object) {
        for key in ["request_id", "latency_ms"] {
            one.as_object_mut().unwrap().remove(key);
        }
        for response in one["responses"].as_array_mut().into_iter().flatten() {
            for key in ["request_id", "latency_ms"] {
                response.as_object_mut().unwrap().remove(key);
            }
        }
    }
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_answers_are_the_same() {
    let server = Server::start().await;
    let mut seen = Vec::new();
    for client in server.clients() {
        assert!(client.ready().await.unwrap());
        let tools = client.tools().await.unwrap();
        let names: Vec<_> = tools.iter().map(ferromcp_client::Tool::name).collect();
        assert_eq!(names, ["echo", "fail", "limit", "tell", "wait"]);
        let answer = client.call(&echo("hi")).await.unwrap();
        assert_eq!((answer.output(), answer.request_id().len()), (&json!("hi"), 32));
        assert!(answer.latency() > Duration::ZERO);
        seen.push((tools[0].json().clone(), settled(answer.json())));
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_the_same() {
    let server = Server::start().await;
    let calls = [
        Call::bare("fail"),
        Call::bare("limit"),
        Call::bare("nothing"),
        Call::new("echo", &json!({ "msg": 7 })).unwrap(),
        Call::bare("wait").timeout(Duration::from_millis(40)),
        echo("hi").tenant("somebody"),
    ];
    let mut seen = Vec::new();
    for client in server.clients() {
        let mut codes = Vec::new();
        for call in &calls {
            let error = client.call(call).await.unwrap_err();
            let failure = failure(&error);
            codes.push((
                failure.code().to_owned(),
                failure.rule().map(str::to_owned),
                failure.retry_after(),
                failure.may_have_run(),
                settled(failure.json()),
            ));
        }
        seen.push(codes);
    }
    let codes: Vec<&str> = seen[0].iter().map(|one| &*one.0).collect();
    assert_eq!(
        codes,
        [
            "tool_error",
            "rate_limited",
            "tool_not_found",
            "invalid_arguments",
            "timeout",
            "permission_denied"
        ]
    );
    assert_eq!(seen[0][1].2, Some(Duration::from_millis(1_500)));
    assert!(seen[0][1].3 && !seen[0][2].3);
    for (rest, grpc) in seen[0].iter().zip(&seen[1]) {
        // A client library of gRPC may see its own deadline pass first.
        if rest.0 == "timeout" {
            assert_eq!(grpc.0, "timeout");
        } else {
            assert_eq!(rest, grpc);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_the_same() {
    let server = Server::start().await;
    let reference = Call::new("echo", &json!({ "msg": { "$result": "a" } })).unwrap();
    let batch = Batch::new()
        .call(reference.id("b"))
        .call(echo("hi").id("a"))
        .call(Call::bare("fail"))
        .call(Call::new("echo", &json!({})).unwrap())
        .parallel(3);
    let mut seen = Vec::new();
    for client in server.clients() {
        let answer = client.batch(&batch).await.unwrap();
        let outputs: Vec<_> = answer
            .results
            .iter()
            .map(|one| one.as_ref().map(|a| a.output().clone()).ok())
            .collect();
        assert_eq!(outputs, [Some(json!("hi")), Some(json!("hi")), None, None]);
        assert_eq!(
            failure(answer.results[3].as_ref().unwrap_err()).code(),
            "invalid_arguments"
        );
        seen.push(settled(answer.json()));
        let refused = client.batch(&Batch::new()).await.unwrap_err();
        assert_eq!(failure(&refused).rule(), Some("batch.calls"));
    }
    // REST says the latency of each; both were taken out.
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_the_same_and_goes_with_calls() {
    let server = Server::start().await;
    for client in server.clients() {
        let none = client.usage().await.unwrap();
        assert_eq!(
            (none.tenant(), none.rate(), none.client_rate()),
            ("local", None, None)
        );
        assert_eq!(
            (none.concurrent(), none.tool_calls(), none.bytes()),
            (None, None, None)
        );
        assert_eq!(none.batch_size(), None);
    }
    let rate = Rate::parse("10/h").unwrap();
    let quotas = Quotas {
        tool_calls: Some(Quota::parse_calls("3/h").unwrap()),
        bytes: Some(Quota::parse_bytes("10KiB/h").unwrap()),
        concurrent: Some(4),
        batch_size: Some(7),
    };
    let local = TenantSettings {
        rate: Some(rate.with_burst(20).unwrap()),
        quotas,
    };
    let server = Server::with(LimitSettings {
        client: Some(rate),
        max_clients: 1024,
        tenants: [("local".to_owned(), local)].into(),
        ..LimitSettings::default()
    })
    .await;
    let [rest, grpc] = server.clients();
    let hour = Duration::from_secs(3600);
    for (used, client) in [&rest, &grpc, &rest].into_iter().enumerate() {
        let used = used as u64;
        for asked in [&rest, &grpc] {
            let told = asked.usage().await.unwrap();
            let calls = told.tool_calls().unwrap();
            assert_eq!((calls.used, calls.remaining, calls.limit), (used, 3 - used, 3));
            assert_eq!((calls.window, calls.resets_in > hour / 2), (hour, used > 0));
            let rate = told.rate().unwrap();
            assert_eq!((rate.used, rate.remaining, rate.limit), (used, 20 - used, 20));
            assert_eq!((rate.calls, rate.window), (10, hour));
            assert_eq!(told.client_rate().unwrap().used, used);
            let concurrent = told.concurrent().unwrap();
            assert_eq!(
                (concurrent.now, concurrent.remaining, concurrent.limit),
                (0, 4, 4)
            );
            assert_eq!(
                (told.bytes().unwrap().used > 0, told.batch_size()),
                (used > 0, Some(7))
            );
        }
        client.call(&echo("hi")).await.unwrap();
    }
    let refused = rest.call(&echo("hi")).await.unwrap_err();
    assert_eq!(failure(&refused).rule(), Some("quota.tool_calls"));
    // The times go on between two questions.
    let mut said = [rest.usage().await.unwrap(), grpc.usage().await.unwrap()].map(|told| told.json().clone());
    for told in &mut said {
        for limit in ["/rate", "/client_rate", "/quotas/tool_calls", "/quotas/bytes"] {
            let left = told.pointer_mut(limit).unwrap()["resets_in_ms"].take();
            assert!(left.as_u64().unwrap() > 0, "{limit}");
        }
    }
    assert_eq!(said[0], said[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_call_is_heard_the_same() {
    let server = Server::start().await;
    for client in server.clients() {
        let mut heard = Vec::new();
        let answer = client
            .call_events(&Call::bare("tell"), |event| heard.push(event))
            .await
            .unwrap();
        assert_eq!(answer.output(), "told");
        let progress = Event::Progress {
            progress: 1.0,
            total: Some(2.0),
            message: Some("half".into()),
        };
        let log = Event::Log {
            level: "info".into(),
            logger: Some("script".into()),
            data: json!({ "line": 1 }),
        };
        assert_eq!(heard, [progress, log]);
        let error = client
            .call_events(&Call::bare("limit"), |_| {})
            .await
            .unwrap_err();
        assert_eq!(failure(&error).rule(), Some("limit.rate.tool"));
        let error = client.call_events(&Call::bare("fail"), |_| {}).await.unwrap_err();
        assert_eq!(failure(&error).message(), "it did not work");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drains_or_is_not_there() {
    let server = Server::start().await;
    let clients = server.clients();
    server.gateway.refuse_new();
    for client in &clients {
        assert!(!client.ready().await.unwrap());
        let error = client.call(&echo("hi")).await.unwrap_err();
        assert_eq!(failure(&error).code(), "unavailable");
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for scheme in ["http", "grpc"] {
        let client = Client::builder(format!("{scheme}://{free}")).build().unwrap();
        let error = client.call(&echo("hi")).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
    // Somebody else answers: not ours, and said so.
    let other = Client::builder(server.grpc.replace("grpc:", "http:"))
        .build()
        .unwrap();
    let error = other.call(&echo("hi")).await.unwrap_err();
    assert!(!matches!(error, Error::Failed(_)), "{error:?}");
    let other = Client::builder(server.rest.replace("http:", "grpc:"))
        .build()
        .unwrap();
    let error = other.call(&echo("hi")).await.unwrap_err();
    assert!(!matches!(error, Error::Failed(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_wrong_before_anything_is_sent() {
    for (url, says) in [
        ("nonsense", "relative URL"),
        ("ftp://x", "scheme"),
        ("grpc://127.0.0.1", "port"),
        ("grpc://127.0.0.1:1/v1", "no path"),
    ] {
        let error = Client::builder(url).build().unwrap_err();
        assert!(
            matches!(&error, Error::Usage(message) if message.contains(says)),
            "{error:?}"
        );
    }
    let error = Client::builder("https://x")
        .ca("/no/such/file.pem")
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("/no/such/file.pem"), "{error}");
    let error = Client::builder("http://x").key("a b").build().unwrap_err();
    assert!(error.to_string().contains("visible"), "{error}");
    let client = Client::builder("http://127.0.0.1:1").build().unwrap();
    let error = client
        .call_events(&echo("hi").tenant("t"), |_| {})
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error:?}");
}
