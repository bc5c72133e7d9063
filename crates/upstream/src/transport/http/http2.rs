//! HTTP/2 to one server, for protocols that are built on it: TLS, headers and messages of errors are as everywhere, what is sent is
//! somebody else's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderMap;
use http::{Request, Response, Uri};
use hyper::body::{Body, Incoming};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::TimedConnector;
use super::spec::{check_headers, check_url};
use super::{HttpSpec, Target, explain, shown, tls};
use crate::transport::TransportError;

/// Connections to one server, which share one session. `http` means HTTP/2 from the first byte.
pub struct Http2<B> {
    target: Target,
    origin: Uri,
    headers: HeaderMap,
    client: Client<TimedConnector, B>,
}

impl<B> Http2<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Checks the spec; nothing is sent. Of its URL only the origin counts, and its `auth` is not used.
    ///
    /// # Errors
    /// [`TransportError::Config`] if the address, a header or a certificate cannot be used.
    pub fn new(spec: &HttpSpec) -> Result<Self, TransportError> {
        let name: Arc<str> = spec.name.as_str().into();
        let config = |reason: String| TransportError::Config {
            name: Arc::clone(&name),
            reason,
        };
        let url = check_url(&spec.url).map_err(config)?;
        let headers = check_headers(&spec.headers).map_err(config)?;
        let origin = url[..url::Position::BeforePath]
            .parse()
            .map_err(|e| config(format!("`url` cannot be used: {e}")))?;
        let trust = match url.scheme() {
            "https" => tls::trust(&spec.tls),
            _ => tls::no_trust(),
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust.map_err(config)?)
            .https_or_http()
            .enable_http2()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .build(TimedConnector::new(connector, spec.limits.connect_timeout));
        Ok(Self {
            target: Target {
                name: Arc::clone(&name),
                shown: shown(&url).into(),
                limits: spec.limits,
            },
            origin,
            headers,
            client,
        })
    }

    /// Scheme and authority.
    pub fn origin(&self) -> &Uri {
        &self.origin
    }

    /// Sends a request, with the configured headers over its own, and returns the head of the answer. There is no time limit but
    /// that for connecting.
    ///
    /// # Errors
    /// [`TransportError`]; a status of 400 or more is an answer, not an error.
    pub async fn send(&self, mut request: Request<B>) -> Result<Response<Incoming>, TransportError> {
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        self.client.request(request).await.map_err(|error| {
            let reason = explain(&error);
            match error.is_connect() {
                true => TransportError::Connect {
                    name: Arc::clone(&self.target.name),
                    url: Arc::clone(&self.target.shown),
                    reason,
                },
                false => self.target.broken("before an answer came", reason),
            }
        })
    }
}

impl<B> fmt::Debug for Http2<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
