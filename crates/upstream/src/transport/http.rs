//! Streamable HTTP: one POST per message, the answer as JSON or as an event stream.
//!
//! Redirects are refused, cookies are not kept, answers are not decompressed (none is asked for). Everything that is
//! read has a limit; waiting has the caller's time limit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Body as _;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use url::Url;

use super::TransportError;
use super::sse::{SseEvent, SseParser};
use crate::auth::{Attempts, Authorizer};
use connect::TimedConnector;
use spec::{check_headers, check_url};

mod connect;
mod exchange;
mod explain;
mod http2;
mod spec;
mod tls;

pub(crate) use exchange::retry_after;
pub use exchange::{Exchange, Exchanged, refused_by_status};
pub(crate) use explain::explain;
pub use http2::Http2;
pub use hyper::body::Incoming;
pub(crate) use spec::shown;
pub use spec::{HttpKind, HttpLimits, HttpSpec, SharedAuth, TlsSpec};

/// Pooled connections.
pub(crate) type Connections = Client<TimedConnector, Full<Bytes>>;

/// A pool of connections that trusts by `trust`. `max_idle`: connections kept per host.
pub(crate) fn connections(trust: ClientConfig, connect_timeout: Duration, max_idle: usize) -> Connections {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(trust)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_max_idle_per_host(max_idle)
        .pool_idle_timeout(Duration::from_secs(60))
        // Finds a dead peer under an open event stream.
        .http2_keep_alive_interval(Duration::from_secs(30))
        .build(TimedConnector::new(connector, connect_timeout))
}

/// Header that resumes an event stream.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Who and where, for messages.
#[derive(Debug)]
struct Target {
    name: Arc<str>,
    /// Without query and fragment, which may hold secrets.
    shown: Arc<str>,
    limits: HttpLimits,
}

impl Target {
    fn timeout(&self, after: Duration) -> TransportError {
        TransportError::Timeout {
            name: Arc::clone(&self.name),
            url: Arc::clone(&self.shown),
            after,
        }
    }

    fn broken(&self, during: &'static str, reason: String) -> TransportError {
        TransportError::Broken {
            name: Arc::clone(&self.name),
            url: Arc::clone(&self.shown),
            during,
            reason,
        }
    }

    fn too_large(&self, limit: usize) -> TransportError {
        TransportError::TooLarge {
            name: Arc::clone(&self.name),
            limit,
        }
    }
}

/// A client for one server. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct HttpTransport {
    target: Arc<Target>,
    uri: Uri,
    headers: HeaderMap,
    client: Connections,
    auth: Option<Arc<Authorizer>>,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// An answer: any status but a redirect.
#[derive(Debug)]
pub struct HttpReply {
    /// As received.
    pub status: StatusCode,
    /// As received.
    pub headers: HeaderMap,
    /// The content, by its declared type.
    pub body: Body,
}

/// The content of an answer.
#[derive(Debug)]
pub enum Body {
    /// Nothing, as with 202.
    Empty,
    /// `application/json`, complete; not parsed and not checked.
    Json(Bytes),
    /// `text/event-stream` with a success status.
    Sse(SseStream),
    /// Something else; at most `max_other` bytes of it.
    Other {
        /// The declared type, if any.
        content_type: Option<String>,
        /// The first bytes.
        content: Bytes,
    },
}

impl HttpTransport {
    /// Checks the spec; nothing is sent. The first `https` server of a process loads the system's root certificates
    /// (some milliseconds of file reading).
    ///
    /// # Errors
    /// [`TransportError::Config`] if the address or a header cannot be used.
    pub fn new(spec: &HttpSpec) -> Result<Self, TransportError> {
        let name: Arc<str> = spec.name.as_str().into();
        let config = |reason: String| TransportError::Config {
            name: Arc::clone(&name),
            reason,
        };
        let url = check_url(&spec.url).map_err(config)?;
        let headers = check_headers(&spec.headers).map_err(config)?;
        let uri = url[..url::Position::AfterQuery]
            .parse()
            .map_err(|e| config(format!("`url` cannot be used: {e}")))?;
        let trust = if url.scheme() == "https" || spec.auth.is_some() {
            tls::trust(&spec.tls).map_err(config)?
        } else {
            tls::no_trust().map_err(config)?
        };
        let auth = match &spec.auth {
            None => None,
            Some(auth) => Some(
                auth.authorizer(&url, &trust)
                    .map_err(|e| config(format!("`auth`: {e}")))?,
            ),
        };
        let client = connections(trust, spec.limits.connect_timeout, spec.limits.max_idle);
        let target = Target {
            name: Arc::clone(&name),
            shown: shown(&url).into(),
            limits: spec.limits,
        };
        Ok(Self {
            target: Arc::new(target),
            uri,
            headers,
            client,
            auth,
        })
    }

    /// The same server at another address of its own, as its stream names it. An address elsewhere is refused: it would
    /// get the credentials.
    pub(super) fn beside(&self, reference: &str) -> Result<Self, TransportError> {
        let refused = |what: &str| TransportError::NoStream {
            name: Arc::clone(&self.target.name),
            what: what.to_owned(),
        };
        let base = Url::parse(&self.uri.to_string()).map_err(|e| refused(&e.to_string()))?;
        let url = base
            .join(reference)
            .map_err(|_| refused("its `endpoint` event holds no URL"))?;
        if url.origin() != base.origin() || !url.username().is_empty() || url.password().is_some() {
            return Err(refused("its `endpoint` event names another server"));
        }
        let uri = url[..url::Position::AfterQuery]
            .parse()
            .map_err(|_| refused("its `endpoint` event holds no usable URL"))?;
        let target = Target {
            name: Arc::clone(&self.target.name),
            shown: shown(&url).into(),
            limits: self.target.limits,
        };
        Ok(Self {
            target: Arc::new(target),
            uri,
            ..self.clone()
        })
    }

    pub(crate) fn has_auth(&self) -> bool {
        self.auth.is_some()
    }

    /// The error of an answer with this status.
    pub(super) fn refused(&self, status: StatusCode, text: String) -> TransportError {
        TransportError::Status {
            name: Arc::clone(&self.target.name),
            status,
            text,
        }
    }

    /// Sends one JSON-RPC message. `headers` win over configured ones. `time`: for the complete answer, or, if that is
    /// an event stream, for its beginning. Dropping the future closes the request, which tells a modern server to
    /// cancel.
    ///
    /// # Errors
    /// [`TransportError`]; a status of 400 or more is an answer, not an error.
    pub async fn post(
        &self,
        body: Bytes,
        headers: &[(HeaderName, HeaderValue)],
        time: Duration,
    ) -> Result<HttpReply, TransportError> {
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        self.send(Method::POST, body, accept, headers, time).await
    }

    /// Opens the server's own event stream, or resumes a stream after `last_event_id`. A server without one answers 405.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn get_stream(
        &self,
        last_event_id: Option<&str>,
        headers: &[(HeaderName, HeaderValue)],
        time: Duration,
    ) -> Result<HttpReply, TransportError> {
        let accept = HeaderValue::from_static("text/event-stream");
        // An id that no header can hold cannot have come from a header-aware server: start at the present instead.
        match last_event_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            Some(id) => {
                let mut all = headers.to_vec();
                all.push((LAST_EVENT_ID, id));
                self.send(Method::GET, Bytes::new(), accept, &all, time).await
            }
            None => self.send(Method::GET, Bytes::new(), accept, headers, time).await,
        }
    }

    /// Ends a session. A server that does not support that answers 405.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn delete(
        &self,
        headers: &[(HeaderName, HeaderValue)],
        time: Duration,
    ) -> Result<HttpReply, TransportError> {
        self.send(
            Method::DELETE,
            Bytes::new(),
            HeaderValue::from_static("*/*"),
            headers,
            time,
        )
        .await
    }

    async fn send(
        &self,
        method: Method,
        body: Bytes,
        accept: HeaderValue,
        headers: &[(HeaderName, HeaderValue)],
        time: Duration,
    ) -> Result<HttpReply, TransportError> {
        let mut all = HeaderMap::with_capacity(self.headers.len() + headers.len() + 4);
        all.clone_from(&self.headers);
        if method == Method::POST {
            all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        all.insert(ACCEPT, accept);
        for (name, value) in headers {
            all.insert(name, value.clone());
        }
        let exchange = async {
            let response = match &self.auth {
                None => self.once(method, body, all).await?,
                // Boxed, so that the common case stays small.
                Some(auth) => Box::pin(self.authorized(auth, method, body, all)).await?,
            };
            self.reply(response).await
        };
        tokio::time::timeout(time, exchange)
            .await
            .unwrap_or_else(|_| Err(self.target.timeout(time)))
    }

    async fn once(
        &self,
        method: Method,
        body: Bytes,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>, TransportError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        self.client
            .request(request)
            .await
            .map_err(|error| self.failed(&error))
    }

    /// Sends with a token, and again if the server refused that and a better one could be had.
    async fn authorized(
        &self,
        auth: &Arc<Authorizer>,
        method: Method,
        body: Bytes,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>, TransportError> {
        let failed = |source| TransportError::Auth {
            name: Arc::clone(&self.target.name),
            source,
        };
        let mut attempts = Attempts::default();
        loop {
            let mut dressed = headers.clone();
            let token = auth
                .dress(&method, &self.uri, &mut dressed)
                .await
                .map_err(failed)?;
            let response = self.once(method.clone(), body.clone(), dressed).await?;
            let status = response.status();
            if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                return Ok(response);
            }
            let again = auth.refused(token.as_ref(), status, response.headers(), &mut attempts);
            if !again.await.map_err(failed)? {
                return Ok(response);
            }
        }
    }

    fn failed(&self, error: &hyper_util::client::legacy::Error) -> TransportError {
        let reason = explain(error);
        if error.is_connect() {
            let (name, url) = (Arc::clone(&self.target.name), Arc::clone(&self.target.shown));
            return TransportError::Connect { name, url, reason };
        }
        self.target.broken("before an answer came", reason)
    }

    async fn reply(&self, response: Response<Incoming>) -> Result<HttpReply, TransportError> {
        let limits = &self.target.limits;
        let (head, body) = response.into_parts();
        if head.status.is_redirection() {
            return Err(self.redirect(head.status, head.headers.get(LOCATION)));
        }
        let declared = head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let media = declared
            .and_then(|v| v.split(';').next())
            .unwrap_or_default()
            .trim();
        let length = head
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok())
            .unwrap_or(0);
        let body = if media.eq_ignore_ascii_case("text/event-stream") && head.status.is_success() {
            Body::Sse(SseStream {
                target: Arc::clone(&self.target),
                body,
                parser: SseParser::new(limits.max_event),
                ended: false,
            })
        } else if body.is_end_stream() {
            Body::Empty
        } else if media.eq_ignore_ascii_case("application/json") {
            let (content, complete) = match length > limits.max_body {
                true => (Bytes::new(), false),
                false => self.read(body, length, limits.max_body).await?,
            };
            if !complete {
                return Err(self.target.too_large(limits.max_body));
            }
            if content.is_empty() {
                Body::Empty
            } else {
                Body::Json(content)
            }
        } else {
            let (content, _) = self.read(body, length, limits.max_other).await?;
            match content.is_empty() {
                true => Body::Empty,
                false => Body::Other {
                    content_type: declared.map(str::to_owned),
                    content,
                },
            }
        };
        Ok(HttpReply {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Reads at most `limit` bytes; `false` if there was more. `length`: the declared length, or 0.
    async fn read(
        &self,
        mut body: Incoming,
        length: usize,
        limit: usize,
    ) -> Result<(Bytes, bool), TransportError> {
        // Most answers come in one piece, which is then handed on without a copy.
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| self.target.broken("while its answer was read", explain(&e)))?;
            let Ok(data) = frame.into_data() else { continue };
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.reserve(length.min(limit).max(first.len() + data.len()));
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&data);
            }
            if first.len().max(all.len()) > limit {
                first.truncate(limit);
                all.truncate(limit);
                let part = if all.is_empty() { first } else { all.freeze() };
                return Ok((part, false));
            }
        }
        Ok((if all.is_empty() { first } else { all.freeze() }, true))
    }

    fn redirect(&self, status: StatusCode, location: Option<&HeaderValue>) -> TransportError {
        let base = Url::parse(&self.uri.to_string()).ok();
        let location = location.and_then(|v| v.to_str().ok());
        let target = location.and_then(|to| base?.join(to).ok());
        TransportError::Redirect {
            name: Arc::clone(&self.target.name),
            url: Arc::clone(&self.target.shown),
            status,
            location: target.map_or_else(|| "an address it does not tell".to_owned(), |url| shown(&url)),
        }
    }
}

/// An open event stream. Dropping it closes it.
#[derive(Debug)]
pub struct SseStream {
    target: Arc<Target>,
    body: Incoming,
    parser: SseParser,
    ended: bool,
}

impl SseStream {
    /// The next event; an error; or `None` when the server has ended the stream. After [`TransportError::Event`] the
    /// stream goes on with the next event; after any other error it has ended. There is no time limit here: the caller
    /// knows how long a silence may be. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<SseEvent, TransportError>> {
        loop {
            if let Some(event) = self.parser.next_event() {
                let name = &self.target.name;
                return Some(event.map_err(|source| TransportError::Event {
                    name: Arc::clone(name),
                    source,
                }));
            }
            if self.ended {
                return None;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.parser.feed(&data);
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    let reason = explain(&error);
                    return Some(Err(self
                        .target
                        .broken("in the middle of an event stream", reason)));
                }
                None => self.ended = true,
            }
        }
    }

    /// The id to resume after, if the server gives ids.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.parser.last_event_id()
    }

    /// How long the server wants us to wait before reconnecting, if it said so.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry_ms().map(Duration::from_millis)
    }
}
