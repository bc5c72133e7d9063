//! A server of this door, and what tests say to it.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_adapter_grpc::{Doors, GrpcSettings, serve};
use ferromcp_core::tenancy::{Directory, KeySettings, TenantId, TenantSettings, new_key};
use ferromcp_core::{
    AccessSettings, Anonymous, CallContext, CallError, Gateway, Identity, Listing, LogMessage, Offers,
    Payload, Policy, Progress, Reply, Source, SourceFuture, Spec,
};
use ferromcp_endpoint::{Endpoint as McpEndpoint, EndpointSettings};
use ferromcp_grpc_api::ferro_mcp_service_client::FerroMcpServiceClient;
use ferromcp_grpc_api::{CallToolRequest, CallToolStreamRequest};
use ferromcp_protocol::LogLevel;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Nothing in a test takes this long; it only turns a hang into a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Counts all calls, those of `wait` that began, and those of them that were dropped.
#[derive(Default)]
struct Script {
    calls: watch::Sender<usize>,
    waiting: watch::Sender<usize>,
    dropped: watch::Sender<usize>,
}

struct Dropped<'a>(&'a Script);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.dropped.send_modify(|count| *count += 1);
    }
}

impl Source for Script {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move { run(self, cx).await })
    }
}

async fn run(script: &Script, cx: CallContext<'_>) -> Result<Reply, CallError> {
    script.calls.send_modify(|count| *count += 1);
    match cx.local_name {
        "fail" => Ok(Reply::Complete(Payload::error_text("it did not work"))),
        "tell" => {
            for step in 1..=3 {
                cx.progress(&Progress {
                    progress: f64::from(step),
                    total: Some(3.0),
                    message: Some("a step"),
                });
            }
            for level in [LogLevel::Info, LogLevel::Error] {
                cx.log(&LogMessage {
                    level,
                    logger: Some("script"),
                    data: "{ \"line\":1.0 }",
                });
            }
            Ok(Reply::Complete(Payload::text("told")))
        }
        "wait" => {
            let _dropped = Dropped(script);
            script.waiting.send_modify(|count| *count += 1);
            cx.progress(&Progress {
                progress: 1.0,
                total: None,
                message: None,
            });
            std::future::pending().await
        }
        _ => {
            let arguments: Value = cx.arguments.parse()?;
            Ok(Reply::Complete(Payload::text(
                arguments["msg"].as_str().unwrap_or_default(),
            )))
        }
    }
}

pub(crate) struct Server {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) calls: watch::Receiver<usize>,
    /// How many calls of `wait` began.
    pub(crate) waiting: watch::Receiver<usize>,
    /// How many of them were dropped.
    pub(crate) dropped: watch::Receiver<usize>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(settings: GrpcSettings) -> Self {
        let script = Arc::new(Script::default());
        let subscribe = |sender: &watch::Sender<usize>| sender.subscribe();
        let (calls, waiting) = (subscribe(&script.calls), subscribe(&script.waiting));
        let dropped = subscribe(&script.dropped);
        let mut listing = Listing::new("script", script);
        listing.offers = Offers {
            tools: true,
            ..Offers::default()
        };
        for name in ["echo", "fail", "tell", "wait"] {
            let mut schema = json!({ "type": "object" });
            if name == "echo" {
                schema = json!({ "type": "object", "properties": { "msg": { "type": "string" } }, "required": ["msg"] });
            }
            let tool = json!({ "name": name, "inputSchema": schema });
            listing.tools.push(Spec::new(name, tool.to_string()));
        }
        let gateway = Arc::new(Gateway::new(Identity::default(), Policy::default(), ()));
        gateway.publish(listing);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let endpoint = Arc::new(McpEndpoint::new(
            Arc::clone(&gateway),
            EndpointSettings::default(),
        ));
        let doors = Doors::new(endpoint, settings, None).unwrap();
        let task = tokio::spawn(serve(listener, doors, stop.clone()));
        Self {
            gateway,
            address,
            calls,
            waiting,
            dropped,
            stop,
            task,
        }
    }

    /// Waits until no call has begun for a while, and says how many did in all.
    pub(crate) async fn quiet(&self) -> usize {
        let mut calls = self.calls.clone();
        calls.wait_for(|count| *count > 0).await.unwrap();
        while tokio::time::timeout(Duration::from_millis(300), calls.changed())
            .await
            .is_ok()
        {}
        *calls.borrow()
    }

    pub(crate) async fn channel(&self) -> Channel {
        let url = format!("http://{}", self.address);
        Endpoint::from_shared(url).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> FerroMcpServiceClient<Channel> {
        FerroMcpServiceClient::new(self.channel().await)
    }
}

pub(crate) fn call(tool: &str, arguments: &str) -> CallToolRequest {
    CallToolRequest {
        tool: tool.into(),
        arguments: arguments.to_owned().into(),
        tenant_id: String::new(),
    }
}

pub(crate) fn stream(tool: &str, log_level: i32) -> CallToolStreamRequest {
    CallToolStreamRequest {
        tool: tool.into(),
        log_level,
        ..CallToolStreamRequest::default()
    }
}

/// Code of the status, reason of the details, and rule.
pub(crate) fn told(status: &Status) -> (Code, String, Option<String>) {
    let details = status.get_error_details();
    let info = details.error_info().expect("ErrorInfo");
    assert_eq!(info.domain, "ferromcp");
    (
        status.code(),
        info.reason.clone(),
        info.metadata.get("rule").cloned(),
    )
}

/// Lets only the tenant `acme` in; gives its key.
pub(crate) fn guard(server: &Server) -> String {
    guard_with(server, 7)
}

/// As [`guard`], with a key made of this.
pub(crate) fn guard_with(server: &Server, random: u8) -> String {
    let key = new_key(&TenantId::new("acme").unwrap(), &[random; 32]);
    let tenant = TenantSettings {
        id: "acme".into(),
        keys: vec![KeySettings {
            hash: key.hash.to_string(),
            ..KeySettings::default()
        }],
        ..TenantSettings::default()
    };
    server.gateway.set_access(AccessSettings {
        directory: Directory::new(&[tenant]).unwrap(),
        anonymous: Anonymous::Refuse,
        ..AccessSettings::default()
    });
    key.key
}
