//! Event streams: the answer to one request, and what a legacy server says of its own accord.

use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::CallContext;
use ferromcp_protocol::Message;
use http::StatusCode;
use tokio::time::{Instant, sleep, timeout};

use super::{Dialect, HttpLink, headers};
use crate::fault::Fault;
use crate::heard::{self, Heard, Lists};
use crate::transport::TransportError;
use crate::transport::http::{Body, HttpReply, SseStream};

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

impl HttpLink {
    /// Reads the stream that answers a request, resuming it where the server allows that.
    pub(super) async fn stream(
        &self,
        mut stream: SseStream,
        id: u64,
        dialect: &Dialect,
        caller: Option<&CallContext<'_>>,
    ) -> Result<Bytes, Fault> {
        let mut resumes = 0;
        loop {
            let broken: Fault = match stream.next().await {
                Some(Ok(event)) => {
                    if let Some(end) = self.event(&event.data, Some(id), caller) {
                        read_to_end(stream);
                        return end;
                    }
                    continue;
                }
                // What was too large may have been the answer.
                Some(Err(error @ TransportError::Event { .. })) => return Err(error.into()),
                Some(Err(error)) => error.into(),
                None => Fault::Gone {
                    why: format!(
                        "server `{}` ended the event stream without an answer",
                        self.ear.name
                    )
                    .into(),
                    sent: true,
                },
            };
            let Some(last) = stream
                .last_event_id()
                .filter(|_| dialect.is_legacy() && resumes < MAX_RESUMES)
            else {
                return Err(broken);
            };
            resumes += 1;
            sleep(stream.retry().unwrap_or(RETRY).clamp(RETRY_MIN, RETRY_MAX)).await;
            let reply = self
                .transport
                .get_stream(Some(last), &headers(dialect, None), self.own_time)
                .await;
            match reply {
                Ok(HttpReply {
                    body: Body::Sse(resumed),
                    ..
                }) => stream = resumed,
                Ok(_) => return Err(broken),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Deals with one event; `Some` if it is the answer to request `id`.
    fn event(
        &self,
        data: &Bytes,
        id: Option<u64>,
        caller: Option<&CallContext<'_>>,
    ) -> Option<Result<Bytes, Fault>> {
        if data.is_empty() {
            return None;
        }
        let text = std::str::from_utf8(data).ok()?;
        let message = match heard::read(text) {
            Ok(message) => message,
            Err((about, what)) if about.is_some() && about == id => return Some(Err(Fault::Protocol(what))),
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
            return Some(
                response
                    .outcome
                    .map(|raw| data.slice_ref(raw.as_bytes()))
                    .map_err(Fault::Rpc),
            );
        }
        match (self.ear.hear(&message), caller) {
            (Heard::Reply(reply), _) => self.control(reply.into()),
            (Heard::Progress(token, happening), Some(cx)) if Some(token) == id => happening.tell(cx),
            // Sent on the stream of a request, it belongs to that.
            (Heard::Log(happening), Some(cx)) => happening.tell(cx),
            (Heard::Log(happening), None) => self.ear.log_here(&happening),
            (Heard::Nothing | Heard::Progress(..), _) => {}
        }
        None
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
                    self.hear_stream(&mut stream).await;
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

    async fn hear_stream(&self, stream: &mut SseStream) {
        loop {
            match stream.next().await {
                Some(Ok(event)) => {
                    self.event(&event.data, None, None);
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
