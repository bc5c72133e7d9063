//! A real server on a real socket, a scripted source behind it, and a client that speaks HTTP by
//! hand, so that it can also speak it badly.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_adapter_http::{Doors, HttpSettings, Listener, ServerTls, serve};
use ferromcp_core::{
    CallContext, CallError, Gateway, Identity, InputKind, InputRequest, InputRequired, Interaction, Listing,
    LogMessage, Offers, Payload, Policy, Progress, Reply, Source, SourceFuture, Spec,
};
use ferromcp_endpoint::{Endpoint, EndpointSettings};
use ferromcp_protocol::{LogLevel, RpcError};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing in a test takes this long; it only turns a hang into a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn patiently<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// What happened to calls of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) started: usize,
    pub(crate) finished: usize,
    pub(crate) dropped: usize,
}

pub(crate) struct Script {
    pub(crate) seen: watch::Sender<Seen>,
    /// `gate` and its kin wait for one permit each.
    pub(crate) gate: Semaphore,
}

impl Script {
    pub(crate) async fn wait(&self, what: &str, test: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        patiently(what, seen.wait_for(test))
            .await
            .expect("the script is there");
    }
}

struct Scripted(Arc<Script>);

/// Notes a call that is dropped before its end.
struct Note<'a>(&'a Script, bool);

impl Drop for Note<'_> {
    fn drop(&mut self) {
        self.0
            .seen
            .send_modify(|s| if self.1 { s.finished += 1 } else { s.dropped += 1 });
    }
}

impl Source for Scripted {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move {
            self.0.seen.send_modify(|s| s.started += 1);
            let mut note = Note(&self.0, false);
            let result = run(&self.0, cx).await;
            note.1 = true;
            result
        })
    }
}

async fn run(script: &Script, cx: CallContext<'_>) -> Result<Reply, CallError> {
    let gate = async {
        script.gate.acquire().await.expect("never closed").forget();
    };
    let done = |text: &str| Ok(Reply::Complete(Payload::text(text)));
    match cx.local_name {
        "echo" => {
            let arguments: Value = cx.arguments.parse()?;
            done(arguments["msg"].as_str().unwrap_or_default())
        }
        "structured" => Ok(Reply::Complete(Payload::tool(
            "[{\"type\":\"text\",\"text\":\"7\"}]",
            Some("{\"sum\":7}"),
            false,
            None,
        ))),
        "several" => Ok(Reply::Complete(Payload::tool(
            "[{\"type\":\"text\",\"text\":\"a\\\"\"},\n {\"type\":\"text\",\"text\":\"b\"}]",
            None,
            false,
            None,
        ))),
        "image" => Ok(Reply::Complete(Payload::tool(
            "[{\"type\":\"image\",\"data\":\"AAAA\",\"mimeType\":\"image/png\"}]",
            None,
            false,
            None,
        ))),
        "fail" => Ok(Reply::Complete(Payload::error_text("it did not work"))),
        "panic" => panic!("scripted panic"),
        "relay" => Err(CallError::rpc(
            RpcError::new(-32099, "upstream says no").with_data("{\"why\":1}"),
        )),
        "gate" => {
            gate.await;
            done("opened")
        }
        "progress" => {
            for n in 1..=3 {
                let message = format!("step {n}");
                cx.progress(&Progress {
                    progress: f64::from(n),
                    total: Some(3.0),
                    message: Some(&message),
                });
            }
            cx.log(&LogMessage {
                level: LogLevel::Warning,
                logger: Some("script"),
                data: "{\n\"line\":1}",
            });
            done("progressed")
        }
        "progress_gate" => {
            cx.progress(&Progress {
                progress: 1.0,
                total: Some(2.0),
                message: None,
            });
            gate.await;
            cx.progress(&Progress {
                progress: 2.0,
                total: Some(2.0),
                message: None,
            });
            done("opened")
        }
        "release_gate" => {
            cx.call.client.release_stream();
            gate.await;
            done("opened")
        }
        "flood" => {
            for n in 0..5000_i32 {
                cx.progress(&Progress {
                    progress: f64::from(n),
                    total: None,
                    message: None,
                });
            }
            gate.await;
            done("flooded")
        }
        "ask" => ask(cx).await,
        other => panic!("no script for {other}"),
    }
}

async fn ask(cx: CallContext<'_>) -> Result<Reply, CallError> {
    let request = InputRequest {
        key: "name".into(),
        kind: InputKind::ElicitForm,
        params: json!({
            "message": "Your name?",
            "requestedSchema": { "type": "object", "properties": { "name": { "type": "string" } } },
        })
        .to_string(),
    };
    let answer = match cx.call.client.interaction() {
        Interaction::Direct => cx.ask(&request).await?.into_string(),
        _ => match cx.call.input.and_then(|i| i.answer("name")) {
            Some(answer) => answer.to_owned(),
            None => {
                return Ok(Reply::InputRequired(InputRequired {
                    requests: vec![request],
                    state: None,
                    forget_answers: false,
                }));
            }
        },
    };
    Ok(Reply::Complete(Payload::text(&answer)))
}

fn listing(script: &Arc<Script>) -> Listing {
    let mut listing = Listing::new("script", Arc::new(Scripted(Arc::clone(script))));
    listing.offers = Offers {
        tools: true,
        ..Offers::default()
    };
    let any = json!({ "type": "object" });
    let echo =
        json!({ "type": "object", "properties": { "msg": { "type": "string" } }, "required": ["msg"] });
    let names = [
        "echo",
        "structured",
        "several",
        "image",
        "fail",
        "panic",
        "relay",
        "gate",
        "progress",
        "progress_gate",
        "release_gate",
        "flood",
        "ask",
    ];
    for name in names {
        let schema = if name == "echo" { &echo } else { &any };
        let mut tool =
            json!({ "name": name, "description": format!("scripted {name}"), "inputSchema": schema });
        if name == "structured" {
            tool["outputSchema"] = json!({ "type": "object", "properties": { "sum": { "type": "integer" } }, "required": ["sum"] });
        }
        listing.tools.push(Spec::new(name, tool.to_string()));
    }
    listing
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) script: Arc<Script>,
    pub(crate) doors: Doors,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(HttpSettings::default()).await
    }

    pub(crate) async fn with(settings: HttpSettings) -> Self {
        Self::bound("127.0.0.1:0", settings).await
    }

    pub(crate) async fn bound(address: &str, settings: HttpSettings) -> Self {
        Self::open(address, settings, None)
    }

    pub(crate) fn over_tls(settings: HttpSettings, tls: &Arc<ServerTls>) -> Self {
        Self::open("127.0.0.1:0", settings, Some(Arc::clone(tls)))
    }

    fn open(address: &str, settings: HttpSettings, tls: Option<Arc<ServerTls>>) -> Self {
        let script = Arc::new(Script {
            seen: watch::channel(Seen::default()).0,
            gate: Semaphore::new(0),
        });
        let gateway = Arc::new(Gateway::new(Identity::default(), Policy::default(), ()));
        gateway.publish(listing(&script));
        let endpoint = Arc::new(Endpoint::new(Arc::clone(&gateway), EndpointSettings::default()));
        let doors = match tls {
            None => Doors::new(Arc::clone(&endpoint), settings),
            Some(tls) => Doors::over_tls(Arc::clone(&endpoint), settings, tls),
        };
        let listener = Listener::bind(address).expect("a free port");
        let mut address = listener.local_addr();
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, doors.clone(), stop.clone()));
        Self {
            address,
            gateway,
            endpoint,
            script,
            doors,
            stop,
            task,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn once(&self, request: impl Into<Vec<u8>>) -> Response {
        let mut client = self.client().await;
        client.send(request).await;
        client.response().await
    }

    pub(crate) async fn rest(&self, body: &str) -> Response {
        self.once(post("/v1/tools/call", &[], body)).await
    }

    /// The server still answers a plain call.
    pub(crate) async fn assert_well(&self) {
        let answer = self
            .rest("{\"tool\":\"echo\",\"arguments\":{\"msg\":\"still here\"}}")
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["output"], "still here");
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        patiently("the server to end", self.task)
            .await
            .expect("no panic")
            .expect("served");
    }
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {:?} {}",
            self.status,
            self.headers,
            String::from_utf8_lossy(&self.body)
        )
    }
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The `error.code` of a REST answer.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A connection, with or without TLS.
type Stream = Box<dyn Socket>;

/// TCP, or TLS on it.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A connection.
pub(crate) struct Client {
    stream: Stream,
    buffer: Vec<u8>,
    /// Decoded text of an event stream that was not taken yet.
    events: String,
    /// The stream's last chunk came.
    over: bool,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = patiently("a connection", TcpStream::connect(address))
            .await
            .expect("connect");
        Self::on(stream)
    }

    pub(crate) fn on(stream: impl Socket + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
            events: String::new(),
            over: false,
        }
    }

    /// The two directions, for a client that talks while it listens.
    pub(crate) fn split(self) -> (ReadHalf<Stream>, WriteHalf<Stream>) {
        tokio::io::split(self.stream)
    }

    pub(crate) async fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        self.stream.write_all(&bytes.into()).await.expect("send");
        self.stream.flush().await.expect("send");
    }

    /// Sends what the server may refuse before it has all.
    pub(crate) async fn try_send(&mut self, bytes: impl Into<Vec<u8>>) {
        let _ = self.stream.write_all(&bytes.into()).await;
        let _ = self.stream.flush().await;
    }

    /// False at the end of the connection.
    async fn more(&mut self) -> bool {
        self.buffer.reserve(4096);
        let read = self.stream.read_buf(&mut self.buffer);
        patiently("bytes of the server", read)
            .await
            .is_ok_and(|count| count > 0)
    }

    /// Whatever still comes until the server closes the connection.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        while self.more().await {}
        self.buffer
    }

    /// True once the server closed the connection without sending anything more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.more().await
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|w| w == end) {
                let rest = self.buffer.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    pub(crate) async fn head(&mut self) -> Response {
        let head = self.until(b"\r\n\r\n").await.expect("an answer");
        let text = String::from_utf8(head).expect("ASCII");
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|l| l.split(' ').nth(1))
            .and_then(|s| s.parse().ok());
        let headers = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        Response {
            status: status.expect("a status"),
            headers,
            body: Vec::new(),
        }
    }

    /// A whole answer.
    pub(crate) async fn response(&mut self) -> Response {
        let mut head = self.head().await;
        if let Some(length) = head.header("content-length") {
            let length: usize = length.parse().expect("a length");
            while self.buffer.len() < length {
                assert!(self.more().await, "the body is cut short: {head:?}");
            }
            let rest = self.buffer.split_off(length);
            head.body = std::mem::replace(&mut self.buffer, rest);
        } else if head.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                head.body.extend_from_slice(&chunk);
            }
        }
        head
    }

    /// The head of an event stream.
    pub(crate) async fn stream(&mut self) -> Response {
        let head = self.head().await;
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"), "{head:?}");
        assert_eq!(head.header("x-accel-buffering"), Some("no"));
        head
    }

    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n").await?;
        let size = usize::from_str_radix(std::str::from_utf8(&line).expect("hex").trim(), 16).expect("hex");
        while self.buffer.len() < size + 2 {
            if !self.more().await {
                return None;
            }
        }
        let rest = self.buffer.split_off(size + 2);
        let mut chunk = std::mem::replace(&mut self.buffer, rest);
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// The next event; `None` at the end of the stream. Comments are skipped.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                continue;
            }
            let mut event = Event::default();
            for line in block.trim_end().lines() {
                match line.split_once(':') {
                    Some(("id", v)) => event.id = Some(v.trim().to_owned()),
                    Some(("retry", v)) => event.retry = v.trim().parse().ok(),
                    Some(("data", v)) => event.data.push_str(v.trim()),
                    Some(("event", v)) => assert_eq!(v.trim(), "message"),
                    _ => panic!("odd line {line:?}"),
                }
            }
            return Some(event);
        }
    }

    /// The next block of lines, a comment too.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.events.find("\n\n") {
                let rest = self.events.split_off(at + 2);
                return Some(std::mem::replace(&mut self.events, rest));
            }
            if self.over {
                return None;
            }
            match self.chunk().await {
                Some(chunk) => self.events.push_str(std::str::from_utf8(&chunk).expect("UTF-8")),
                None => self.over = true,
            }
        }
    }
}

/// A request with the headers that every client sends. An empty value leaves a header out.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut all = vec![("Host", "127.0.0.1:8080".to_owned())];
    if method == "POST" {
        all.push(("Content-Type", "application/json".to_owned()));
        all.push(("Content-Length", body.len().to_string()));
    }
    for (name, value) in headers {
        all.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            all.push((name, (*value).to_owned()));
        }
    }
    let mut out = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
    for (name, value) in all {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    request("POST", path, headers, body.as_bytes())
}

pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", path, headers, b"")
}
