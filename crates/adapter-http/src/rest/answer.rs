//! The answer of `POST /v1/tools/call`: what `core` writes, with a status and headers.

use ferromcp_core::{CallError, Outcome, Standing};
use http::header::{HeaderMap, HeaderName, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::refusal::{ask, json_response, retry_after, status};

/// How the tightest rate stands (draft-ietf-httpapi-ratelimit-headers-03): calls at once, calls left, whole
/// seconds until all are there again.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The HTTP answer to a finished call.
pub(crate) fn of(outcome: &Outcome) -> Response<Body> {
    let mut out = Vec::with_capacity(320);
    outcome.write_rest(&mut out, None);
    let mut response = match outcome.settled() {
        Ok(_) => json_response(StatusCode::OK, out),
        Err(error) => failed(&error, out),
    };
    if let Some(standing) = &outcome.standing {
        rates(response.headers_mut(), standing);
    }
    response
}

/// The HTTP answer to a request of which nothing was called.
pub(crate) fn refused(error: &CallError) -> Response<Body> {
    let mut out = b"{\"success\":false,\"error\":".to_vec();
    error.write_rest(&mut out);
    out.push(b'}');
    failed(error, out)
}

fn failed(error: &CallError, body: Vec<u8>) -> Response<Body> {
    let mut response = json_response(status(error.code()), body);
    if let Some(after) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, retry_after(after));
    }
    ask(&mut response, error.challenge());
    response
}

fn rates(headers: &mut HeaderMap, standing: &Standing) {
    headers.insert(RATE_LIMIT, standing.limit.into());
    headers.insert(RATE_REMAINING, standing.remaining.into());
    headers.insert(RATE_RESET, retry_after(standing.reset_after));
}
