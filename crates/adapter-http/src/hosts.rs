//! Whom a request says it is for (`Host`) and which page sent it (`Origin`).
//!
//! A web page can make a browser send requests to this machine, and with DNS rebinding even read
//! the answers. Both headers are set by the browser and not by the page, so they tell such
//! requests apart (2025-11-25 and 2026-07-28, basic/transports, "Security").

use std::net::{IpAddr, SocketAddr};

use ferromcp_core::ErrorCode;
use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::{Request, StatusCode, Version};

use crate::refusal::Refusal;
use crate::settings::HttpSettings;

/// What one listener accepts.
#[derive(Debug)]
pub(crate) struct HostRules {
    /// Lower case, as configured: with a port, or without one for any port.
    hosts: Vec<String>,
    origins: Vec<String>,
    any_origin: bool,
    any_host: bool,
    bound: IpAddr,
}

impl HostRules {
    pub(crate) fn new(settings: &HttpSettings, bound: SocketAddr) -> Self {
        let lower = |list: &[String]| -> Vec<String> {
            list.iter()
                .map(|entry| entry.trim_end_matches('/').to_ascii_lowercase())
                .collect()
        };
        Self {
            hosts: lower(&settings.allowed_hosts),
            origins: lower(&settings.allowed_origins),
            any_origin: settings.allowed_origins.iter().any(|o| o == "*"),
            any_host: settings.allowed_hosts.iter().any(|h| h == "*")
                || (settings.allowed_hosts.is_empty() && bound.ip().is_unspecified()),
            bound: bound.ip(),
        }
    }

    /// Refuses a request for a host that is not ours.
    pub(crate) fn check_host<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let mut sent = request.headers().get_all(HOST).iter();
        let host = match (request.uri().authority(), sent.next(), sent.next()) {
            // HTTP/2, or a request in absolute form, where the target outranks the header.
            (Some(target), _, None) => target.as_str(),
            (None, Some(value), None) => value
                .to_str()
                .map_err(|_| Refusal::bad("the Host header is not text"))?,
            (None, None, _) if request.version() < Version::HTTP_11 => return Ok(()),
            (None, None, _) => return Err(Refusal::bad("the request has no Host header")),
            _ => return Err(Refusal::bad("the request has more than one Host header")),
        };
        if self.any_host || self.host_allowed(host) {
            return Ok(());
        }
        let shown: String = host.chars().take(100).collect();
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            ErrorCode::PermissionDenied,
            format!(
                "this server does not answer for host `{shown}`. If that name is meant to reach it, \
                 add it to listen.allowed_hosts"
            ),
        ))
    }

    /// The origin of the page that sent the request, if one did and it may.
    pub(crate) fn check_origin<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Result<Option<&'h HeaderValue>, Refusal> {
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(None);
        };
        let text = origin.to_str().unwrap_or_default();
        if self.any_origin || self.origin_allowed(text) {
            return Ok(Some(origin));
        }
        let shown: String = text.chars().take(100).collect();
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            ErrorCode::PermissionDenied,
            format!(
                "pages of origin `{shown}` may not use this server. If they should, add the origin to \
                 listen.allowed_origins"
            ),
        ))
    }

    fn host_allowed(&self, host: &str) -> bool {
        let (name, port) = split_port(host);
        if is_loopback(name) || ip(name).is_some_and(|ip| ip == self.bound && !ip.is_unspecified()) {
            return true;
        }
        self.hosts.iter().any(|allowed| {
            let (allowed_name, allowed_port) = split_port(allowed);
            name.eq_ignore_ascii_case(allowed_name) && (allowed_port.is_none() || allowed_port == port)
        })
    }

    fn origin_allowed(&self, origin: &str) -> bool {
        let host = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        if let Some(host) = host
            && is_loopback(split_port(host).0)
        {
            return true;
        }
        self.origins
            .iter()
            .any(|allowed| origin.eq_ignore_ascii_case(allowed))
    }
}

/// Splits `name:port`; an IPv6 address is in brackets. What is no port stays with the name, which
/// then matches nothing.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && !port.is_empty()
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            (name, Some(port))
        }
        _ => (host, None),
    }
}

fn ip(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_loopback(name: &str) -> bool {
    name == "127.0.0.1"
        || name.eq_ignore_ascii_case("localhost")
        || ip(name).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
