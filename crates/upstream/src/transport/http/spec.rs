//! Where a server is, what every request to it carries, and which of that cannot be.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;
use url::Url;

use crate::auth::{AuthError, Authorizer, OAuthSpec, Secret};

/// Headers that a configuration must not set: the transport or the protocol owns them.
const OWNED: [&str; 17] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "dpop",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a server is and what every request to it carries. `Debug` shows neither header values nor the query.
#[derive(Clone)]
pub struct HttpSpec {
    /// Name for logs and messages.
    pub name: String,
    /// `http` or `https`, without user or password.
    pub url: String,
    /// Headers sent with every request; values may be secrets.
    pub headers: Vec<(String, String)>,
    /// Bounds.
    pub limits: HttpLimits,
    /// Whom to trust, and who we are to TLS.
    pub tls: TlsSpec,
    /// How to get tokens; clones share them.
    pub auth: Option<SharedAuth>,
    /// Which of the HTTP transports the server has.
    pub kind: HttpKind,
}

/// The HTTP transports of MCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpKind {
    /// Streamable HTTP; HTTP+SSE where a server has no other.
    #[default]
    Auto,
    /// HTTP+SSE of 2024-11-05.
    Events,
}

/// TLS settings beside the defaults.
#[derive(Clone, Debug, Default)]
pub struct TlsSpec {
    /// PEM certificates of authorities that are trusted beside those of the system.
    pub ca: Option<Secret>,
    /// PEM certificate chain and private key that we show to a server that asks for a client certificate.
    pub identity: Option<Secret>,
}

/// OAuth settings, and the token that all connections of a server share once there is one.
#[derive(Clone)]
pub struct SharedAuth {
    spec: Arc<OAuthSpec>,
    made: Arc<OnceLock<Arc<Authorizer>>>,
}

impl SharedAuth {
    /// Nothing is fetched yet.
    #[must_use]
    pub fn new(spec: OAuthSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            made: Arc::default(),
        }
    }

    pub(super) fn authorizer(&self, url: &Url, trust: &ClientConfig) -> Result<Arc<Authorizer>, AuthError> {
        if let Some(made) = self.made.get() {
            return Ok(Arc::clone(made));
        }
        let made = Authorizer::new(OAuthSpec::clone(&self.spec), url, trust.clone())?;
        Ok(Arc::clone(self.made.get_or_init(|| made)))
    }
}

impl fmt::Debug for SharedAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

impl HttpSpec {
    /// A spec without headers and with default limits.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            headers: Vec::new(),
            limits: HttpLimits::default(),
            tls: TlsSpec::default(),
            auth: None,
            kind: HttpKind::Auto,
        }
    }

    /// Uses OAuth tokens.
    #[must_use]
    pub fn oauth(mut self, spec: OAuthSpec) -> Self {
        self.auth = Some(SharedAuth::new(spec));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let url = Url::parse(&self.url).map_or_else(|_| "(invalid)".to_owned(), |url| shown(&url));
        let mut out = f.debug_struct("HttpSpec");
        out.field("name", &self.name)
            .field("url", &url)
            .field("headers", &names)
            .field("limits", &self.limits)
            .field("tls", &self.tls)
            .field("auth", &self.auth);
        out.finish()
    }
}

/// Bounds of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Time for a connection: name lookup, TCP and TLS. Default 10 s.
    pub connect_timeout: Duration,
    /// Most bytes of a JSON answer. Default 16 MiB.
    pub max_body: usize,
    /// Most bytes of one event of a stream. Default 16 MiB.
    pub max_event: usize,
    /// Most bytes kept of an answer that is neither JSON nor a stream; the rest is cut off. Default 64 KiB.
    pub max_other: usize,
    /// Idle connections kept to the server. Default 32.
    pub max_idle: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            max_body: 16 * 1024 * 1024,
            max_event: 16 * 1024 * 1024,
            max_other: 64 * 1024,
            max_idle: 32,
        }
    }
}

/// Origin and path: what may be shown of an address.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

pub(super) fn check_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|e| format!("`url` is not an absolute URL ({e}); write `https://host/path`"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "`url` has the scheme `{}`; only http and https are possible",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`url` holds a user or password; give them in `headers` as `Authorization`".to_owned());
    }
    Ok(url)
}

pub(super) fn check_headers(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut out = HeaderMap::with_capacity(headers.len() + 8);
    for (name, value) in headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`headers`: `{}` is not a header name", name.escape_debug()))?;
        if OWNED.contains(&key.as_str()) {
            return Err(format!(
                "`headers`: `{name}` is set by the protocol itself; remove it"
            ));
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            format!("`headers`: the value of `{name}` has a character that a header cannot hold")
        })?;
        value.set_sensitive(true);
        if out.insert(key, value).is_some() {
            return Err(format!("`headers`: `{name}` is given twice"));
        }
    }
    Ok(out)
}
