//! Requests that are refused before they become a call, and the one map from error codes to HTTP.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::{CallError, Challenge, ErrorCode};
use ferromcp_endpoint::Answer;
use ferromcp_protocol::{RpcError, error::write_error_response, json};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::body::{Body, BodyError};

/// The media type of nearly every answer.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Notes on a response what its caller is to be asked for. The header is written where all responses pass.
pub(crate) fn ask(response: &mut Response<Body>, challenge: Option<Challenge>) {
    if let Some(challenge) = challenge {
        response.extensions_mut().insert(challenge);
    }
}

/// The HTTP status of an error code.
pub(crate) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorCode::ToolNotFound => StatusCode::NOT_FOUND,
        ErrorCode::InvalidArguments => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited | ErrorCode::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::UpstreamError | ErrorCode::Relayed => StatusCode::BAD_GATEWAY,
        // Not in the registry; what proxies use for "the client closed the request".
        ErrorCode::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A request that got no further than the door.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: ErrorCode,
    pub(crate) message: Cow<'static, str>,
    /// For 405.
    allow: Option<&'static str>,
    retry_after: Option<Duration>,
    challenge: Option<Challenge>,
    rule: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            allow: None,
            retry_after: None,
            challenge: (status == StatusCode::UNAUTHORIZED).then_some(Challenge::Invalid),
            rule: None,
        }
    }

    /// 400: the request is not what the door takes.
    pub(crate) fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, message)
    }

    /// 405 with the methods that there are.
    pub(crate) fn method(allow: &'static str) -> Self {
        let message = format!("this path answers {allow}");
        let mut made = Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidRequest, message);
        made.allow = Some(allow);
        made
    }

    /// The answer to a body that could not be read.
    pub(crate) fn body(error: BodyError, max: usize) -> Self {
        match error {
            BodyError::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::PayloadTooLarge,
                format!(
                    "the body is larger than {max} bytes, the limit of this server (validation.max_body)"
                ),
            ),
            BodyError::TooSlow(time) => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                ErrorCode::InvalidRequest,
                format!("the body stood still for {time:?} or took ten times as long; nothing was called"),
            ),
            BodyError::Broken => Self::bad("the body ended before its announced end; nothing was called"),
        }
    }

    /// The error of a stage that the door asked itself.
    pub(crate) fn of(error: &CallError) -> Self {
        let mut made = Self::new(status(error.code()), error.code(), error.message().to_owned());
        made.retry_after = error.retry_after();
        made.challenge = error.challenge();
        made.rule = error.rule();
        made
    }

    /// The answer of the REST doors.
    pub(crate) fn rest(&self) -> Response<Body> {
        let mut out = Vec::with_capacity(160 + self.message.len());
        out.extend_from_slice(b"{\"success\":false,\"error\":{\"code\":");
        json::write_str(&mut out, self.code.as_str());
        out.extend_from_slice(b",\"message\":");
        json::write_str(&mut out, &self.message);
        if let Some(rule) = self.rule {
            out.extend_from_slice(b",\"rule\":");
            json::write_str(&mut out, rule);
        }
        if let Some(after) = self.retry_after {
            out.extend_from_slice(b",\"retry_after_ms\":");
            out.extend_from_slice(itoa::Buffer::new().format(after.as_millis()).as_bytes());
        }
        out.extend_from_slice(b"}}");
        self.finish(out)
    }

    /// The answer of the MCP door: an error response that has no id, because none was read
    /// (2025-11-25 basic/transports, "Sending Messages to the Server").
    pub(crate) fn rpc(&self) -> Response<Body> {
        let mut out = Vec::with_capacity(120 + self.message.len());
        let mut error = RpcError::new(self.code.rpc_code(), self.message.clone().into_owned());
        if let Some(rule) = self.rule {
            let mut data = serde_json::json!({ "code": self.code.as_str(), "rule": rule });
            if let Some(after) = self.retry_after {
                data["retry_after_ms"] = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into();
            }
            error = error.with_data(data.to_string());
        }
        write_error_response(&mut out, None, &error);
        self.finish(out)
    }

    /// The same from within the work on a message, where the head was taken in.
    pub(crate) fn answer(&self) -> Answer {
        tracing::debug!(
            status = self.status.as_u16(),
            message = &*self.message,
            "request refused"
        );
        let error = RpcError::new(self.code.rpc_code(), self.message.clone().into_owned());
        Answer::refused(&error, self.status.as_u16())
    }

    fn finish(&self, body: Vec<u8>) -> Response<Body> {
        tracing::debug!(
            status = self.status.as_u16(),
            message = &*self.message,
            "request refused"
        );
        let mut response = json_response(self.status, body);
        let headers = response.headers_mut();
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, retry_after(after));
        }
        ask(&mut response, self.challenge);
        response
    }
}

/// `Retry-After` in whole seconds, rounded up.
pub(crate) fn retry_after(after: Duration) -> HeaderValue {
    HeaderValue::from(after.as_secs() + u64::from(after.subsec_nanos() > 0))
}

/// An answer in JSON.
pub(crate) fn json_response(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
