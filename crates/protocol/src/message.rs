//! The JSON-RPC 2.0 envelope, borrowed from the bytes that arrived.

use std::borrow::Cow;

use crate::code;
use crate::error::RpcError;
use crate::json::{self, JsonError, Object, Reader};
use crate::meta::RequestMeta;

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
    /// `_meta` of `params`; the error says what is wrong with it.
    pub meta: Result<RequestMeta<'a>, String>,
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

/// A message, split.
#[derive(Default)]
struct Parts<'a> {
    envelope: Object<'a>,
    params: Option<Object<'a>>,
    meta: Option<Object<'a>>,
}

impl<'a> Parts<'a> {
    /// Reads a message, and on the way splits what nearly every one has. Members that are not split
    /// here (odd types, keys with escapes) are so later.
    fn read(reader: &mut Reader<'a>) -> Result<Self, JsonError> {
        let mut parts = Self::default();
        let Self {
            envelope,
            params,
            meta,
        } = &mut parts;
        if reader.peek() != Some(b'{') {
            let start = reader.at();
            let raw = reader.value()?;
            let message = format!("expected an object, found {}", json::kind(raw));
            return Err(JsonError::not_an_object(message, start));
        }
        envelope.read(reader, |reader, key| {
            if key != "params" || reader.peek() != Some(b'{') {
                return reader.skip();
            }
            params.insert(Object::default()).read(reader, |reader, key| {
                if key != "_meta" || reader.peek() != Some(b'{') {
                    return reader.skip();
                }
                meta.insert(Object::default())
                    .read(reader, |reader, _| reader.skip())
            })
        })?;
        Ok(parts)
    }
}

impl<'a> Message<'a> {
    /// Reads one message in one pass. Members that JSON-RPC does not define are ignored; duplicate
    /// members of the envelope, of `params` and of `_meta` are refused.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MessageError> {
        json::utf8(bytes)
            .map_err(|e| unreadable(&e))
            .and_then(Self::parse_str)
    }

    /// As [`Self::parse`], of text.
    pub fn parse_str(text: &'a str) -> Result<Self, MessageError> {
        let mut reader = Reader::new(text);
        let parts = Parts::read(&mut reader).and_then(|parts| reader.end().map(|()| parts));
        match parts {
            Ok(parts) => Self::of(text, parts),
            // What is no object may still be no JSON at all.
            Err(e) if e.wrong_type && reader.end().is_ok() => {
                Err(invalid(None, format!("JSON-RPC message: {e}")))
            }
            Err(e) => Err(unreadable(&e.of_message())),
        }
    }

    fn of(text: &'a str, parts: Parts<'a>) -> Result<Self, MessageError> {
        let Parts {
            envelope,
            params,
            meta,
        } = parts;
        envelope
            .refuse_duplicates(text)
            .map_err(|e| invalid(None, format!("JSON-RPC message: {e}")))?;
        let id = match envelope.get("id") {
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
        let Some(method) = envelope.get("method") else {
            return Self::answer(id, &envelope);
        };
        let method = json::decode_str(method).ok_or_else(|| invalid(id, "`method` must be a string"))?;
        let params_raw = envelope.get("params");
        let params = match (params, params_raw) {
            (Some(params), Some(raw)) => params.refuse_duplicates(raw).map(|()| params),
            (_, None) => Ok(Object::default()),
            (None, Some(raw)) => Object::parse(raw),
        };
        let params = params.map_err(|e| bad_params(id, &e))?;
        let meta = RequestMeta::of_parts(&params, meta);
        Ok(match id {
            Some(id) => Self::Request(Request {
                id,
                method,
                params,
                params_raw,
                meta,
            }),
            None => Self::Notification(Notification {
                method,
                params,
                params_raw,
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
    let text = json::validate(bytes).map_err(|e| unreadable(&e))?;
    let raw = json::elements(text, MAX_BATCH).map_err(|e| invalid(None, format!("JSON-RPC batch: {e}")))?;
    if raw.is_empty() {
        return Err(invalid(None, "a JSON-RPC batch must not be empty"));
    }
    Ok(raw.into_iter().map(Message::parse_str).collect())
}

fn is_id(raw: &str) -> bool {
    raw.len() <= MAX_ID_BYTES && matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'))
}

fn unreadable(error: &JsonError) -> MessageError {
    MessageError {
        id: None,
        error: RpcError::new(code::PARSE_ERROR, error.to_string()),
    }
}

fn bad_params(id: Option<&str>, error: &JsonError) -> MessageError {
    let code = if error.duplicate_key {
        code::INVALID_REQUEST
    } else {
        code::INVALID_PARAMS
    };
    MessageError {
        id: id.map(Into::into),
        error: RpcError::new(code, format!("`params`: {error}")),
    }
}

fn invalid(id: Option<&str>, message: impl Into<String>) -> MessageError {
    MessageError {
        id: id.map(Into::into),
        error: RpcError::new(code::INVALID_REQUEST, message),
    }
}

#[cfg(test)]
mod tests;
