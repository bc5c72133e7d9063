//! The server as the rest of the program sees it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use ferromcp_core::{CallContext, CallError, ErrorCode, Reply, SourceFuture};
use ferromcp_upstream::transport::http::{Exchange, HttpSpec, HttpTransport};
use ferromcp_upstream::{Found, Service, ServiceFuture};
use http::Method;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use tracing::warn;
use url::Url;

use crate::document::{Document, MAX_DOCUMENT};
use crate::operation::Fixed;
use crate::request::Base;
use crate::tools::{self, Tools};
use crate::{answer, base, request};

/// How often a file is looked at, by content.
const FILE_LOOK: Duration = Duration::from_secs(2);
/// How often a document on the network is read again.
const URL_LOOK: Duration = Duration::from_secs(300);
/// Most operations that are no tools which the log names.
const SHOWN: usize = 10;

/// Where the document is.
#[derive(Clone)]
pub enum Source {
    /// A file; looked at every two seconds.
    File(PathBuf),
    /// A URL; read again every five minutes.
    Url(Url),
}

/// What the configuration says of one API. `Debug` shows no query, which may be a secret.
#[derive(Clone)]
pub struct OpenApiSpec {
    /// Where the document is.
    pub source: Source,
    /// Where requests go; each has its query. If `None`, where the document says: on the host that the document is from, or, if it
    /// is a file, on one that is not of this machine or its network.
    pub base_url: Option<Url>,
    /// Name, headers, limits, TLS and tokens. Its URL is not looked at.
    pub http: HttpSpec,
}

/// An API.
pub struct OpenApi {
    spec: OpenApiSpec,
    ready: ArcSwapOption<Ready>,
    /// The document that `ready` is from.
    last: Mutex<Bytes>,
}

/// What calls need.
struct Ready {
    tools: Tools,
    base: Base,
    transport: HttpTransport,
}

impl OpenApi {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(spec: OpenApiSpec) -> Self {
        Self {
            spec,
            ready: ArcSwapOption::empty(),
            last: Mutex::default(),
        }
    }

    async fn look_now(&self) -> Result<Found, String> {
        let bytes = self.read().await?;
        if let Some(ready) = self.ready.load_full()
            && *self.last.lock().unwrap_or_else(PoisonError::into_inner) == bytes
        {
            return Ok(found(&ready));
        }
        let (spec, text) = (self.spec.clone(), bytes.clone());
        // A large document takes a while.
        let made = tokio::task::spawn_blocking(move || ready(&spec, &text));
        let ready = made.await.map_err(|e| e.to_string())??;
        self.complain(&ready.tools);
        let found = found(&ready);
        self.ready.store(Some(Arc::new(ready)));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        Ok(found)
    }

    /// The document as it is now.
    async fn read(&self) -> Result<Bytes, String> {
        match &self.spec.source {
            Source::File(path) => {
                let size = tokio::fs::metadata(path).await.map(|file| file.len());
                let failed =
                    |e: std::io::Error| format!("its document {} cannot be read: {e}", path.display());
                if size.map_err(failed)? > MAX_DOCUMENT as u64 {
                    return Err(format!(
                        "its document {} has more than {MAX_DOCUMENT} bytes",
                        path.display()
                    ));
                }
                tokio::fs::read(path).await.map(Bytes::from).map_err(failed)
            }
            Source::Url(url) => self.fetch(url).await,
        }
    }

    async fn fetch(&self, url: &Url) -> Result<Bytes, String> {
        let mut http = self.spec.http.clone();
        http.url = url.to_string();
        http.limits.max_body = MAX_DOCUMENT;
        let foreign = self
            .spec
            .base_url
            .as_ref()
            .is_some_and(|base| base.origin() != url.origin());
        if foreign {
            // Credentials are for where requests go.
            http.headers.clear();
            http.auth = None;
        }
        let transport = HttpTransport::new(&http).map_err(|e| e.to_string())?;
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, application/yaml, */*;q=0.5"),
        );
        let exchange = Exchange {
            method: Method::GET,
            target: url[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
            headers,
            body: Bytes::new(),
        };
        let answer = transport.exchange(exchange).await.map_err(|e| e.to_string())?;
        match answer.status.is_success() {
            true => Ok(answer.body),
            false => Err(format!(
                "its document at {} was answered with HTTP {}",
                transport.shown(),
                answer.status.as_u16()
            )),
        }
    }

    fn complain(&self, tools: &Tools) {
        let server = &self.spec.http.name;
        for why in tools.left_out.iter().take(SHOWN) {
            warn!(target: "ferromcp::server", server, "no tool: {why}");
        }
        if tools.left_out.len() > SHOWN {
            let more = tools.left_out.len() - SHOWN;
            warn!(target: "ferromcp::server", server, "and {more} more operations that are no tools");
        }
    }

    async fn relay(&self, cx: &CallContext<'_>) -> Result<Reply, CallError> {
        let name = &self.spec.http.name;
        let ready = self.ready.load_full();
        let found = ready
            .as_ref()
            .and_then(|ready| Some((ready, ready.tools.operations.get(cx.local_name)?)));
        let Some((ready, operation)) = found else {
            let text = format!("server `{name}`: its document has no such operation any more");
            return Err(CallError::new(ErrorCode::ToolNotFound, text).with_rule("upstream.gone"));
        };
        let exchange = request::build(operation, &ready.base, cx.arguments.raw)?;
        let answer = ready.transport.exchange(exchange).await;
        answer::reply(name, &answer.map_err(|e| e.into_call_error(name))?)
    }
}

fn found(ready: &Ready) -> Found {
    Found {
        instructions: None,
        tools: ready.tools.specs.clone(),
    }
}

fn ready(spec: &OpenApiSpec, text: &[u8]) -> Result<Ready, String> {
    let broken = |why: String| format!("its document cannot be used: {why}");
    let document = Document::parse(text).map_err(broken)?;
    let url = match (&spec.base_url, &spec.source) {
        (Some(url), _) => url.clone(),
        (None, Source::Url(from)) => base::of_document(&document, Some(from))?,
        (None, Source::File(_)) => base::of_document(&document, None)?,
    };
    let mut http = spec.http.clone();
    http.url = url.to_string();
    let transport = HttpTransport::new(&http).map_err(|e| e.to_string())?;
    let tools = tools::read(&document, &fixed(spec), spec.base_url.is_some());
    if let (true, Some(why)) = (tools.specs.is_empty(), tools.left_out.first()) {
        return Err(broken(format!("none of its operations can be a tool; {why}")));
    }
    Ok(Ready {
        tools,
        base: base::parts(&url),
        transport,
    })
}

fn fixed(spec: &OpenApiSpec) -> Fixed {
    let headers = spec.http.headers.iter();
    let query = spec.base_url.iter().flat_map(|url| url.query_pairs());
    Fixed {
        headers: headers
            .filter_map(|(name, _)| HeaderName::from_bytes(name.as_bytes()).ok())
            .collect(),
        query: query.map(|(name, _)| name.into_owned()).collect(),
    }
}

/// The tools that a document would have, for whoever wants to know before a server is started.
///
/// # Errors
/// Why the document cannot be used.
pub fn tool_names(text: &[u8]) -> Result<Vec<String>, String> {
    let document = Document::parse(text)?;
    let tools = tools::read(&document, &Fixed::default(), true);
    Ok(tools.specs.iter().map(|tool| tool.key.to_string()).collect())
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&shown(url)).finish(),
        }
    }
}

impl fmt::Debug for OpenApiSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenApiSpec")
            .field("source", &self.source)
            .field("base_url", &self.base_url.as_ref().map(shown))
            .field("http", &self.http)
            .finish()
    }
}

fn shown(url: &Url) -> &str {
    &url[..url::Position::AfterPath]
}

impl fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenApi")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

impl Service for OpenApi {
    fn look(&self) -> ServiceFuture<'_, Result<Found, String>> {
        Box::pin(self.look_now())
    }

    fn changed(&self) -> ServiceFuture<'_, ()> {
        let time = match self.spec.source {
            Source::File(_) => FILE_LOOK,
            Source::Url(_) => URL_LOOK,
        };
        Box::pin(tokio::time::sleep(time))
    }

    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move { self.relay(&cx).await })
    }
}
