//! The MCP door: Streamable HTTP of both eras on one path.
//!
//! A POST is answered with plain JSON if the message is done before anything else was to be said,
//! which is nearly always; then nothing is spawned and nothing is queued. It becomes an event
//! stream when the request says something first (progress, a log message, a question), or runs for
//! long. The eras differ in what a lost connection means: in the modern one the request is
//! cancelled, in the legacy one it goes on and its stream can be picked up again.

mod frame;
mod logs;
mod pipe;
mod stream;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::{Door, ErrorCode};
use ferromcp_endpoint::{Answer, Body as Said, HeaderField, Headers, Incoming, Link, Outlet as _, Session};
use ferromcp_protocol::ProtocolVersion;
use futures_util::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Extensions, Request, Response, StatusCode};
use hyper::body::Incoming as RequestBody;
use tokio::time::{Sleep, sleep};

use crate::body::{self, Body};
use crate::credential::credential;
use crate::media::{self, Accepts};
use crate::refusal::{self, Refusal, json_response};
use crate::route::Site;
use frame::EventId;
pub(crate) use logs::Keeper;
use logs::Logs;
use pipe::Pipe;
use stream::{Direct, Exchange, KeptAlive, Resumable};

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Asks proxies not to hold events back (2026-07-28 basic/transports/streamable-http).
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Open streams get this long to end by themselves when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What an answer to a GET or DELETE that is refused is written as.
const JSON_ONLY: Accepts = Accepts {
    json: true,
    events: false,
};

/// `POST /mcp`: one message, or one batch. What the head alone tells is refused at once.
pub(crate) fn post(site: &Arc<Site>, request: Request<RequestBody>) -> Result<Running, Refusal> {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    let accepts = media::accepts(&headers);
    if !accepts.json && !accepts.events {
        return Err(not_acceptable("application/json and text/event-stream"));
    }
    media::require_json(&headers)?;
    // Looked at now, so that nobody is asked for a body in vain.
    credential(&headers, &head.extensions)?;
    let pipe = Pipe::new(accepts.events);
    let exchange = exchange(
        Arc::clone(site),
        (headers, head.extensions),
        body,
        Arc::clone(&pipe),
    );
    Ok(Running {
        site: Arc::clone(site),
        exchange: Some(exchange),
        pipe,
        accepts,
        timer: None,
    })
}

/// The whole work on a message, as one future that owns what it needs.
fn exchange(
    site: Arc<Site>,
    (headers, extensions): (HeaderMap, Extensions),
    body: RequestBody,
    pipe: Arc<Pipe>,
) -> Exchange {
    Box::pin(async move {
        let settings = site.settings();
        let bytes = match body::read(&headers, body, settings.max_body, settings.body_timeout).await {
            Ok(bytes) => bytes,
            Err(error) => return Refusal::body(error, settings.max_body).answer(),
        };
        let credential = match credential(&headers, &extensions) {
            Ok(credential) => credential,
            Err(refusal) => return refusal.answer(),
        };
        let incoming = Incoming {
            body: &bytes,
            door: Door::Mcp,
            credential,
            link: Link::Http(&View(&headers)),
            outlet: &*pipe,
        };
        site.endpoint().exchange(incoming).await
    })
}

/// A message that is being worked on: a future that ends with the response, or with its beginning.
pub(crate) struct Running {
    site: Arc<Site>,
    /// `None` once the work has ended or was handed on.
    exchange: Option<Exchange>,
    pipe: Arc<Pipe>,
    accepts: Accepts,
    /// Runs while the work may still be answered whole.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Future for Running {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let this = &mut *self;
        let Some(exchange) = &mut this.exchange else {
            return Poll::Pending;
        };
        if let Poll::Ready(answer) = exchange.as_mut().poll(cx) {
            this.exchange = None;
            if this.pipe.wants_stream() && answer.opened.is_none() {
                // It said something and was done at once: both go out as a stream.
                this.exchange = Some(Box::pin(std::future::ready(answer)));
                return Poll::Ready(this.streamed());
            }
            return Poll::Ready(whole(&this.site, answer, this.accepts));
        }
        if !this.pipe.can_send() {
            return Poll::Pending;
        }
        this.pipe.register(cx);
        if this.pipe.wants_stream() {
            return Poll::Ready(this.streamed());
        }
        // Not while the body is on its way.
        if this.timer.is_none() && !this.pipe.is_opened() {
            return Poll::Pending;
        }
        let stream_after = this.site.settings().stream_after;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(stream_after)));
        timer.as_mut().poll(cx).map(|()| this.streamed())
    }
}

impl Running {
    /// Goes on as an event stream.
    fn streamed(&mut self) -> Response<Body> {
        let site = &self.site;
        let Some(exchange) = self.exchange.take() else {
            return events(site, futures_util::stream::empty());
        };
        let pipe = Arc::clone(&self.pipe);
        let facts = pipe.take_facts();
        if let Some(facts) = facts
            && !facts.version.is_modern()
            && let Some(session) = facts.session
            && let Some(number) = site.keeper().keep(&session, &pipe)
        {
            // The one place where a request gets a task of its own: it must outlive its connection.
            tokio::spawn(stream::carry_out(exchange, Arc::clone(&pipe)));
            let retry = facts.version.has_sse_polling().then_some(site.settings().retry);
            return events(site, Resumable::begin(pipe, number, retry));
        }
        events(site, Direct::new(exchange, pipe))
    }
}

impl Drop for Running {
    /// The client went away. A legacy request goes on (2025-11-25 basic/transports: disconnection is
    /// not cancellation), although nobody can ask for its answer any more; a modern one ends here.
    fn drop(&mut self) {
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        if std::thread::panicking() {
            return;
        }
        if self
            .pipe
            .take_facts()
            .is_some_and(|f| !f.version.is_modern() && f.session.is_some())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(stream::carry_out(exchange, Arc::clone(&self.pipe)));
        }
    }
}

/// An answer that nothing was sent before.
fn whole(site: &Arc<Site>, answer: Answer, accepts: Accepts) -> Response<Body> {
    let Answer {
        body,
        status,
        opened,
        retry_after,
        challenge,
    } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match body {
        Said::Json(json) if accepts.json || status != StatusCode::OK => json_response(status, json),
        Said::Json(json) => events(site, futures_util::stream::iter([frame::message(None, &json)])),
        Said::Listen(subscription) if accepts.events => {
            events(site, until_stopped(site, stream::subscription(subscription)))
        }
        Said::Listen(_) => return not_acceptable("text/event-stream").rpc(),
        Said::None | Said::Cancelled => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            response
        }
    };
    let headers = response.headers_mut();
    if let Some(id) = opened.and_then(|session| HeaderValue::from_str(session.id()).ok()) {
        headers.insert(names::SESSION_ID.clone(), id);
    }
    if let Some(after) = retry_after {
        headers.insert(RETRY_AFTER, refusal::retry_after(after));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    refusal::ask(&mut response, challenge);
    response
}

/// `GET /mcp`: the stream for changes of a legacy session, or the rest of one of its streams.
pub(crate) fn get<B>(site: &Arc<Site>, request: &Request<B>) -> Response<Body> {
    let headers = request.headers();
    if !media::accepts(headers).events {
        return not_acceptable("text/event-stream").rpc();
    }
    let session = match session(site, request) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    let Some(logs) = Logs::of(&session) else {
        return Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::Internal,
            "internal error",
        )
        .rpc();
    };
    if let Some(last) = headers.get(LAST_EVENT_ID) {
        let last = last.to_str().ok().and_then(EventId::parse);
        return match last.and_then(|last| logs.find(last.stream).map(|pipe| (pipe, last))) {
            Some((pipe, last)) => events(site, Resumable::resume(pipe, last)),
            None => Refusal::bad(
                "this Last-Event-ID belongs to no stream of the session that is still kept; send the request again",
            )
            .rpc(),
        };
    }
    let replaced = logs.take_over();
    let shown = match credential(headers, request.extensions()) {
        Ok(shown) => shown,
        Err(refusal) => return refusal.rpc(),
    };
    let feed = match site.endpoint().feed_with(&session, shown) {
        Ok(feed) => feed,
        Err(answer) => return whole(site, answer, JSON_ONLY),
    };
    let changes = futures_util::stream::unfold(feed, async |mut feed| {
        let message = feed.next().await?;
        Some((frame::message(None, &message), feed))
    });
    events(
        site,
        until_stopped(site, changes.take_until(replaced.cancelled_owned())),
    )
}

/// `DELETE /mcp`: the end of a legacy session.
pub(crate) fn delete<B>(site: &Arc<Site>, request: &Request<B>) -> Response<Body> {
    match session(site, request) {
        Ok(session) => {
            site.endpoint().end(&session);
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(response) => *response,
    }
}

/// The session that a GET or DELETE is about. Neither exists in the modern era.
fn session<B>(site: &Arc<Site>, request: &Request<B>) -> Result<Arc<Session>, Box<Response<Body>>> {
    let headers = request.headers();
    if let Some(sent) = headers.get(&names::PROTOCOL_VERSION) {
        match sent.to_str().ok().and_then(ProtocolVersion::parse) {
            Some(version) if version.is_modern() => return Err(Refusal::method("POST").rpc().into()),
            Some(_) => {}
            None => {
                return Err(Refusal::bad("MCP-Protocol-Version names no revision of MCP")
                    .rpc()
                    .into());
            }
        }
    }
    let shown = credential(headers, request.extensions()).map_err(|refusal| Box::new(refusal.rpc()))?;
    let found = site.endpoint().session(&View(headers), shown);
    found.map_err(|answer| whole(site, answer, JSON_ONLY).into())
}

/// A stream without an end of its own, ended when the server stops: first it may say so itself.
fn until_stopped(
    site: &Site,
    stream: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + Unpin + 'static {
    let stop = site.stop().clone();
    Box::pin(stream.take_until(async move {
        stop.cancelled().await;
        sleep(LAST_WORDS).await;
    }))
}

/// An event stream as a response.
fn events(site: &Arc<Site>, stream: impl Stream<Item = Bytes> + Send + Unpin + 'static) -> Response<Body> {
    let mut response = Response::new(Body::pieces(KeptAlive::new(stream, site.settings().keep_alive)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENTS);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

fn not_acceptable(needed: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_ACCEPTABLE,
        ErrorCode::InvalidRequest,
        format!("the Accept header leaves nothing to answer with; it should list {needed}"),
    )
}

/// Headers as the endpoint looks at them.
struct View<'a>(&'a HeaderMap);

/// Header names of MCP, parsed once.
mod names {
    use ferromcp_protocol::header;
    use http::HeaderName;

    pub(super) static PROTOCOL_VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
    pub(super) static SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);
}

impl Headers for View<'_> {
    fn field(&self, name: &str) -> HeaderField<'_> {
        // A request has few headers: a walk over them costs less than a look-up, which hashes the name.
        let mut values = self
            .0
            .iter()
            .filter(|(sent, _)| sent.as_str() == name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (None, _) => HeaderField::Absent,
            (Some(value), None) => HeaderField::Single(value.as_bytes()),
            (Some(_), Some(_)) => HeaderField::Repeated,
        }
    }
}
