//! What others keep for us: the keys of tokens, and the time.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ferromcp_config::{Config, JwtKeys, Transport};
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use url::Url;

use super::finding::Finding;
use crate::{https, jwks};

/// Longest wait for the time.
const ASK: Duration = Duration::from_secs(5);
/// How far clocks may differ where no tokens say otherwise.
const TOLERANCE: Duration = Duration::from_secs(60);

pub(super) async fn keys(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "auth.jwt.jwks";
    let Some(JwtKeys::Url(url)) = config.auth.jwt.as_ref().map(|jwt| &jwt.keys) else {
        return Vec::new();
    };
    // The path of an address can hold a token.
    let shown = url.origin().ascii_serialization();
    let finding = match jwks::count(url).await {
        Ok(0) => Finding::fail(
            CHECK,
            format!("{shown} has no key that can be used"),
            "check auth.jwt.jwks: is it the issuer's `jwks_uri`?",
        ),
        Ok(keys) => Finding::ok(CHECK, format!("{shown}: {keys} keys")),
        Err(reason) => Finding::fail(
            CHECK,
            format!("{shown}: {reason}"),
            "check auth.jwt.jwks and the network; until then no token is accepted",
        ),
    };
    vec![finding]
}

/// Compares our clock with that of the first server at an https address that says the time.
pub(super) async fn clock(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "clock";
    let mut urls: Vec<&Url> = Vec::new();
    if let Some(JwtKeys::Url(url)) = config.auth.jwt.as_ref().map(|jwt| &jwt.keys) {
        urls.push(url);
    }
    urls.extend(
        config
            .servers
            .iter()
            .filter_map(|server| match &server.transport {
                Transport::Http(endpoint) => Some(&endpoint.url),
                _ => None,
            }),
    );
    urls.retain(|url| url.scheme() == "https");
    let tolerance = config.auth.jwt.as_ref().map_or(TOLERANCE, |jwt| jwt.leeway);
    for url in &urls {
        let Ok(Some((theirs, ours))) = tokio::time::timeout(ASK, date(url)).await else {
            continue;
        };
        let host = url.host_str().unwrap_or_default();
        let apart = match ours.duration_since(theirs) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        let said = format!("{} s apart from {host}", apart.as_secs());
        let fix = "set the clock (timedatectl set-ntp true): tokens and certificates go by it";
        // `Date` has whole seconds.
        let finding = if apart <= tolerance + Duration::from_secs(1) {
            Finding::ok(CHECK, said)
        } else if config.auth.jwt.is_some() {
            Finding::fail(
                CHECK,
                format!("{said}; auth.jwt.leeway is {} s", tolerance.as_secs()),
                fix,
            )
        } else {
            Finding::warn(CHECK, said, fix)
        };
        return vec![finding];
    }
    let why = match urls.len() {
        0 => "nothing at an https address is configured to compare with",
        _ => "no server at an https address said the time",
    };
    vec![Finding::skipped(CHECK, why)]
}

/// Their time, and ours in the middle of the exchange.
async fn date(url: &Url) -> Option<(SystemTime, SystemTime)> {
    let connector = https::trusting_the_system(Some(url.scheme()), ASK).ok()?;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let origin = url.origin().ascii_serialization();
    let request = Request::head(format!("{origin}/")).body(Empty::new()).ok()?;
    let before = SystemTime::now();
    let response = client.request(request).await.ok()?;
    let took = before.elapsed().unwrap_or_default();
    let theirs = response.headers().get(header::DATE)?.to_str().ok()?;
    Some((httpdate::parse_http_date(theirs).ok()?, before + took / 2))
}
