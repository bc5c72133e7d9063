//! One HTTP exchange of any method with a server that is no MCP server. The host is the configured one, whatever the
//! exchange says.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ferromcp_core::CallError;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Method, StatusCode, Uri};

use super::{HttpTransport, explain};
use crate::fault::Fault;
use crate::transport::TransportError;

/// What is sent.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// Path and query, encoded, beginning with `/`.
    pub target: String,
    /// Headers; configured ones win over them.
    pub headers: HeaderMap,
    /// The content.
    pub body: Bytes,
}

/// What came back, complete, of any status but a redirect.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// As received.
    pub status: StatusCode,
    /// As received.
    pub headers: HeaderMap,
    /// The content, not decoded.
    pub body: Bytes,
}

impl HttpTransport {
    /// Sends a request to the server and reads the whole answer, at most `max_body` bytes of it. There is no time limit but that for
    /// connecting: dropping the future closes the request. With `auth`, a request that was refused for its token is sent again.
    ///
    /// # Errors
    /// [`TransportError`]; a status of 400 or more is an answer, not an error.
    pub async fn exchange(&self, exchange: Exchange) -> Result<Exchanged, TransportError> {
        let there = self.at(&exchange.target)?;
        let mut headers = exchange.headers;
        for (name, value) in &there.headers {
            headers.insert(name, value.clone());
        }
        let (method, body) = (exchange.method, exchange.body);
        let response = match &there.auth {
            None => there.once(method, body, headers).await?,
            // Boxed, so that the common case stays small.
            Some(auth) => Box::pin(there.authorized(auth, method, body, headers)).await?,
        };
        let limit = there.target.limits.max_body;
        let (head, body) = response.into_parts();
        if head.status.is_redirection() {
            return Err(there.redirect(head.status, head.headers.get(http::header::LOCATION)));
        }
        let length = head.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0);
        if length > limit {
            return Err(there.target.too_large(limit));
        }
        let (body, complete) = there.read(body, length, limit).await?;
        if !complete {
            return Err(there.target.too_large(limit));
        }
        Ok(Exchanged {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// The same server at another path.
    fn at(&self, target: &str) -> Result<Self, TransportError> {
        let refused = |reason: String| TransportError::Config {
            name: Arc::clone(&self.target.name),
            reason,
        };
        let mut parts = http::uri::Parts::default();
        parts.scheme = self.uri.scheme().cloned();
        parts.authority = self.uri.authority().cloned();
        let target = target
            .parse()
            .map_err(|e| refused(format!("a path cannot be used: {}", explain(&e))))?;
        parts.path_and_query = Some(target);
        let uri = Uri::from_parts(parts).map_err(|e| refused(format!("a path cannot be used: {e}")))?;
        Ok(Self { uri, ..self.clone() })
    }

    /// Where it is, without the query: for messages.
    pub fn shown(&self) -> &str {
        &self.target.shown
    }
}

impl TransportError {
    /// The error of a call to the server called `name`, with what that means for a second attempt.
    pub fn into_call_error(self, name: &str) -> CallError {
        Fault::Transport(self).into_call_error(name)
    }
}

/// The error of a call that the server called `name` answered with a status that says that it, or our standing with it, is not as
/// it should be. `text`: its first words.
pub fn refused_by_status(name: &str, answer: &Exchanged, text: String) -> CallError {
    Fault::Status {
        status: answer.status,
        text,
        retry_after: retry_after(&answer.headers),
    }
    .into_call_error(name)
}

/// `Retry-After`, as seconds or as a date; at most an hour.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let time = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(SystemTime::now())
            .ok()?,
    };
    Some(time.clamp(Duration::from_millis(1), Duration::from_secs(3600)))
}
