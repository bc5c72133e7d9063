//! The source under test, and what drives it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ferromcp_core::{
    CallContext, CallError, Credential, Door, ErrorCode, Gateway, Identity, InputKind, InputRequest,
    InputRequired, Interaction, Listing, LogMessage, Offers, Operation, Payload, Policy, Principal, Progress,
    Reply, Source, SourceFuture, Spec,
};
use ferromcp_endpoint::{
    Answer, Body, Endpoint, EndpointSettings, HeaderField, Headers, Incoming, Link, Opened, Outlet, Session,
};
use ferromcp_protocol::{LogLevel, RpcError};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Tools of the test source. `gate` lets `wait` go on; `entered` counts who is waiting there.
#[derive(Debug)]
pub(crate) struct TestSource {
    pub(crate) gate: Semaphore,
    pub(crate) entered: Semaphore,
    pub(crate) watched: Mutex<Vec<(String, bool)>>,
    pub(crate) updated: Mutex<Vec<String>>,
}

impl Source for TestSource {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move {
            match cx.call.operation {
                Operation::CallTool => self.tool(&cx).await,
                Operation::ReadResource => read(&cx),
                Operation::GetPrompt => prompt(&cx),
                Operation::CompletePrompt | Operation::CompleteResource => {
                    Ok(Reply::Complete(Payload::plain(
                        json!({"completion": {"values": [cx.local_name], "total": 1, "hasMore": false}})
                            .to_string()
                            .into_bytes(),
                    )))
                }
                Operation::GetTask => Ok(Reply::Complete(Payload::plain(task(cx.local_name, "completed")))),
                Operation::UpdateTask => {
                    self.updated.lock().unwrap().push(cx.arguments.raw.to_owned());
                    Ok(Reply::Complete(Payload::plain(b"{}".to_vec())))
                }
                Operation::CancelTask => Ok(Reply::Complete(Payload::plain(b"{}".to_vec()))),
            }
        })
    }

    fn watch(&self, uri: &str, on: bool) {
        self.watched.lock().unwrap().push((uri.to_owned(), on));
    }
}

fn task(id: &str, status: &str) -> Vec<u8> {
    json!({"taskId": id, "status": status, "createdAt": "2026-08-01T00:00:00Z",
           "lastUpdatedAt": "2026-08-01T00:00:00Z", "ttlMs": null})
    .to_string()
    .into_bytes()
}

fn text(text: &str) -> Result<Reply, CallError> {
    Ok(Reply::Complete(Payload::text(text)))
}

impl TestSource {
    async fn tool(&self, cx: &CallContext<'_>) -> Result<Reply, CallError> {
        match cx.local_name {
            "echo" => {
                let arguments: Value = serde_json::from_str(cx.arguments.raw).unwrap();
                text(arguments["msg"].as_str().unwrap_or_default())
            }
            "wait" => {
                self.entered.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
                text("went on")
            }
            "progress" => {
                for (progress, total) in [
                    (0.0, None),
                    (50.0, Some(100.0)),
                    (50.0, None),
                    (20.0, None),
                    (99.5, None),
                ] {
                    cx.progress(&Progress {
                        progress,
                        total,
                        message: Some("on it"),
                    });
                }
                text("done")
            }
            "log" => {
                for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Error] {
                    cx.log(&LogMessage {
                        level,
                        logger: Some("test"),
                        data: "{\"a\":1}",
                    });
                }
                text("logged")
            }
            "array" => Ok(Reply::Complete(Payload::tool("[]", Some("[1,2]"), false, None))),
            "relayed" => Ok(Reply::Complete(
                Payload::relayed(
                    br#"{"content":[],"resultType":"complete","ttlMs":5,"cacheScope":"public","x-own":1,
                        "_meta":{"a/b":1,"io.modelcontextprotocol/serverInfo":{"name":"upstream"}}}"#
                        .to_vec(),
                )
                .unwrap(),
            )),
            "refuse" => Err(CallError::rpc(
                RpcError::new(-32021, "needs sampling")
                    .with_data("{\"requiredCapabilities\":{\"sampling\":{}}}"),
            )),
            "full" => Err(CallError::new(ErrorCode::RateLimited, "too many").with_rule("rate.client")),
            "old_code" => Err(CallError::rpc(RpcError::new(-32002, "Resource not found"))),
            "task" => Ok(Reply::Task(Payload::plain(task("test.secret", "working")))),
            "name" => ask(cx, &[("user_name", InputKind::ElicitForm)], None).await,
            "stateful" => ask(cx, &[("user_name", InputKind::ElicitForm)], Some("my state")).await,
            "twice" => {
                let first = ask(cx, &[("one", InputKind::ElicitForm)], None).await?;
                if matches!(first, Reply::InputRequired(_)) {
                    return Ok(first);
                }
                ask(cx, &[("two", InputKind::Roots)], None).await
            }
            "sample" => ask(cx, &[("q", InputKind::Sample)], None).await,
            "nothing_asked" => Ok(Reply::InputRequired(InputRequired::default())),
            "who" => text(&format!(
                "{:?} {:?}",
                cx.call.client.name(),
                cx.call.client.interaction()
            )),
            other => Err(CallError::new(
                ErrorCode::Internal,
                format!("no such test tool {other}"),
            )),
        }
    }
}

/// Asks as a tool of either era would: one piece of code, however the answers come.
async fn ask(
    cx: &CallContext<'_>,
    questions: &[(&str, InputKind)],
    state: Option<&str>,
) -> Result<Reply, CallError> {
    let requests: Vec<InputRequest> = questions
        .iter()
        .map(|(key, kind)| InputRequest {
            key: (*key).to_owned(),
            kind: *kind,
            params: match kind {
                InputKind::Roots => "{}".into(),
                _ => "{\"message\":\"Please\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{}}}"
                    .into(),
            },
        })
        .collect();
    if cx.call.client.interaction() == Interaction::Direct {
        let mut heard = Vec::new();
        for request in &requests {
            heard.push(cx.ask(request).await?.into_string());
        }
        return text(&heard.join(" "));
    }
    let input = cx.call.input;
    if questions
        .iter()
        .any(|(key, _)| input.and_then(|i| i.answer(key)).is_none())
    {
        return Ok(Reply::InputRequired(InputRequired {
            requests,
            state: state.map(Into::into),
            forget_answers: false,
        }));
    }
    let input = input.unwrap();
    let answers: Vec<String> = input.answers.iter().map(|(k, v)| format!("{k}={v}")).collect();
    text(&format!("{} state={:?}", answers.join(" "), input.state))
}

fn read(cx: &CallContext<'_>) -> Result<Reply, CallError> {
    match cx.local_name {
        "test://a" | "test://t/1" => Ok(Reply::Complete(Payload::plain(
            json!({"contents": [{"uri": cx.local_name, "text": "hello"}]})
                .to_string()
                .into_bytes(),
        ))),
        uri => Err(
            CallError::new(ErrorCode::ToolNotFound, "Resource not found").with_rpc(RpcError::new(
                cx.call.version.resource_not_found_code(),
                format!("Resource not found: {uri}"),
            )),
        ),
    }
}

fn prompt(cx: &CallContext<'_>) -> Result<Reply, CallError> {
    Ok(Reply::Complete(Payload::plain(
        json!({"messages": [{"role": "user", "content": {"type": "text", "text": cx.arguments.raw}}]})
            .to_string()
            .into_bytes(),
    )))
}

const TOOLS: [&str; 16] = [
    "old_code",
    "wait",
    "progress",
    "log",
    "array",
    "relayed",
    "refuse",
    "full",
    "task",
    "name",
    "stateful",
    "twice",
    "sample",
    "nothing_asked",
    "who",
    "missing",
];

pub(crate) fn listing(source: &Arc<TestSource>) -> Listing {
    let mut listing = Listing::new("test", Arc::clone(source) as Arc<dyn Source>);
    listing.offers = Offers {
        tools: true,
        resources: true,
        prompts: true,
        completions: true,
        tasks: true,
    };
    listing.instructions = Some("Be kind.".into());
    listing.tools.push(Spec::new(
        "echo",
        json!({"name": "echo", "inputSchema": {"type": "object", "required": ["msg"], "properties": {
            "msg": {"type": "string"},
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        }}})
        .to_string(),
    ));
    for name in TOOLS {
        let mut definition = json!({"name": name, "inputSchema": {"type": "object"}});
        if name == "array" {
            definition["outputSchema"] = json!({"type": "array"});
        }
        listing.tools.push(Spec::new(name, definition.to_string()));
    }
    for uri in ["test://a", "test://b"] {
        listing
            .resources
            .push(Spec::new(uri, json!({"uri": uri, "name": uri}).to_string()));
    }
    listing.templates.push(Spec::new(
        "test://t/{id}",
        json!({"uriTemplate": "test://t/{id}", "name": "t"}).to_string(),
    ));
    listing
        .prompts
        .push(Spec::new("hello", json!({"name": "hello"}).to_string()));
    listing
}

/// An endpoint over the test source.
pub(crate) struct Fixture {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) source: Arc<TestSource>,
}

pub(crate) fn fixture() -> Fixture {
    fixture_with(EndpointSettings::default())
}

pub(crate) fn fixture_with(settings: EndpointSettings) -> Fixture {
    let identity = Identity {
        instructions: Some("Read this.".into()),
        ..Identity::default()
    };
    let gateway = Arc::new(Gateway::new(identity, Policy::default(), ()));
    let source = Arc::new(TestSource {
        gate: Semaphore::new(0),
        entered: Semaphore::new(0),
        watched: Mutex::default(),
        updated: Mutex::default(),
    });
    gateway.publish(listing(&source));
    Fixture {
        endpoint: Arc::new(Endpoint::new(Arc::clone(&gateway), settings)),
        gateway,
        source,
    }
}

/// Headers of a test request.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestHeaders(pub(crate) HashMap<String, Vec<String>>);

impl Headers for TestHeaders {
    fn field(&self, name: &str) -> HeaderField<'_> {
        match self.0.get(name).map(Vec::as_slice) {
            None | Some([]) => HeaderField::Absent,
            Some([one]) => HeaderField::Single(one.as_bytes()),
            Some(_) => HeaderField::Repeated,
        }
    }
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> TestHeaders {
    let mut found = TestHeaders::default();
    for (name, value) in pairs {
        found
            .0
            .entry((*name).to_owned())
            .or_default()
            .push((*value).to_owned());
    }
    found
}

/// Keeps what a request sends before its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    messages: Arc<Mutex<Vec<Value>>>,
    pub(crate) opened: Arc<Mutex<Vec<String>>>,
    arrived: Arc<tokio::sync::Notify>,
}

impl Sent {
    pub(crate) fn all(&self) -> Vec<Value> {
        self.messages.lock().unwrap().clone()
    }

    /// Waits for the message with this index.
    pub(crate) async fn nth(&self, index: usize) -> Value {
        loop {
            let arrived = self.arrived.notified();
            if let Some(message) = self.all().get(index) {
                return message.clone();
            }
            arrived.await;
        }
    }
}

impl Outlet for Sent {
    fn opened(&self, request: &Opened<'_>) {
        self.opened.lock().unwrap().push(format!(
            "{} {} {}",
            request.method.as_str(),
            request.id,
            request.version
        ));
    }

    fn can_send(&self) -> bool {
        true
    }

    fn send(&self, message: Vec<u8>) -> bool {
        self.messages
            .lock()
            .unwrap()
            .push(serde_json::from_slice(&message).unwrap());
        self.arrived.notify_waiters();
        true
    }
}

/// The answer as JSON; panics if there is none.
pub(crate) fn body(answer: Answer) -> Value {
    match answer.body {
        Body::Json(bytes) => serde_json::from_slice(&bytes).unwrap(),
        other => panic!("expected an answer, got {other:?}"),
    }
}

pub(crate) const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test-client","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

/// Modern `params` with capabilities and more members.
pub(crate) fn params(capabilities: Value, members: Value) -> Value {
    let mut params = members;
    let meta = params
        .as_object_mut()
        .unwrap()
        .entry("_meta")
        .or_insert_with(|| json!({}));
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "test-client", "version": "1"});
    meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    params
}

impl Fixture {
    /// Adds a source that may have any resource: a URI that nobody lists is nobody's from now on.
    pub(crate) fn second_source(&self) {
        let mut listing = Listing::new("other", Arc::clone(&self.source) as Arc<dyn Source>);
        listing.offers.resources = true;
        self.gateway.publish(listing);
    }

    pub(crate) async fn http(&self, headers: &TestHeaders, message: &str, outlet: &dyn Outlet) -> Answer {
        self.endpoint
            .exchange(Incoming {
                body: message.as_bytes(),
                door: Door::Mcp,
                credential: Credential::Local,
                link: Link::Http(headers),
                outlet,
            })
            .await
    }

    pub(crate) fn connect(&self) -> Arc<Session> {
        self.endpoint.connect(Credential::Local).unwrap()
    }

    pub(crate) async fn line(&self, session: &Arc<Session>, message: &str, outlet: &dyn Outlet) -> Answer {
        self.endpoint
            .exchange(Incoming {
                body: message.as_bytes(),
                door: Door::Stdio,
                credential: Credential::Local,
                link: Link::Connection(session),
                outlet,
            })
            .await
    }

    /// A modern request over HTTP with the headers that belong to it.
    pub(crate) async fn modern(&self, method: &str, params: Value, outlet: &dyn Outlet) -> Answer {
        let mut fields = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        let name = params
            .get("name")
            .or(params.get("uri"))
            .or(params.get("taskId"))
            .cloned();
        if let Some(name) = name.as_ref().and_then(Value::as_str) {
            fields.push(("mcp-name", name));
        }
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        self.http(&headers(&fields), &message, outlet).await
    }

    /// A legacy HTTP session that has been initialized.
    pub(crate) async fn session(&self, version: &str, capabilities: Value) -> LegacyClient<'_> {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": capabilities,
            "clientInfo": {"name": "old-client", "version": "1"}}})
        .to_string();
        let answer = self
            .http(&TestHeaders::default(), &message, &ferromcp_endpoint::NoOutlet)
            .await;
        let session = answer.opened.clone().expect("a session");
        let initialized = body(answer);
        let client = LegacyClient {
            fixture: self,
            session,
            initialized,
        };
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        assert_eq!(client.post(&note, &ferromcp_endpoint::NoOutlet).await.status, 202);
        client
    }
}

/// One legacy HTTP client.
pub(crate) struct LegacyClient<'a> {
    pub(crate) fixture: &'a Fixture,
    pub(crate) session: Arc<Session>,
    pub(crate) initialized: Value,
}

impl LegacyClient<'_> {
    pub(crate) fn headers(&self) -> TestHeaders {
        headers(&[("mcp-session-id", self.session.id())])
    }

    pub(crate) async fn post(&self, message: &str, outlet: &dyn Outlet) -> Answer {
        self.fixture.http(&self.headers(), message, outlet).await
    }

    pub(crate) async fn request(&self, id: u32, method: &str, params: Value, outlet: &dyn Outlet) -> Answer {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        self.post(&message, outlet).await
    }
}

/// The principal of all test callers.
pub(crate) fn local() -> Principal {
    Principal::local()
}
