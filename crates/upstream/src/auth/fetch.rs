//! Requests to addresses that servers have named.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, HeaderMap};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use rustls::ClientConfig;
use url::{Host, Url};

use super::AuthError;
use crate::transport::http::{Connections, connections, explain, shown};

/// Time for one exchange.
const TIME: Duration = Duration::from_secs(15);
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const MAX_ANSWER: usize = 256 * 1024;

/// An answer of any status but a redirect.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A client without memory: no cookies, no redirects.
pub(super) struct Fetcher {
    connections: Connections,
    /// The server itself is on this machine or its network, so what it names may be as well.
    local: bool,
}

impl Fetcher {
    pub(super) fn new(server: &Url, trust: ClientConfig) -> Self {
        Self {
            connections: connections(trust, CONNECT_TIME, 2),
            local: is_local(server),
        }
    }

    /// A server far away must not make us fetch what only we can reach (security_best_practices, "Server-Side Request
    /// Forgery").
    pub(super) fn check(&self, url: &Url) -> Result<(), AuthError> {
        let refuse = |why: &str| {
            Err(AuthError::Address(format!(
                "{} is not fetched: {why}",
                shown(url)
            )))
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("it holds a user or password");
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(url) => {}
            "http" => return refuse("only `https` is safe for credentials, or `http` on this machine"),
            _ => return refuse("its scheme is not `https`"),
        }
        if !self.local && is_local(url) {
            return refuse(
                "a server elsewhere must not name addresses of this machine or its private network",
            );
        }
        Ok(())
    }

    pub(super) fn parse(&self, text: &str, what: &str) -> Result<Url, AuthError> {
        let url = Url::parse(text).map_err(|e| AuthError::Exchange(format!("{what} is no URL: {e}")))?;
        self.check(&url)?;
        Ok(url)
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Answer, AuthError> {
        self.send(Method::GET, url, HeaderMap::new(), Bytes::new()).await
    }

    pub(super) async fn post(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<Answer, AuthError> {
        self.send(Method::POST, url, headers, body).await
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, AuthError> {
        self.check(url)?;
        let failed = |why: String| AuthError::Exchange(format!("{}: {why}", shown(url)));
        let uri = url[..url::Position::AfterQuery]
            .parse::<http::Uri>()
            .map_err(|e| failed(e.to_string()))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        request
            .headers_mut()
            .insert(ACCEPT, http::HeaderValue::from_static("application/json"));
        let exchange = async {
            let response = self
                .connections
                .request(request)
                .await
                .map_err(|e| failed(explain(&e)))?;
            let (head, mut body) = response.into_parts();
            if head.status.is_redirection() {
                return Err(failed(format!(
                    "it answered {} with a redirect, which is not followed",
                    head.status.as_u16()
                )));
            }
            let mut all = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|e| failed(explain(&e)))?;
                if let Ok(data) = frame.into_data() {
                    if all.len() + data.len() > MAX_ANSWER {
                        return Err(failed(format!("its answer is larger than {MAX_ANSWER} bytes")));
                    }
                    all.extend_from_slice(&data);
                }
            }
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: all.freeze(),
            })
        };
        tokio::time::timeout(TIME, exchange)
            .await
            .unwrap_or_else(|_| Err(failed(format!("no answer within {} s", TIME.as_secs()))))
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Loopback, private, link-local (where clouds keep credentials) and unspecified addresses. Names are not looked up: what
/// they lead to can change after a look, and TLS proves the name.
pub fn is_local(url: &Url) -> bool {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        _ => return is_loopback(url),
    };
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}
