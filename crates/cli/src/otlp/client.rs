//! One request, and what its answer means for the batch.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::https;
use crate::otlp::encode::{Fields, Value};

/// Of an answer, more is not read.
const MAX_ANSWER: usize = 64 << 10;
/// A collector that asks for a longer pause gets this one.
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Accepted, but for so many records, for this reason.
    Accepted { rejected: u64, reason: String },
    /// Not now; again after this time, if the collector named one. Without a status it gave no answer.
    Later {
        status: Option<StatusCode>,
        after: Option<Duration>,
        reason: String,
    },
    /// Never.
    Refused { status: StatusCode, reason: String },
}

/// Why there can be no client.
#[derive(Debug)]
pub(crate) struct SettingsError(pub(crate) String);

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

pub(crate) struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(
        endpoint: &str,
        headers: &[(String, String)],
        timeout: Duration,
    ) -> Result<Self, SettingsError> {
        let uri: Uri = endpoint
            .parse()
            .map_err(|error| SettingsError(format!("the endpoint is no URL: {error}")))?;
        let connector = https::trusting_the_system(uri.scheme_str(), timeout)
            .map_err(|error| SettingsError(format!("the system's certificates cannot be read: {error}")))?;
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        all.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("FerroMCP-OTLP/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, value) in headers {
            let name: HeaderName = name
                .parse()
                .map_err(|_| SettingsError(format!("`{name}` is no name for a header")))?;
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                SettingsError(format!("the value of the header {name} has forbidden characters"))
            })?;
            value.set_sensitive(true);
            all.insert(name, value);
        }
        let http = Http::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self {
            http,
            uri,
            headers: all,
            timeout,
        })
    }

    pub(crate) async fn send(&self, body: Bytes) -> Sent {
        match tokio::time::timeout(self.timeout, self.exchange(body)).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(reason)) => Sent::Later {
                status: None,
                after: None,
                reason,
            },
            Err(_) => Sent::Later {
                status: None,
                after: None,
                reason: format!("no answer within {:?}", self.timeout),
            },
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<Sent, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let response = self
            .http
            .request(request)
            .await
            .map_err(|error| https::innermost(&error))?;
        let (head, body) = response.into_parts();
        // Read also where nothing in it matters: the connection can be used again then.
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map(|body| body.to_bytes());
        Ok(match meaning(head.status, &head.headers, SystemTime::now()) {
            Sent::Accepted { .. } => {
                // The status came, so the records are there; what of the answer is missing could only tell how many are not.
                let (rejected, reason) = body.map(|body| partial_success(&body)).unwrap_or_default();
                Sent::Accepted { rejected, reason }
            }
            other => other,
        })
    }
}

/// What a status means: OTLP/HTTP, "Failures" (retryable are 429, 502, 503 and 504).
fn meaning(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Sent {
    let reason = format!("the collector answered {status}");
    match status.as_u16() {
        200..=299 => Sent::Accepted {
            rejected: 0,
            reason: String::new(),
        },
        429 | 502 | 503 | 504 => Sent::Later {
            status: Some(status),
            after: headers.get(RETRY_AFTER).and_then(|value| retry_after(value, now)),
            reason,
        },
        _ => Sent::Refused { status, reason },
    }
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let pause = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(pause.min(MAX_PAUSE))
}

/// `ExportLogsServiceResponse.partial_success`: how many records were rejected, and why.
fn partial_success(body: &[u8]) -> (u64, String) {
    let mut found = (0, String::new());
    let partial = Fields(body).find_map(|(number, value)| match (number, value) {
        (1, Value::Bytes(partial)) => Some(partial),
        _ => None,
    });
    for field in Fields(partial.unwrap_or_default()) {
        match field {
            (1, Value::Number(rejected)) => found.0 = rejected,
            (2, Value::Bytes(message)) => {
                found.1 = String::from_utf8_lossy(message).chars().take(200).collect();
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests;
