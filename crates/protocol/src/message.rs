//! The JSON-RPC 2.0 envelope, borrowed from the bytes that arrived.

use std::borrow::Cow;

use crate::code;
use crate::error::RpcError;
use crate::json::{self, Object};

/// One JSON-RPC message.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// Wants an answer.
    Request(Request<'a>),
    /// Wants none.
    Notification(Notification<'a>),
    /// Answers a request of ours.
    Response(Response<'a>),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Raw id: a JSON string or number, exactly as sent.
    pub id: &'a str,
    /// Decoded method name.
    pub method: Cow<'a, str>,
    /// Members of `params`; empty if absent.
    pub params: Object<'a>,
    /// Raw text of `params`, if present.
    pub params_raw: Option<&'a str>,
}

/// A notification.
#[derive(Clone, Debug)]
pub struct Notification<'a> {
    /// Decoded method name.
    pub method: Cow<'a, str>,
    /// Members of `params`; empty if absent.
    pub params: Object<'a>,
    /// Raw text of `params`, if present.
    pub params_raw: Option<&'a str>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// Raw id; `None` for an error response whose sender could not read ours.
    pub id: Option<&'a str>,
    /// Raw `result`, or the error.
    pub outcome: Result<&'a str, RpcError>,
}

/// Why bytes are not a message, and what can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageError {
    /// Raw id of the request, where it could be read.
    pub id: Option<Box<str>>,
    /// Ready to send.
    pub error: RpcError,
}

/// Longest raw id that is accepted, in bytes.
pub const MAX_ID_BYTES: usize = 1024;
/// Most messages in one batch (2025-03-26).
pub const MAX_BATCH: usize = 100;

impl<'a> Message<'a> {
    /// Reads one message. Members that JSON-RPC does not define are ignored; duplicate members of
    /// the envelope and of `params` are refused.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let text = json::validate(bytes).map_err(|e| MessageError {
            id: None,
            error: RpcError::new(code::PARSE_ERROR, e.to_string()),
        })?;
        Self::from_valid(text)
    }

    /// Reads one message out of text that [`json::validate`] accepted.
    pub fn from_valid(text: &'a str) -> Result<Self, MessageError> {
        let envelope = Object::parse(text).map_err(|e| invalid(None, format!("JSON-RPC message: {e}")))?;
        let id = envelope.get("id");
        let id = match id {
            Some(raw) if is_id(raw) => Some(raw),
            Some("null") if envelope.get("error").is_some() => None,
            Some(raw) => {
                return Err(invalid(
                    None,
                    format!(
                        "`id` must be a string or a number of at most {MAX_ID_BYTES} bytes, found {}",
                        json::kind(raw)
                    ),
                ));
            }
            None => None,
        };
        if envelope.get("jsonrpc") != Some("\"2.0\"") {
            return Err(invalid(id, "`jsonrpc` must be \"2.0\""));
        }
        if let Some(method) = envelope.get("method") {
            let method = json::decode_str(method).ok_or_else(|| invalid(id, "`method` must be a string"))?;
            return Self::call(id, method, envelope.get("params"));
        }
        Self::answer(id, &envelope)
    }

    fn call(id: Option<&'a str>, method: Cow<'a, str>, raw: Option<&'a str>) -> Result<Self, MessageError> {
        let params = match raw {
            Some(raw) => Object::parse(raw).map_err(|e| {
                let code = if e.duplicate_key {
                    code::INVALID_REQUEST
                } else {
                    code::INVALID_PARAMS
                };
                MessageError {
                    id: id.map(Into::into),
                    error: RpcError::new(code, format!("`params`: {e}")),
                }
            })?,
            None => Object::default(),
        };
        Ok(match id {
            Some(id) => Self::Request(Request {
                id,
                method,
                params,
                params_raw: raw,
            }),
            None => Self::Notification(Notification {
                method,
                params,
                params_raw: raw,
            }),
        })
    }

    fn answer(id: Option<&'a str>, envelope: &Object<'a>) -> Result<Self, MessageError> {
        let outcome = match (envelope.get("result"), envelope.get("error")) {
            (Some(result), None) if id.is_some() => Ok(result),
            (None, Some(error)) => Err(RpcError::parse(error)
                .ok_or_else(|| invalid(id, "`error` is not a JSON-RPC error object"))?),
            (Some(_), None) => return Err(invalid(None, "a response needs an `id`")),
            (Some(_), Some(_)) => return Err(invalid(id, "a response has either `result` or `error`")),
            (None, None) => return Err(invalid(id, "neither `method` nor `result` nor `error`")),
        };
        Ok(Self::Response(Response { id, outcome }))
    }
}

/// True if the first byte that is not whitespace opens an array: a JSON-RPC batch.
pub fn is_batch(bytes: &[u8]) -> bool {
    bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[')
}

/// Splits a batch into its messages (revision 2025-03-26). A member that is no message is an error
/// of its own, in its place.
pub fn parse_batch(bytes: &[u8]) -> Result<Vec<Result<Message<'_>, MessageError>>, MessageError> {
    let text = json::validate(bytes).map_err(|e| MessageError {
        id: None,
        error: RpcError::new(code::PARSE_ERROR, e.to_string()),
    })?;
    let raw = json::elements(text, MAX_BATCH).map_err(|e| invalid(None, format!("JSON-RPC batch: {e}")))?;
    if raw.is_empty() {
        return Err(invalid(None, "a JSON-RPC batch must not be empty"));
    }
    Ok(raw.into_iter().map(Message::from_valid).collect())
}

fn is_id(raw: &str) -> bool {
    raw.len() <= MAX_ID_BYTES && matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'))
}

fn invalid(id: Option<&str>, message: impl Into<String>) -> MessageError {
    MessageError {
        id: id.map(Into::into),
        error: RpcError::new(code::INVALID_REQUEST, message),
    }
}

#[cfg(test)]
mod tests;
