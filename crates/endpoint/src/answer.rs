//! What an exchange ends in.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::{CallError, Challenge, ErrorCode};
use ferromcp_protocol::error::write_error_response;
use ferromcp_protocol::{RpcError, code};

use crate::listen::Subscription;
use crate::session::Session;

/// The end of an exchange.
#[derive(Debug)]
pub struct Answer {
    /// What to send.
    pub body: Body,
    /// HTTP status that goes with it if nothing was sent before; other doors ignore it.
    /// 200 answer, 202 nothing to answer, 400, 401, 404 (unknown session; unknown method of
    /// 2026-07-28), 503.
    pub status: u16,
    /// When a refused call could pass.
    pub retry_after: Option<Duration>,
    /// What the caller is asked for, if its credential is why it is refused.
    pub challenge: Option<Challenge>,
    /// A session that this message opened: over HTTP its id goes into `Mcp-Session-Id`.
    pub opened: Option<Arc<Session>>,
}

/// What an exchange sends.
#[derive(Debug)]
pub enum Body {
    /// Nothing: the message was a notification or a response (HTTP: 202 without a body).
    None,
    /// One JSON-RPC response, or the array of them that answers a batch.
    Json(Vec<u8>),
    /// The request was cancelled by its sender: it gets no answer. A stream that is open for it
    /// just ends.
    Cancelled,
    /// `subscriptions/listen`: send what it yields until it ends (HTTP: an event stream).
    Listen(Box<Subscription>),
}

impl Answer {
    pub(crate) fn json(body: Vec<u8>) -> Self {
        Self {
            body: Body::Json(body),
            status: 200,
            opened: None,
            retry_after: None,
            challenge: None,
        }
    }

    pub(crate) const fn accepted() -> Self {
        Self {
            body: Body::None,
            status: 202,
            opened: None,
            retry_after: None,
            challenge: None,
        }
    }

    pub(crate) const fn cancelled() -> Self {
        Self {
            body: Body::Cancelled,
            status: 202,
            opened: None,
            retry_after: None,
            challenge: None,
        }
    }

    pub(crate) fn error(id: Option<&str>, error: &RpcError, status: u16) -> Self {
        let mut out = Vec::with_capacity(160 + error.message.len());
        write_error_response(&mut out, id, error);
        Self {
            body: Body::Json(out),
            status,
            opened: None,
            retry_after: None,
            challenge: None,
        }
    }

    /// A JSON-RPC error response for bytes that never became a message (too long, not UTF-8).
    /// `id` is null, since it is not known.
    pub fn unreadable(message: &str) -> Self {
        Self::error(Some("null"), &RpcError::new(code::PARSE_ERROR, message), 400)
    }

    /// The answer to a caller who is not let in: 401, or 403 if it is known who it is.
    pub(crate) fn turned_away(id: Option<&str>, error: &CallError) -> Self {
        let status = match error.code() {
            ErrorCode::PermissionDenied => 403,
            _ => 401,
        };
        Self {
            challenge: error.challenge(),
            ..Self::error(id, &error.to_rpc(), status)
        }
    }

    /// A JSON-RPC error response, without an id, for a message that could not be taken in.
    pub fn refused(error: &RpcError, status: u16) -> Self {
        Self::error(None, error, status)
    }

    /// The bytes to send, if there are any at once.
    pub fn into_json(self) -> Option<Vec<u8>> {
        match self.body {
            Body::Json(bytes) => Some(bytes),
            Body::None | Body::Cancelled | Body::Listen(_) => None,
        }
    }
}
