//! The client's end of the pipe: requests and their answers, and what the handler says by itself.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferromcp_core::{CallError, ErrorCode, InputKind};
use ferromcp_protocol::error::write_error_response;
use ferromcp_protocol::json::{Object, write_str};
use ferromcp_protocol::lines::LineSplitter;
use ferromcp_protocol::{LogLevel, Message, Method, Notification, ProtocolVersion, Request, RpcError, code};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

/// Messages that wait to be written.
const QUEUE: usize = 256;
/// What a running call may leave unread of its handler's reports.
pub(super) const REPORTS: usize = 256;
const CHUNK: usize = 16 * 1024;

/// A request's answer: the raw result.
type Answer = Result<Box<str>, CallError>;

/// What the handler says while one call runs.
pub(super) enum Report {
    Progress {
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    },
    Log {
        level: LogLevel,
        logger: Option<String>,
        data: String,
    },
    /// A question to the client; the answer goes to [`Wire::reply`] under this raw id.
    Ask {
        id: String,
        kind: InputKind,
        params: String,
    },
}

/// What the handler says of itself.
pub(super) enum Change {
    Lists,
    Resource(String),
    Ended,
}

pub(super) struct Wire {
    out: mpsc::Sender<Vec<u8>>,
    next: AtomicU64,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    calls: HashMap<u64, Port>,
    lists_changed: bool,
    resources: VecDeque<String>,
    ended: bool,
}

/// A running call.
struct Port {
    reports: mpsc::Sender<Report>,
    can_be_asked: bool,
}

/// A call's end of its port; leaving takes it out.
pub(super) struct Entered<'a> {
    wire: &'a Wire,
    pub(super) id: u64,
}

impl Wire {
    /// Starts to read and write. The tasks end with the pipe.
    pub(super) fn start(pipe: DuplexStream) -> (Arc<Self>, [AbortHandle; 2]) {
        let (reader, writer) = tokio::io::split(pipe);
        let (out, queue) = mpsc::channel(QUEUE);
        let wire = Arc::new(Self {
            out,
            next: AtomicU64::new(1),
            state: Mutex::default(),
            news: Notify::new(),
        });
        let reading = tokio::spawn(read(Arc::clone(&wire), reader)).abort_handle();
        let writing = tokio::spawn(write(queue, writer)).abort_handle();
        (wire, [reading, writing])
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn initialize(&self) -> Answer {
        let params = format!(
            "{{\"protocolVersion\":\"{}\",\"capabilities\":{{\"sampling\":{{}},\"roots\":{{}},\
             \"elicitation\":{{\"form\":{{}},\"url\":{{}}}}}},\
             \"clientInfo\":{{\"name\":\"ferromcp\",\"version\":\"{}\"}}}}",
            ProtocolVersion::LATEST_LEGACY,
            env!("CARGO_PKG_VERSION")
        );
        let answer = self.request("initialize", &params).await?;
        self.send(line(None, Method::Initialized.as_str(), "{}")).await?;
        Ok(answer)
    }

    /// Sends a request and waits for its answer. `params` is a raw JSON object.
    pub(super) async fn request(&self, method: &str, params: &str) -> Answer {
        let id = self.next_id();
        self.request_as(id, method, params).await
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) async fn request_as(&self, id: u64, method: &str, params: &str) -> Answer {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.state();
            if state.ended {
                return Err(ended());
            }
            state.waiting.insert(id, reply);
        }
        let forget = Forget { wire: self, id };
        self.send(line(Some(id), method, params)).await?;
        let answer = answer.await.unwrap_or_else(|_| Err(ended()));
        drop(forget);
        answer
    }

    /// Sends a request whose answer interests nobody, if there is room.
    pub(super) fn tell(&self, method: &str, params: &str) {
        self.offer(line(Some(self.next_id()), method, params));
    }

    /// Tells the handler that the caller is gone.
    pub(super) fn cancel(&self, id: u64) {
        self.offer(line(
            None,
            Method::Cancelled.as_str(),
            &format!("{{\"requestId\":{id}}}"),
        ));
    }

    /// Answers a question of the handler.
    pub(super) fn reply(&self, id: &str, answer: Answer) {
        let mut out = Vec::with_capacity(128);
        match answer {
            Ok(result) => {
                out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(b",\"result\":");
                // One message is one line.
                out.extend(
                    result
                        .bytes()
                        .map(|b| if b == b'\n' || b == b'\r' { b' ' } else { b }),
                );
                out.push(b'}');
            }
            Err(error) => write_error_response(&mut out, Some(id), &error.to_rpc()),
        }
        out.push(b'\n');
        self.offer(out);
    }

    /// Enters a running call, so that reports reach it.
    pub(super) fn enter(&self, can_be_asked: bool) -> (Entered<'_>, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel(REPORTS);
        let id = self.next_id();
        self.state().calls.insert(
            id,
            Port {
                reports,
                can_be_asked,
            },
        );
        (Entered { wire: self, id }, receiver)
    }

    /// The next change. Several changes of lists count as one.
    pub(super) async fn changed(&self) -> Change {
        loop {
            {
                let mut state = self.state();
                if std::mem::take(&mut state.lists_changed) {
                    return Change::Lists;
                }
                if let Some(uri) = state.resources.pop_front() {
                    return Change::Resource(uri);
                }
                if state.ended {
                    return Change::Ended;
                }
            }
            self.news.notified().await;
        }
    }

    async fn send(&self, line: Vec<u8>) -> Result<(), CallError> {
        self.out.send(line).await.map_err(|_| ended())
    }

    fn offer(&self, line: Vec<u8>) {
        if self.out.try_send(line).is_err() {
            tracing::debug!("an rmcp server does not read; a notification to it was dropped");
        }
    }

    fn received(&self, message: &[u8]) {
        match Message::parse(message) {
            Ok(Message::Response(response)) => {
                let id = response.id.and_then(|id| id.parse().ok());
                if let Some(waiting) = id.and_then(|id: u64| self.state().waiting.remove(&id)) {
                    // The caller may be gone.
                    let _ = waiting.send(response.outcome.map(Into::into).map_err(CallError::rpc));
                }
            }
            Ok(Message::Notification(notification)) => self.notified(&notification),
            Ok(Message::Request(request)) => self.asked(&request),
            Err(e) => tracing::warn!(error = %e.error.message, "an rmcp server sent what is no message"),
        }
    }

    fn notified(&self, notification: &Notification<'_>) {
        let params = &notification.params;
        match &*notification.method {
            "notifications/progress" => {
                let number = |key: &str| params.get(key).and_then(|raw| raw.parse::<f64>().ok());
                let token = params
                    .get("progressToken")
                    .and_then(|raw| raw.parse::<u64>().ok());
                if let (Some(token), Some(progress)) = (token, number("progress")) {
                    let message = params.get_str("message").map(String::from);
                    let report = Report::Progress {
                        progress,
                        total: number("total"),
                        message,
                    };
                    if let Some(port) = self.state().calls.get(&token) {
                        // Progress that is not read in time is worth nothing.
                        let _ = port.reports.try_send(report);
                    }
                }
            }
            "notifications/message" => {
                let level = params
                    .get_str("level")
                    .and_then(|l| LogLevel::parse(&l))
                    .unwrap_or(LogLevel::Info);
                let data = params.get("data").unwrap_or("null").to_owned();
                let report = Report::Log {
                    level,
                    logger: params.get_str("logger").map(String::from),
                    data,
                };
                // A log message does not say to which call it belongs.
                if let [port] = self.state().calls.values().collect::<Vec<_>>()[..] {
                    let _ = port.reports.try_send(report);
                }
            }
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => self.note(|state| state.lists_changed = true),
            "notifications/resources/updated" => {
                if let Some(uri) = params.get_str("uri") {
                    self.note(|state| {
                        if state.resources.len() < QUEUE && state.resources.iter().all(|u| **u != *uri) {
                            state.resources.push_back(uri.into_owned());
                        }
                    });
                }
            }
            _ => {}
        }
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.news.notify_one();
    }

    fn asked(&self, request: &Request<'_>) {
        let kind = match &*request.method {
            "ping" => return self.reply(request.id, Ok("{}".into())),
            "sampling/createMessage" => InputKind::Sample,
            "roots/list" => InputKind::Roots,
            "elicitation/create" if request.params.get_str("mode").as_deref() == Some("url") => {
                InputKind::ElicitUrl
            }
            "elicitation/create" => InputKind::ElicitForm,
            method => {
                let error = RpcError::new(code::METHOD_NOT_FOUND, format!("unknown method {method}"));
                return self.reply(request.id, Err(CallError::rpc(error)));
            }
        };
        let report = Report::Ask {
            id: request.id.to_owned(),
            kind,
            params: request.params_raw.unwrap_or("{}").to_owned(),
        };
        let refused = {
            let state = self.state();
            match state.calls.values().collect::<Vec<_>>()[..] {
                [port] if port.can_be_asked => {
                    port.reports.try_send(report).err().map(|_| "it asks too much")
                }
                [_] => Some("the caller cannot be asked for input while the call runs"),
                [] => Some("no call is running that the question could belong to"),
                _ => Some("several calls are running, and the question does not say to which it belongs"),
            }
        };
        if let Some(why) = refused {
            let error = RpcError::new(code::INVALID_REQUEST, why);
            self.reply(request.id, Err(CallError::rpc(error)));
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.wire.state().calls.remove(&self.id);
    }
}

/// Takes a waiting request out again if nobody waits any more.
struct Forget<'a> {
    wire: &'a Wire,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if self.wire.state().waiting.remove(&self.id).is_some() {
            self.wire.cancel(self.id);
        }
    }
}

fn ended() -> CallError {
    CallError::new(ErrorCode::Unavailable, "the rmcp server behind this has ended").maybe_ran()
}

/// One message as a line. `params` is a raw JSON object.
fn line(id: Option<u64>, method: &str, params: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(params.len() + 80);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        out.extend_from_slice(format!(",\"id\":{id}").as_bytes());
    }
    out.extend_from_slice(b",\"method\":");
    write_str(&mut out, method);
    out.extend_from_slice(b",\"params\":");
    // Newlines outside of strings are only layout, inside they are escaped: one message is one line.
    out.extend(
        params
            .bytes()
            .map(|b| if b == b'\n' || b == b'\r' { b' ' } else { b }),
    );
    out.extend_from_slice(b"}\n");
    out
}

async fn write(mut queue: mpsc::Receiver<Vec<u8>>, mut pipe: WriteHalf<DuplexStream>) {
    while let Some(line) = queue.recv().await {
        if pipe.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn read(wire: Arc<Wire>, mut pipe: ReadHalf<DuplexStream>) {
    let mut lines = LineSplitter::new(ferromcp_protocol::lines::DEFAULT_MAX_LINE);
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        lines.feed(&chunk[..read]);
        while let Some(line) = lines.next_line() {
            match line {
                Ok(line) => wire.received(&line),
                Err(e) => tracing::warn!(error = ?e, "an rmcp server sent a line that cannot be read"),
            }
        }
    }
    let waiting = {
        let mut state = wire.state();
        state.ended = true;
        std::mem::take(&mut state.waiting)
    };
    drop(waiting);
    wire.news.notify_one();
}

/// The members of a raw params object that go on unchanged, as `,"name":raw`.
pub(super) fn members(raw: &str, names: &[&str]) -> String {
    let Ok(object) = Object::parse(raw) else {
        return String::new();
    };
    let found = names
        .iter()
        .filter_map(|name| Some(format!(",\"{name}\":{}", object.get(name)?)));
    found.collect()
}
