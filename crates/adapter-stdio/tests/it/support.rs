//! A served connection and a client that speaks lines.

use std::sync::Arc;

use ferromcp_adapter_stdio::{Ended, StdioSettings, serve};
use ferromcp_core::{
    CallContext, Gateway, Identity, InputKind, InputRequest, Interaction, Listing, Offers, Payload, Policy,
    Progress, Reply, Source, SourceFuture, Spec,
};
use ferromcp_endpoint::{Endpoint, EndpointSettings};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, split};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

#[derive(Debug)]
pub(crate) struct TestSource {
    pub(crate) gate: Semaphore,
    pub(crate) entered: Semaphore,
}

impl Source for TestSource {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move {
            let text = match cx.local_name {
                "echo" => cx.arguments.raw.to_owned(),
                "wait" => {
                    self.entered.add_permits(1);
                    self.gate.acquire().await.unwrap().forget();
                    "went on".into()
                }
                "flood" => {
                    for i in 0..10_000_u32 {
                        cx.progress(&Progress {
                            progress: f64::from(i),
                            total: None,
                            message: Some(&"x".repeat(100)),
                        });
                    }
                    "flooded".into()
                }
                "large" => "y".repeat(100_000),
                "pretty" => {
                    return Ok(Reply::Complete(
                        Payload::relayed(b"{\n  \"content\": [],\r\n  \"x\": \"a\\nb\"\n}".to_vec()).unwrap(),
                    ));
                }
                _ if cx.call.client.interaction() == Interaction::Direct => {
                    let request = InputRequest {
                        key: "k".into(),
                        kind: InputKind::Roots,
                        params: "{}".into(),
                    };
                    cx.ask(&request).await?.into_string()
                }
                _ => "cannot ask".into(),
            };
            Ok(Reply::Complete(Payload::text(&text)))
        })
    }
}

/// One served connection, seen from the client.
pub(crate) struct Client {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) source: Arc<TestSource>,
    pub(crate) input: WriteHalf<DuplexStream>,
    pub(crate) output: Lines<BufReader<ReadHalf<DuplexStream>>>,
    pub(crate) served: JoinHandle<std::io::Result<Ended>>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
}

pub(crate) fn start() -> Client {
    start_with(StdioSettings::default(), 1 << 20)
}

pub(crate) fn start_with(settings: StdioSettings, pipe: usize) -> Client {
    let gateway = Arc::new(Gateway::new(Identity::default(), Policy::default(), ()));
    let source = Arc::new(TestSource {
        gate: Semaphore::new(0),
        entered: Semaphore::new(0),
    });
    let mut listing = Listing::new("test", Arc::clone(&source) as Arc<dyn Source>);
    listing.offers = Offers {
        tools: true,
        ..Offers::default()
    };
    for name in ["echo", "wait", "flood", "large", "pretty", "ask"] {
        let definition = json!({"name": name, "inputSchema": {"type": "object"}}).to_string();
        listing.tools.push(Spec::new(name, definition));
    }
    gateway.publish(listing);
    let endpoint = Arc::new(Endpoint::new(Arc::clone(&gateway), EndpointSettings::default()));
    let (near, far) = tokio::io::duplex(pipe);
    let (reader, writer) = split(far);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let served = tokio::spawn(serve(Arc::clone(&endpoint), reader, writer, settings, shutdown));
    let (output, input) = split(near);
    Client {
        endpoint,
        gateway,
        source,
        input,
        output: BufReader::new(output).lines(),
        served,
        stop: Some(stop),
    }
}

impl Client {
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.raw(format!("{message}\n").as_bytes()).await;
    }

    pub(crate) async fn receive(&mut self) -> Value {
        let line = self.output.next_line().await.unwrap().expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    pub(crate) async fn call(&mut self, id: u32, tool: &str) {
        let meta = json!({"progressToken": id});
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "_meta": meta}}))
            .await;
    }

    pub(crate) async fn initialize(&mut self, version: &str) {
        let params = json!({"protocolVersion": version, "capabilities": {"roots": {}},
                            "clientInfo": {"name": "test", "version": "1"}});
        self.send(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}))
            .await;
        assert_eq!(self.receive().await["result"]["protocolVersion"], version);
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
    }

    /// Waits until a call to `wait` is running.
    pub(crate) async fn entered(&self) {
        self.source.entered.acquire().await.unwrap().forget();
    }

    /// Closes the client's side of the input.
    pub(crate) async fn end_input(&mut self) {
        self.input.shutdown().await.unwrap();
    }

    pub(crate) async fn ended(self) -> Ended {
        self.served.await.unwrap().unwrap()
    }
}
