//! The official Rust SDK as a client, over stdio and HTTP, in both eras.

use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use rmcp::ClientHandler;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ProgressNotificationParam,
    ProtocolVersion, ServerResult,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt, NotificationContext, PeerRequestOptions, RoleClient,
    RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixListener};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{LEGACY, MODERN, PATIENCE, Served, eventually, ferromcp, fixture, on_a_free_port};

type Client = RunningService<RoleClient, Listener>;

/// Remembers progress.
#[derive(Default)]
struct Listener {
    seen: Mutex<Vec<f64>>,
    news: Notify,
}

impl ClientHandler for Listener {
    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.seen.lock().unwrap().push(params.progress);
        self.news.notify_one();
    }
}

fn eras() -> [(ClientLifecycleMode, &'static str); 2] {
    let version = |text: &str| serde_json::from_value::<ProtocolVersion>(json!(text)).unwrap();
    let preferred_versions = vec![version(MODERN)];
    [
        (ClientLifecycleMode::Initialize, LEGACY),
        (ClientLifecycleMode::Discover { preferred_versions }, MODERN),
    ]
}

/// A client and the program it started.
async fn over_stdio(command: std::process::Command, era: ClientLifecycleMode) -> (Client, Child) {
    let mut child = Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let client = Listener::default().serve_with_lifecycle(pipes, era).await;
    (client.expect("a session"), child)
}

/// rmcp's HTTP client reaches the port through a socket file: that variant of it needs no further HTTP stack here.
struct Pump {
    directory: TempDir,
    task: JoinHandle<()>,
}

impl Pump {
    fn to(address: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let address = address.to_owned();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let address = address.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(address).await.unwrap();
                    // Either side may just go away.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { directory, task }
    }

    async fn client(&self, address: &str, era: ClientLifecycleMode) -> Client {
        let socket = self.directory.path().join("socket");
        let url = format!("http://{address}/mcp");
        let transport = StreamableHttpClientTransport::from_unix_socket(socket.to_str().unwrap(), url);
        let client = Listener::default().serve_with_lifecycle(transport, era).await;
        client.expect("a session")
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn params(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object");
    };
    CallToolRequestParams::new(tool).with_arguments(arguments)
}

async fn call(client: &Client, tool: &'static str, arguments: Value) -> Result<CallToolResult, ServiceError> {
    timeout(PATIENCE, client.call_tool(params(tool, arguments)))
        .await
        .expect("an answer in time")
}

fn text(result: &CallToolResult) -> String {
    let result = serde_json::to_value(result).unwrap();
    crate::support::text(&result).to_owned()
}

/// What every server of ours must do for this client.
async fn exercise(client: &Client, version: &str) {
    let peer = serde_json::to_value(client.peer_info().expect("an opened session").as_ref()).unwrap();
    assert!(peer.to_string().contains(version), "{peer}");
    let tools = client.list_all_tools().await.expect("a list");
    assert_eq!(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["echo"]);

    let said = call(client, "echo", json!({ "msg": "grüße" }))
        .await
        .expect("a result");
    assert_eq!(text(&said), "grüße");
    let calls = (0..20).map(|n| call(client, "echo", json!({ "msg": n.to_string() })));
    let mut answers = Vec::new();
    for running in calls {
        answers.push(running.await.expect("a result"));
    }
    assert_eq!(
        answers.iter().map(text).collect::<Vec<_>>(),
        (0..20).map(|n| n.to_string()).collect::<Vec<_>>()
    );

    let wrong = call(client, "echo", json!({ "msg": 7 }))
        .await
        .expect("a result that says so");
    assert_eq!(wrong.is_error, Some(true));
    match call(client, "no_such_tool", json!({})).await {
        Err(ServiceError::McpError(error)) => assert_eq!(error.code.0, -32602, "{error:?}"),
        other => panic!("{other:?}"),
    }
    let said = call(client, "echo", json!({ "msg": "still here" }))
        .await
        .expect("a result");
    assert_eq!(text(&said), "still here");
}

#[tokio::test]
async fn serve_over_stdio() {
    for (era, version) in eras() {
        let (client, mut child) = over_stdio(ferromcp(["serve", "--mode", "stdio"]), era).await;
        exercise(&client, version).await;
        client.cancel().await.unwrap();
        let status = timeout(PATIENCE, child.wait()).await.expect("its end").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn serve_over_http() {
    let served = Served::start::<&str>([]);
    let address = &served.door.address;
    let pump = Pump::to(address);
    for (era, version) in eras() {
        let client = pump.client(address, era).await;
        exercise(&client, version).await;
        client.cancel().await.unwrap();
    }
    eventually("closing ends the session", || {
        (served.door.health()["sessions"] == 0).then_some(())
    });
}

/// Progress arrives, and a call that is taken back ends without one that goes on.
async fn progress_and_cancel(client: &Client) {
    let done = call(client, "test_tool_with_progress", json!({}))
        .await
        .expect("a result");
    assert_ne!(done.is_error, Some(true), "{done:?}");
    let all = async {
        // A notification and the result may come by different ways.
        while client.service().seen.lock().unwrap().len() < 3 {
            client.service().news.notified().await;
        }
    };
    timeout(PATIENCE, all).await.expect("three notifications");
    assert_eq!(*client.service().seen.lock().unwrap(), [0.0, 50.0, 100.0]);

    let request = CallToolRequest::new(params("slow_compute", json!({ "seconds": 600 })));
    let handle = client
        .send_cancellable_request(
            ClientRequest::CallToolRequest(request),
            PeerRequestOptions::no_options(),
        )
        .await
        .expect("it is sent");
    handle
        .cancel(Some("changed my mind".into()))
        .await
        .expect("it is taken back");
    let said = call(client, "greet", json!({ "name": "you" }))
        .await
        .expect("a result");
    assert_eq!(text(&said), "Hello, you!");

    // One that is not cancelled at once, but gives up by itself.
    let request = CallToolRequest::new(params("slow_compute", json!({ "seconds": 600 })));
    let mut options = PeerRequestOptions::no_options();
    options.timeout = Some(Duration::from_millis(300));
    let handle = client
        .send_cancellable_request(ClientRequest::CallToolRequest(request), options)
        .await
        .expect("it is sent");
    match timeout(PATIENCE, handle.await_response())
        .await
        .expect("its end in time")
    {
        Err(ServiceError::Timeout { .. }) => {}
        other => panic!("{:?}", other.map(|_: ServerResult| "a result")),
    }
    let said = call(client, "greet", json!({ "name": "again" }))
        .await
        .expect("a result");
    assert_eq!(text(&said), "Hello, again!");
}

#[tokio::test]
async fn progress_and_cancel_over_stdio() {
    for (era, _) in eras() {
        let mut command = std::process::Command::new(fixture());
        command.arg("--stdio");
        let (client, mut child) = over_stdio(command, era).await;
        progress_and_cancel(&client).await;
        client.cancel().await.unwrap();
        // Were a cancelled call still running, the end would wait for it.
        let status = timeout(PATIENCE, child.wait()).await.expect("its end").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn progress_and_cancel_over_http() {
    let (_process, address) = on_a_free_port(|address| {
        let mut command = std::process::Command::new(fixture());
        command.args(["--addr", address]);
        command
    });
    let pump = Pump::to(&address);
    for (era, _) in eras() {
        let client = pump.client(&address, era).await;
        progress_and_cancel(&client).await;
        client.cancel().await.unwrap();
    }
}
