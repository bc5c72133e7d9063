//! Which door a request goes to.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use ferromcp_core::guesses::{Guesses, Shown, refusal};
use ferromcp_core::{ErrorCode, Gateway};
use ferromcp_endpoint::Endpoint;
use ferromcp_tls::ServerTls;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::authorization::{self, METADATA, METADATA_MCP};
use crate::body::Body;
use crate::cors;
use crate::credential::{self, Certificate};
use crate::health;
use crate::hosts::HostRules;
use crate::mcp::{self, Keeper};
use crate::openapi;
use crate::refusal::Refusal;
use crate::rest;
use crate::serve::{Busy, ConnectionControl};
use crate::settings::HttpSettings;

/// The path of the MCP door.
pub(crate) const MCP: &str = "/mcp";
const REST_PREFIX: &str = "/v1/";
/// Seconds between sweeps over sessions.
const SWEEP_SECONDS: u64 = 5;

/// All HTTP doors of a server. Cheap to clone; every listener serves the same doors.
#[derive(Clone, Debug)]
pub struct Doors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Arc<Endpoint>,
    settings: HttpSettings,
    tls: Option<Arc<ServerTls>>,
    keeper: Keeper,
    guesses: Option<Guesses>,
    /// Second of the last sweep over sessions, after `started`.
    swept: AtomicU64,
    connections: AtomicUsize,
    resting: AtomicUsize,
    started: Instant,
}

impl Doors {
    /// The doors to an endpoint and the gateway behind it.
    pub fn new(endpoint: Arc<Endpoint>, settings: HttpSettings) -> Self {
        Self::open(endpoint, settings, None)
    }

    /// The same doors, over TLS only. A request without a key or token is its client certificate's.
    pub fn over_tls(endpoint: Arc<Endpoint>, settings: HttpSettings, tls: Arc<ServerTls>) -> Self {
        Self::open(endpoint, settings, Some(tls))
    }

    fn open(endpoint: Arc<Endpoint>, settings: HttpSettings, tls: Option<Arc<ServerTls>>) -> Self {
        Self(Arc::new(Inner {
            guesses: settings.guesses.map(Guesses::new),
            endpoint,
            settings,
            tls,
            keeper: Keeper::default(),
            swept: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            resting: AtomicUsize::new(0),
            started: Instant::now(),
        }))
    }

    /// Open connections over all listeners.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Those of them that idle and hold no buffers.
    pub fn resting(&self) -> usize {
        self.0.resting.load(Ordering::Relaxed)
    }
}

/// The doors as one listener serves them.
#[derive(Debug)]
pub(crate) struct Site {
    doors: Arc<Inner>,
    rules: HostRules,
    stop: CancellationToken,
}

impl Site {
    pub(crate) fn new(doors: Doors, bound: SocketAddr, stop: CancellationToken) -> Self {
        let rules = HostRules::new(&doors.0.settings, bound);
        Self {
            doors: doors.0,
            rules,
            stop,
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.doors.endpoint
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        self.doors.endpoint.gateway()
    }

    /// What clients may come back for.
    pub(crate) fn keeper(&self) -> &Keeper {
        &self.doors.keeper
    }

    /// Ends idle sessions and lets go of old streams. Every listener calls it every second; one of
    /// them does it every [`SWEEP_SECONDS`].
    pub(crate) fn sweep(&self) {
        let now = self.doors.started.elapsed().as_secs();
        let last = self.doors.swept.load(Ordering::Relaxed);
        if now < last + SWEEP_SECONDS
            || self
                .doors
                .swept
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let now = tokio::time::Instant::now();
        self.doors.endpoint.sweep(now);
        self.doors.keeper.sweep(now);
    }

    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.doors.settings
    }

    /// What connections have to begin with, if it is TLS.
    pub(crate) fn tls(&self) -> Option<&Arc<ServerTls>> {
        self.doors.tls.as_ref()
    }

    pub(crate) fn connections(&self) -> &AtomicUsize {
        &self.doors.connections
    }

    pub(crate) fn started(&self) -> Instant {
        self.doors.started
    }

    /// Cancelled when the listener begins to end; open streams end then.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

/// The doors as one connection sees them.
#[derive(Debug)]
pub(crate) struct Service {
    site: Arc<Site>,
    control: Arc<ConnectionControl>,
    peer: IpAddr,
    certificate: Option<Certificate>,
}

impl Service {
    pub(crate) fn new(site: Arc<Site>, control: Arc<ConnectionControl>, peer: IpAddr) -> Self {
        Self {
            site,
            control,
            peer,
            certificate: None,
        }
    }

    /// With the client certificate that the connection was opened with.
    pub(crate) fn with_certificate(self, certificate: Option<Certificate>) -> Self {
        Self { certificate, ..self }
    }
}

impl Service {
    /// Counts the connection as resting until the guard is dropped.
    pub(crate) fn rest(&self) -> Resting {
        self.site.doors.resting.fetch_add(1, Ordering::Relaxed);
        Resting(Arc::clone(&self.site))
    }
}

/// A connection that idles without buffers.
pub(crate) struct Resting(Arc<Site>);

impl Drop for Resting {
    fn drop(&mut self) {
        self.0.doors.resting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(Arc::clone(certificate));
        }
        let busy = Some(self.control.busy());
        let http2 = request.version() == Version::HTTP_2;
        let shown = self.shown(&request);
        let (cors, work) = match self.site.rules.check_origin(request.headers()) {
            Ok(origin) => match self.guessed_too_often(shown) {
                Some(refusal) => (origin.cloned(), Work::refuse(request.uri().path(), &refusal)),
                None => (origin.cloned(), route(&self.site, request)),
            },
            Err(refusal) => (None, Work::refuse(request.uri().path(), &refusal)),
        };
        Answering {
            site: Arc::clone(&self.site),
            work,
            cors,
            shown,
            http2,
            busy,
        }
    }
}

impl Service {
    /// The key or token of a request that only somebody known may make, where guesses are counted.
    fn shown(&self, request: &Request<Incoming>) -> Option<Shown> {
        let guesses = self.site.doors.guesses.as_ref()?;
        let path = request.uri().path();
        let asks = matches!(
            path,
            MCP | "/v1/tools" | "/v1/tools/call" | "/v1/tools/batch" | "/v1/usage"
        );
        if !asks || request.method() == Method::OPTIONS {
            return None;
        }
        Some(guesses.shown(self.peer, credential::text(request.headers())?))
    }

    fn guessed_too_often(&self, shown: Option<Shown>) -> Option<Refusal> {
        let guesses = self.site.doors.guesses.as_ref()?;
        let wait = guesses.wait(shown?)?;
        Some(Refusal::of(&refusal(wait)))
    }
}

/// The work on one request.
pub(crate) enum Work {
    /// Nothing is left to do.
    Done(Option<Response<Body>>),
    /// A message of the MCP door.
    Message(mcp::Running),
    /// Boxed, so that an idle connection does not keep room for the largest request.
    Running(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl Work {
    pub(crate) fn run(work: impl Future<Output = Response<Body>> + Send + 'static) -> Self {
        Self::Running(Box::pin(work))
    }

    /// Refuses in the form of the door that the path belongs to.
    fn refuse(path: &str, refusal: &Refusal) -> Self {
        Self::from(if path == MCP {
            refusal.rpc()
        } else {
            refusal.rest()
        })
    }
}

impl From<Response<Body>> for Work {
    fn from(response: Response<Body>) -> Self {
        Self::Done(Some(response))
    }
}

/// The answer to one request, as it comes about.
pub(crate) struct Answering {
    site: Arc<Site>,
    work: Work,
    cors: Option<HeaderValue>,
    shown: Option<Shown>,
    /// Spoken on a connection that has other ways to say what `connection: close` says.
    http2: bool,
    busy: Option<Busy>,
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = match &mut self.work {
            Work::Done(response) => match response.take() {
                Some(response) => response,
                None => return Poll::Pending,
            },
            Work::Message(work) => std::task::ready!(Pin::new(work).poll(cx)),
            Work::Running(work) => std::task::ready!(work.as_mut().poll(cx)),
        };
        if let Some(origin) = self.cors.take() {
            cors::allow(response.headers_mut(), origin);
        }
        if let (Some(shown), Some(guesses)) = (self.shown, &self.site.doors.guesses) {
            let good = tells_good(response.status());
            guesses.learn(shown, good, response.extensions().get());
        }
        authorization::challenge(&mut response, self.site.settings().authorization.as_ref());
        if self.site.gateway().is_leaving() && !self.http2 {
            // Connections that idle are not closed: a request may be on its way.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(busy) = self.busy.take() {
            response.body_mut().hold(busy);
        }
        Poll::Ready(Ok(response))
    }
}

/// Statuses that only come after a credential was found good, at the paths where guesses are counted.
fn tells_good(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 202 | 204 | 404 | 422)
}

/// The routing table.
fn route(site: &Arc<Site>, request: Request<Incoming>) -> Work {
    let path = request.uri().path();
    // Probes address a machine and not a name, and these two tell nothing.
    let probe = matches!(path, "/healthz" | "/readyz");
    if !probe && let Err(refusal) = site.rules.check_host(&request) {
        return Work::refuse(path, &refusal);
    }
    if request.method() == Method::OPTIONS {
        return cors::preflight(&request, allowed_methods(path)).into();
    }
    if path == MCP {
        return mcp_door(site, request);
    }
    if request.method() == Method::HEAD {
        return head(rest_door(site, request, &Method::GET));
    }
    let method = request.method().clone();
    rest_door(site, request, &method)
}

fn rest_door(site: &Arc<Site>, request: Request<Incoming>, method: &Method) -> Work {
    let path = request.uri().path();
    match (path, method) {
        ("/v1/tools/call", &Method::POST) => Work::run(rest::call(Arc::clone(site), request)),
        ("/v1/tools/batch", &Method::POST) => Work::run(rest::batch(Arc::clone(site), request)),
        ("/v1/tools", &Method::GET) => rest::list(site, &request).into(),
        ("/v1/usage", &Method::GET) => rest::usage(site, &request).into(),
        ("/v1/openapi.json", &Method::GET) => openapi::answer().into(),
        (METADATA | METADATA_MCP, &Method::GET) => match &site.settings().authorization {
            Some(settings) => settings.metadata().into(),
            None => Work::refuse(path, &unknown(path)),
        },
        ("/healthz", &Method::GET) => health::live().into(),
        ("/readyz", &Method::GET) => health::ready(site).into(),
        ("/health", &Method::GET) => health::components(site).into(),
        ("/", &Method::GET) => health::index(site).into(),
        _ => match allowed_methods(path) {
            Some(allow) => Work::refuse(path, &Refusal::method(allow)),
            None => Work::refuse(path, &unknown(path)),
        },
    }
}

/// The answer without its body, but with its length.
fn head(work: Work) -> Work {
    let Work::Done(Some(mut response)) = work else {
        return work;
    };
    let body = std::mem::replace(response.body_mut(), Body::empty());
    if let Some(length) = http_body::Body::size_hint(&body).exact() {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response.into()
}

fn mcp_door(site: &Arc<Site>, request: Request<Incoming>) -> Work {
    match *request.method() {
        Method::POST => match mcp::post(site, request) {
            Ok(running) => Work::Message(running),
            Err(refusal) => refusal.rpc().into(),
        },
        Method::GET => mcp::get(site, &request).into(),
        Method::DELETE => mcp::delete(site, &request).into(),
        _ => Refusal::method(MCP_METHODS).rpc().into(),
    }
}

const MCP_METHODS: &str = "POST, GET, DELETE";

/// The methods of a path; `None` for a path that there is not.
fn allowed_methods(path: &str) -> Option<&'static str> {
    match path {
        MCP => Some(MCP_METHODS),
        "/v1/tools/call" | "/v1/tools/batch" => Some("POST"),
        "/" | "/v1/tools" | "/v1/usage" | "/v1/openapi.json" | "/healthz" | "/readyz" | "/health" => {
            Some("GET, HEAD")
        }
        _ => None,
    }
}

/// The doors, for people who look for them.
pub(crate) const DOORS: &str = "POST /mcp (MCP Streamable HTTP), GET /v1/tools, POST /v1/tools/call, POST /v1/tools/batch, \
     GET /v1/usage, GET /v1/openapi.json, GET /healthz, GET /readyz, GET /health";

fn unknown(path: &str) -> Refusal {
    let shown: String = path.chars().take(100).collect();
    let near = if path.starts_with(REST_PREFIX) {
        "no such REST path"
    } else {
        "no such path"
    };
    Refusal::new(
        StatusCode::NOT_FOUND,
        ErrorCode::InvalidRequest,
        format!("{near}: {shown}. There are: {DOORS}"),
    )
}
