//! A connection to a server over Streamable HTTP: one exchange per request, and a session in the legacy era.

mod events;

pub(crate) use self::events::OpenStream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ferromcp_core::CallContext;
use ferromcp_protocol::header::{METHOD, NAME, PROTOCOL_VERSION, SESSION_ID, encode_value};
use ferromcp_protocol::{Message, ProtocolVersion};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::slot::{Item, Pending};
use super::{Ids, MAX_CALLS, Outgoing};
use crate::converse::{self, Open};
use crate::fault::Fault;
use crate::heard::{self, Ear};
use crate::transport::TransportError;
use crate::transport::http::{Body, HttpReply, HttpSpec, HttpTransport, retry_after};
use crate::{parked, wire};

/// Cancellations and answers to the server that may wait to be posted.
const MAX_CONTROL: usize = 256;
/// Time for a notification.
const NOTIFY_TIME: Duration = Duration::from_secs(10);
/// How much longer the transport waits than the call it carries.
const LAST_RESORT: Duration = Duration::from_secs(1);
/// Time for giving a session back.
const DELETE_TIME: Duration = Duration::from_secs(2);

/// How requests are dressed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialect {
    /// `None` before `initialize` is answered.
    pub(crate) version: Option<ProtocolVersion>,
    /// Legacy session id.
    pub(crate) session: Option<HeaderValue>,
    /// Counts sessions.
    pub(crate) seq: u64,
}

impl Dialect {
    fn is_legacy(&self) -> bool {
        !self.version.is_some_and(ProtocolVersion::is_modern)
    }
}

/// A server at an address.
#[derive(Debug)]
pub(crate) struct HttpLink {
    pub(crate) ids: Ids,
    ear: Arc<Ear>,
    transport: HttpTransport,
    /// Time for requests of our own.
    own_time: Duration,
    dialect: ArcSwap<Dialect>,
    /// Rings when `dialect` is replaced.
    redressed: watch::Sender<()>,
    /// The `seq` of the newest session that the server no longer knows.
    lost: AtomicU64,
    /// Rings when `lost` grows.
    pub(crate) session_lost: Notify,
    control: mpsc::Sender<Bytes>,
    calls: AtomicUsize,
    /// Calls in flight to a legacy server, which may speak of them on its own stream.
    pending: Pending,
    /// Its own stream was asked for, and the server has begun to answer.
    hearing: watch::Sender<bool>,
    ended: watch::Sender<Option<Arc<str>>>,
}

/// The raw result, and the session that came with it.
type Answer = (Bytes, Option<HeaderValue>);

impl HttpLink {
    /// Nothing is sent yet.
    pub(crate) fn new(
        spec: &HttpSpec,
        ear: Arc<Ear>,
        own_time: Duration,
    ) -> Result<Arc<Self>, TransportError> {
        let transport = HttpTransport::new(spec)?;
        let (control, mut controls) = mpsc::channel(MAX_CONTROL);
        let made = Arc::new(Self {
            ids: Ids::default(),
            ear,
            transport,
            own_time,
            dialect: ArcSwap::default(),
            redressed: watch::Sender::new(()),
            lost: AtomicU64::new(0),
            session_lost: Notify::new(),
            control,
            calls: AtomicUsize::new(0),
            pending: Pending::new(usize::MAX),
            hearing: watch::Sender::new(false),
            ended: watch::Sender::new(None),
        });
        let weak = Arc::downgrade(&made);
        tokio::spawn(async move {
            while let Some(message) = controls.recv().await {
                let Some(link) = weak.upgrade() else { return };
                if let Err(fault) = link.notify(message).await {
                    tracing::debug!(target: "ferromcp::server", server = %link.ear.name, %fault, "control message lost");
                }
            }
        });
        Ok(made)
    }

    /// Changes how requests are dressed from now on.
    pub(crate) fn dress(&self, version: Option<ProtocolVersion>, session: Option<HeaderValue>) {
        let seq = self.dialect.load().seq + 1;
        self.dialect.store(Arc::new(Dialect {
            version,
            session,
            seq,
        }));
        self.redressed.send_replace(());
    }

    /// A request may take the time of an authorization beside its own.
    pub(crate) fn has_auth(&self) -> bool {
        self.transport.has_auth()
    }

    /// True if the current session is known to be lost.
    pub(crate) fn needs_session(&self) -> bool {
        self.lost.load(Ordering::Acquire) >= self.dialect.load().seq
    }

    /// See [`Link::request`](super::Link::request). A caller's request whose session is lost waits for a new one and is
    /// sent again, once: a server that does not know the session has not run it.
    pub(crate) async fn request(
        self: &Arc<Self>,
        request: Outgoing<'_>,
        caller: Option<&CallContext<'_>>,
    ) -> Result<Bytes, Fault> {
        let _room = self.enter(caller.is_some())?;
        let dialect = self.dialect.load_full();
        match self.exchange(&request, &dialect, caller).await {
            Err(Fault::SessionLost) if caller.is_some() => {
                self.new_session(dialect.seq).await?;
                let dialect = self.dialect.load_full();
                self.exchange(&request, &dialect, caller).await
            }
            other => other,
        }
        .map(|(result, _)| result)
    }

    /// `initialize`: the result, and the session that the server opened.
    pub(crate) async fn initialize(self: &Arc<Self>, request: Outgoing<'_>) -> Result<Answer, Fault> {
        self.exchange(&request, &Dialect::default(), None).await
    }

    fn enter(&self, call: bool) -> Result<Room<'_>, Fault> {
        let room = Room(&self.calls);
        if self.calls.fetch_add(1, Ordering::Relaxed) >= MAX_CALLS && call {
            return Err(Fault::Busy { limit: MAX_CALLS });
        }
        Ok(room)
    }

    async fn exchange(
        self: &Arc<Self>,
        request: &Outgoing<'_>,
        dialect: &Dialect,
        caller: Option<&CallContext<'_>>,
    ) -> Result<Answer, Fault> {
        let time = match caller {
            // The call's own deadline strikes first, and knows better how to say it.
            Some(cx) => cx.deadline.end().saturating_duration_since(Instant::now()) + LAST_RESORT,
            None => self.own_time,
        };
        if let Some(cx) = caller.filter(|_| dialect.is_legacy()) {
            // Boxed, so that the common case stays small.
            let ended = Box::pin(self.legacy_call(request, dialect, cx, time)).await;
            return ended.map(|result| (result, None));
        }
        let mut waiting = Waiting {
            link: self,
            id: request.id,
            tell: request.cancellable && dialect.is_legacy(),
        };
        let headers = headers(dialect, Some(request));
        let answered = async {
            let reply = self.transport.post(request.body.clone(), &headers, time).await;
            let HttpReply {
                status,
                headers,
                body,
            } = reply.map_err(|e| self.failed(e))?;
            let session = headers.get(SESSION_ID).cloned();
            let result = match body {
                Body::Json(json) => self.json(status, &headers, &json, request.id, dialect)?,
                // Boxed, so that the common case stays small.
                Body::Sse(stream) => Box::pin(self.stream(stream, request.id, dialect, caller)).await?,
                Body::Other { content, .. } => return Err(self.refused(status, &headers, &content, dialect)),
                Body::Empty => return Err(self.refused(status, &headers, b"", dialect)),
            };
            Ok((result, session))
        };
        let answer = answered.await;
        if !matches!(answer, Err(Fault::Transport(TransportError::Timeout { .. }))) {
            waiting.tell = false;
        }
        answer
    }

    /// A call to a legacy server, which may ask on the call's stream, and on its own before it answers at all.
    async fn legacy_call(
        self: &Arc<Self>,
        request: &Outgoing<'_>,
        dialect: &Dialect,
        cx: &CallContext<'_>,
        time: Duration,
    ) -> Result<Bytes, Fault> {
        let mut waiting = Waiting {
            link: self,
            id: request.id,
            tell: request.cancellable,
        };
        // It may be parked before the server begins to answer.
        let mut open = OpenStream::post(self, request, dialect, time + parked::TTL)?;
        let ended = loop {
            match open.next().await {
                Item::End(end) => break end,
                Item::Happening(happening) => happening.tell(cx),
                Item::Withdrawn(_) => {}
                Item::Question(question) => {
                    break converse::go_on(Open::Http(Box::new(open)), Some(question), cx).await;
                }
            }
        };
        if !matches!(ended, Err(Fault::Transport(TransportError::Timeout { .. }))) {
            waiting.tell = false;
        }
        ended
    }

    fn json(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        json: &Bytes,
        id: u64,
        dialect: &Dialect,
    ) -> Result<Bytes, Fault> {
        if !status.is_success() && (is_about_access(status) || self.is_lost(status, json, dialect)) {
            return Err(self.refused(status, headers, json, dialect));
        }
        let broken = |what: String| match status.is_success() {
            true => Fault::Protocol(what),
            false => self.refused(status, headers, json, dialect),
        };
        let text = std::str::from_utf8(json).map_err(|_| broken("its answer is not UTF-8".into()))?;
        let message = heard::read(text)
            .map_err(|(_, what)| broken(format!("its answer is no JSON-RPC message: {what}")))?;
        let Message::Response(response) = message else {
            return Err(broken("its answer is no JSON-RPC response".into()));
        };
        let ours = response.id.is_some_and(|raw| raw.parse() == Ok(id));
        match response.outcome {
            Ok(raw) if ours => Ok(json.slice_ref(raw.as_bytes())),
            // Errors about requests that could not be read have no id, or one of the server's own making.
            Err(error) if ours || !status.is_success() || response.id.is_none() => Err(Fault::Rpc(error)),
            _ => Err(broken("it answered another request than it was asked".into())),
        }
    }

    /// The fault of an answer that is no JSON-RPC message.
    fn refused(&self, status: StatusCode, headers: &HeaderMap, content: &[u8], dialect: &Dialect) -> Fault {
        if self.is_lost(status, content, dialect) {
            self.lose_session(dialect.seq);
            return Fault::SessionLost;
        }
        if status.is_success() {
            let what = match content.is_empty() {
                true => format!(
                    "it answered a request with HTTP {} and no content",
                    status.as_u16()
                ),
                false => "its answer is neither JSON nor an event stream".into(),
            };
            return Fault::Protocol(what);
        }
        let retry_after = retry_after(headers);
        let text = String::from_utf8_lossy(&content[..content.len().min(200)]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Fault::Status {
            status,
            text,
            retry_after,
        }
    }

    /// 404 says that a session is gone (2025-11-25 basic/transports, "Session Management"); some servers say 400 and
    /// explain it in words.
    fn is_lost(&self, status: StatusCode, content: &[u8], dialect: &Dialect) -> bool {
        dialect.session.is_some()
            && (status == StatusCode::NOT_FOUND
                || status == StatusCode::BAD_REQUEST
                    && content.to_ascii_lowercase().windows(7).any(|w| w == b"session"))
    }

    fn lose_session(&self, seq: u64) {
        if self.lost.fetch_max(seq, Ordering::AcqRel) < seq {
            self.session_lost.notify_one();
        }
    }

    /// Waits until the session is replaced.
    async fn new_session(&self, seq: u64) -> Result<(), Fault> {
        let mut redressed = self.redressed.subscribe();
        let mut ended = self.ended.subscribe();
        loop {
            redressed.mark_unchanged();
            if self.dialect.load().seq > seq {
                return Ok(());
            }
            tokio::select! {
                _ = redressed.changed() => {}
                why = ended.wait_for(Option::is_some) => {
                    let why = why.ok().and_then(|why| why.clone()).unwrap_or_else(|| "it is gone".into());
                    return Err(Fault::Gone { why, sent: false });
                }
            }
        }
    }

    /// A server that cannot be connected to is down, and everybody should know at once.
    fn failed(&self, error: TransportError) -> Fault {
        if matches!(error, TransportError::Connect { .. }) {
            self.end(&error.to_string().into());
        }
        error.into()
    }

    pub(crate) fn end(&self, why: &Arc<str>) {
        self.ended.send_if_modified(|now| {
            let first = now.is_none();
            if first {
                *now = Some(Arc::clone(why));
            }
            first
        });
    }

    /// Waits until the server cannot be reached; the text says why.
    pub(crate) async fn ended(&self) -> Arc<str> {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(Some(why)) => why,
            _ => "its connection was dropped".into(),
        }
    }

    /// Waits until the server has begun to answer the request for its own stream, or cannot be asked.
    pub(crate) async fn hears(&self) {
        // An error cannot be: the sender is `self`.
        let _ = self.hearing.subscribe().wait_for(|begun| *begun).await;
    }

    /// Posts a message that has no answer.
    pub(crate) async fn notify(&self, message: Bytes) -> Result<(), Fault> {
        let dialect = self.dialect.load_full();
        let sent = self
            .transport
            .post(message, &headers(&dialect, None), NOTIFY_TIME)
            .await;
        let HttpReply {
            status,
            headers,
            body,
        } = sent.map_err(|e| self.failed(e))?;
        if status.is_success() {
            return Ok(());
        }
        let content = match body {
            Body::Json(content) | Body::Other { content, .. } => content,
            Body::Empty | Body::Sse(_) => Bytes::new(),
        };
        Err(self.refused(status, &headers, &content, &dialect))
    }

    fn control(&self, message: Bytes) {
        if self.control.try_send(message).is_err() {
            self.ear.nonsense.note(
                &self.ear.name,
                "it is slow to take control messages; one was dropped",
                b"",
            );
        }
    }

    /// Gives the session back.
    pub(crate) async fn close(&self) {
        self.end(&format!("server `{}` is being stopped", self.ear.name).into());
        let dialect = self.dialect.load_full();
        if dialect.session.is_some() && !self.needs_session() {
            // A server that does not end sessions, or is gone, is left as it is.
            let _ = self.transport.delete(&headers(&dialect, None), DELETE_TIME).await;
        }
    }
}

/// One of the calls that may be in flight.
struct Room<'a>(&'a AtomicUsize);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A legacy server goes on when the connection closes, so it is told. A modern one takes the close as the sign.
struct Waiting<'a> {
    link: &'a HttpLink,
    id: u64,
    tell: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.tell {
            self.link.control(wire::cancelled(self.id));
        }
    }
}

fn is_about_access(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    )
}

/// `request`: `None` for notifications, which name neither method nor subject here because only the legacy era has them
/// over HTTP.
fn headers(dialect: &Dialect, request: Option<&Outgoing<'_>>) -> Vec<(HeaderName, HeaderValue)> {
    let mut out = Vec::with_capacity(4);
    if let Some(version) = dialect.version
        && version >= ProtocolVersion::V2025_06_18
    {
        let value = HeaderValue::from_static(version.as_str());
        out.push((HeaderName::from_static(PROTOCOL_VERSION), value));
    }
    if let Some(session) = &dialect.session {
        out.push((HeaderName::from_static(SESSION_ID), session.clone()));
    }
    if let Some(request) = request
        && !dialect.is_legacy()
    {
        out.extend(header(METHOD, request.method));
        if let Some(name) = request.name {
            out.extend(header(NAME, name));
        }
        out.extend(request.params.iter().cloned());
    }
    out
}

fn header(name: &'static str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_str(&encode_value(value)).ok()?;
    Some((HeaderName::from_static(name), value))
}
