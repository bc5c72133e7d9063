//! Event streams: the answer to one request, and what a legacy server says of its own accord.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, mem};

use bytes::Bytes;
use ferromcp_core::{CallContext, Principal};
use ferromcp_protocol::Message;
use http::StatusCode;
use tokio::time::{Instant, sleep, timeout};

use super::{Dialect, HttpLink, headers};
use crate::ask::{self, Question};
use crate::converse::{self, Open};
use crate::fault::Fault;
use crate::heard::{self, Heard, Lists};
use crate::link::Outgoing;
use crate::link::slot::{Item, Slot};
use crate::transport::TransportError;
use crate::transport::http::{Body, HttpReply, SseStream};
use crate::transport::sse::SseEvent;
use crate::wire;

/// How often the stream of one request is resumed at most.
const MAX_RESUMES: usize = 1000;
/// Wait before reconnecting where the server does not say.
const RETRY: Duration = Duration::from_secs(1);
/// Bounds for what the server says, and for our own growing waits.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long a stream that has brought its answer may take to end.
const READ_TO_END: Duration = Duration::from_secs(1);
/// A stream that held for this long was a good one.
const STEADY: Duration = Duration::from_secs(10);

/// A request whose answer may come as a stream; it can be kept apart from the call that made it.
#[derive(Debug)]
pub(crate) struct OpenStream {
    link: Arc<HttpLink>,
    stage: Stage,
    /// What the server says of the call on its own stream (legacy era).
    slot: Option<Arc<Slot>>,
    id: u64,
    dialect: Dialect,
    resumes: usize,
    detached: bool,
}

type Posting = Pin<Box<dyn Future<Output = Result<HttpReply, TransportError>> + Send>>;

/// How far a request came.
#[expect(
    clippy::large_enum_variant,
    reason = "one a call, and the large variant is the common one"
)]
enum Stage {
    /// The server has not begun to answer.
    Posting(Posting),
    Stream(SseStream),
    Over,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Posting(_) => "Posting",
            Self::Stream(_) => "Stream",
            Self::Over => "Over",
        })
    }
}

/// What comes next of a request.
#[expect(
    clippy::large_enum_variant,
    reason = "one a call, and the large variant is the common one"
)]
enum Step {
    Reply(Result<HttpReply, TransportError>),
    Event(Option<Result<SseEvent, TransportError>>),
    Over,
}

impl Stage {
    /// Cancel-safe.
    async fn next(&mut self) -> Step {
        match self {
            Self::Posting(reply) => Step::Reply(reply.await),
            Self::Stream(stream) => Step::Event(stream.next().await),
            Self::Over => Step::Over,
        }
    }
}

/// What is said of a call elsewhere than on its stream.
async fn said(slot: Option<&Slot>) -> Item {
    match slot {
        Some(slot) => slot.next().await,
        None => pending().await,
    }
}

impl OpenStream {
    /// Posts a call. `time`: until the server begins to answer.
    pub(super) fn post(
        link: &Arc<HttpLink>,
        request: &Outgoing<'_>,
        dialect: &Dialect,
        time: Duration,
    ) -> Result<Self, Fault> {
        // No conversation: over HTTP a server can say which call it means, so with two of them nothing is guessed.
        let slot = Arc::new(Slot::new(true, None));
        link.pending.insert(request.id, Arc::clone(&slot))?;
        let headers = headers(dialect, Some(request));
        let (body, poster) = (request.body.clone(), Arc::clone(link));
        let posting = Box::pin(async move { poster.transport.post(body, &headers, time).await });
        Ok(Self {
            link: Arc::clone(link),
            stage: Stage::Posting(posting),
            slot: Some(slot),
            id: request.id,
            dialect: dialect.clone(),
            resumes: 0,
            detached: false,
        })
    }

    /// The next item, resuming the stream where the server allows that. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Item {
        loop {
            let Self { slot, stage, .. } = self;
            let step = tokio::select! {
                biased;
                item = said(slot.as_deref()) => return item,
                step = stage.next() => step,
            };
            let broken: Fault = match step {
                Step::Over => return Item::End(Err(ended_without_answer(&self.link.ear.name))),
                Step::Reply(reply) => match self.replied(reply) {
                    Some(end) => {
                        self.stage = Stage::Over;
                        return Item::End(end);
                    }
                    None => continue,
                },
                Step::Event(Some(Ok(event))) => {
                    match self.link.event(&event.data, Some(self.id), &self.dialect) {
                        None => continue,
                        Some(Item::End(end)) => {
                            if let Stage::Stream(stream) = mem::replace(&mut self.stage, Stage::Over) {
                                read_to_end(stream);
                            }
                            return Item::End(end);
                        }
                        Some(item) => return item,
                    }
                }
                // What was too large may have been the answer.
                Step::Event(Some(Err(error @ TransportError::Event { .. }))) => error.into(),
                Step::Event(Some(Err(error))) => match self.resumed(error.into()).await {
                    Ok(()) => continue,
                    Err(fault) => fault,
                },
                Step::Event(None) => match self.resumed(ended_without_answer(&self.link.ear.name)).await {
                    Ok(()) => continue,
                    Err(fault) => fault,
                },
            };
            self.stage = Stage::Over;
            return Item::End(Err(broken));
        }
    }

    /// The end of the request, unless its answer is a stream.
    fn replied(&mut self, reply: Result<HttpReply, TransportError>) -> Option<Result<Bytes, Fault>> {
        let link = &self.link;
        let HttpReply {
            status,
            headers,
            body,
        } = match reply {
            Ok(reply) => reply,
            Err(error) => return Some(Err(link.failed(error))),
        };
        Some(match body {
            Body::Json(json) => link.json(status, &headers, &json, self.id, &self.dialect),
            Body::Sse(stream) => {
                self.stage = Stage::Stream(stream);
                return None;
            }
            Body::Other { content, .. } => Err(link.refused(status, &headers, &content, &self.dialect)),
            Body::Empty => Err(link.refused(status, &headers, b"", &self.dialect)),
        })
    }

    /// Opens the stream again behind the last event that came; the error is why it stays broken.
    async fn resumed(&mut self, broken: Fault) -> Result<(), Fault> {
        let Stage::Stream(stream) = &mut self.stage else {
            return Err(broken);
        };
        let Some(last) = stream
            .last_event_id()
            .filter(|_| self.dialect.is_legacy() && self.resumes < MAX_RESUMES)
        else {
            return Err(broken);
        };
        self.resumes += 1;
        sleep(stream.retry().unwrap_or(RETRY).clamp(RETRY_MIN, RETRY_MAX)).await;
        let link = &self.link;
        let headers = headers(&self.dialect, None);
        let reply = link
            .transport
            .get_stream(Some(last), &headers, link.own_time)
            .await;
        match reply {
            Ok(HttpReply {
                body: Body::Sse(resumed),
                ..
            }) => {
                self.stage = Stage::Stream(resumed);
                Ok(())
            }
            Ok(_) => Err(broken),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn send(&self, message: Bytes) {
        self.link.control(message);
    }

    pub(crate) fn detach(&mut self, owner: &Principal) {
        self.detached = true;
        if let Some(slot) = &self.slot {
            slot.park(Some(owner.clone()));
        }
    }

    pub(crate) fn attach(&self) {
        if let Some(slot) = &self.slot {
            slot.park(None);
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.link.pending.take(self.id);
        }
        // A legacy server goes on when the connection closes, so it is told.
        if self.detached && !matches!(self.stage, Stage::Over) && self.dialect.is_legacy() {
            self.link.control(wire::cancelled(self.id));
        }
    }
}

fn ended_without_answer(name: &str) -> Fault {
    Fault::Gone {
        why: format!("server `{name}` ended the event stream without an answer").into(),
        sent: true,
    }
}

impl HttpLink {
    /// Reads the stream that answers a request.
    pub(super) async fn stream(
        self: &Arc<Self>,
        stream: SseStream,
        id: u64,
        dialect: &Dialect,
        caller: Option<&CallContext<'_>>,
    ) -> Result<Bytes, Fault> {
        let mut open = OpenStream {
            link: Arc::clone(self),
            stage: Stage::Stream(stream),
            slot: None,
            id,
            dialect: dialect.clone(),
            resumes: 0,
            detached: false,
        };
        loop {
            match (open.next().await, caller) {
                (Item::End(end), _) => return end,
                (Item::Happening(happening), Some(cx)) => happening.tell(cx),
                (Item::Happening(happening), None) => self.ear.log_here(&happening),
                (Item::Question(question), Some(cx)) => {
                    return converse::go_on(Open::Http(Box::new(open)), Some(question), cx).await;
                }
                (Item::Question(question), None) => open.send(ask::unattributed(&question).into()),
                (Item::Withdrawn(_), _) => {}
            }
        }
    }

    /// Deals with one event; `Some` if it is for the one who waits for the answer to request `id`.
    fn event(&self, data: &Bytes, id: Option<u64>, dialect: &Dialect) -> Option<Item> {
        if data.is_empty() {
            return None;
        }
        let text = std::str::from_utf8(data).ok()?;
        let message = match heard::read(text) {
            Ok(message) => message,
            Err((about, what)) if about.is_some() && about == id => {
                return Some(Item::End(Err(Fault::Protocol(what))));
            }
            Err(_) => {
                self.ear
                    .nonsense
                    .note(&self.ear.name, "an event that is no JSON-RPC message", data);
                return None;
            }
        };
        if let Message::Response(response) = message {
            if response.id.and_then(|raw| raw.parse().ok()) != id || id.is_none() {
                self.ear.nonsense.note(
                    &self.ear.name,
                    "an answer to a request that is not open on its stream",
                    data,
                );
                return None;
            }
            return Some(Item::End(
                response
                    .outcome
                    .map(|raw| data.slice_ref(raw.as_bytes()))
                    .map_err(Fault::Rpc),
            ));
        }
        match self.ear.hear(&message) {
            Heard::Reply(reply) => self.control(reply.into()),
            Heard::Progress(token, happening) if Some(token) == id => {
                return Some(Item::Happening(happening));
            }
            // Sent on the stream of a request, it belongs to that.
            Heard::Told(happening) if id.is_some() => return Some(Item::Happening(happening)),
            Heard::Question(question) if id.is_some() && dialect.is_legacy() => {
                return Some(Item::Question(question));
            }
            Heard::Withdrawn(question) if id.is_some() => return Some(Item::Withdrawn(question)),
            heard if id.is_none() => self.elsewhere(heard),
            Heard::Question(question) => self.control(ask::unattributed(&question).into()),
            Heard::Told(_) | Heard::Nothing | Heard::Progress(..) | Heard::Withdrawn(_) => {}
        }
        None
    }

    /// What the server says on its own stream about a call: progress says which one, the rest belongs to the only call
    /// that runs, or to nobody.
    fn elsewhere(&self, heard: Heard) {
        match heard {
            Heard::Progress(token, happening) => {
                if let Some(slot) = self.pending.get(token) {
                    slot.happened(happening);
                }
            }
            Heard::Told(happening) => match self.pending.attributed() {
                Some((slot, others)) if others.is_empty() => slot.happened(happening),
                _ => self.ear.log_here(&happening),
            },
            Heard::Question(question) => {
                let unasked = match self.pending.attributed() {
                    Some((slot, others)) => slot.asked(Question { others, ..question }).err(),
                    None => Some(question),
                };
                if let Some(question) = unasked {
                    self.control(ask::unattributed(&question).into());
                }
            }
            Heard::Withdrawn(question) => self.pending.withdrawn(&question),
            Heard::Nothing | Heard::Reply(_) => {}
        }
    }

    /// Reads the server's own stream for as long as the server has one (legacy era). Returns when it has none.
    pub(crate) async fn hear_server(&self) {
        let mut last_id: Option<String> = None;
        let mut wait = RETRY;
        let mut first = true;
        loop {
            let dialect = self.dialect.load_full();
            let opened = Instant::now();
            let reply = self
                .transport
                .get_stream(last_id.as_deref(), &headers(&dialect, None), self.own_time)
                .await;
            self.hearing.send_if_modified(|begun| !mem::replace(begun, true));
            match reply {
                Ok(HttpReply {
                    body: Body::Sse(mut stream),
                    ..
                }) => {
                    if !first && last_id.is_none() {
                        // What was said in between is lost.
                        self.ear.changes.add(Lists::ALL);
                    }
                    first = false;
                    self.hear_stream(&mut stream, &dialect).await;
                    last_id = stream.last_event_id().map(str::to_owned);
                    wait = match opened.elapsed() > STEADY {
                        true => RETRY,
                        false => (wait * 2).min(RETRY_MAX),
                    };
                    wait = stream
                        .retry()
                        .map_or(wait, |asked| asked.clamp(RETRY_MIN, RETRY_MAX));
                }
                Ok(HttpReply {
                    status,
                    headers,
                    body,
                }) => {
                    let content = match body {
                        Body::Json(content) | Body::Other { content, .. } => content,
                        Body::Empty | Body::Sse(_) => Bytes::new(),
                    };
                    match self.refused(status, &headers, &content, &dialect) {
                        Fault::SessionLost => {
                            if self.new_session(dialect.seq).await.is_err() {
                                return;
                            }
                            last_id = None;
                            continue;
                        }
                        _ if status.is_server_error() => wait = (wait * 2).min(RETRY_MAX),
                        fault => return self.no_stream(status, &fault),
                    }
                }
                Err(error @ TransportError::Connect { .. }) => {
                    self.failed(error);
                    return;
                }
                Err(_) => wait = (wait * 2).min(RETRY_MAX),
            }
            sleep(wait).await;
        }
    }

    async fn hear_stream(&self, stream: &mut SseStream, dialect: &Dialect) {
        loop {
            match stream.next().await {
                Some(Ok(event)) => {
                    self.event(&event.data, None, dialect);
                }
                Some(Err(TransportError::Event { .. })) => {
                    self.ear
                        .nonsense
                        .note(&self.ear.name, "an event that is too large or not UTF-8", b"");
                }
                Some(Err(_)) | None => return,
            }
        }
    }

    fn no_stream(&self, status: StatusCode, fault: &Fault) {
        if status != StatusCode::METHOD_NOT_ALLOWED {
            tracing::debug!(target: "ferromcp::server", server = %self.ear.name, %fault, "no stream of its own");
        }
    }
}

/// The end of a stream follows its answer, and a connection that was read to the end is used again. Opening another one
/// for every call would cost far more than this task.
fn read_to_end(mut stream: SseStream) {
    tokio::spawn(timeout(READ_TO_END, async move {
        while stream.next().await.is_some() {}
    }));
}
