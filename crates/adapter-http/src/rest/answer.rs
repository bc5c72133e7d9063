//! The answer of `POST /v1/tools/call`, written around the raw result of the tool.

use std::time::Duration;

use ferromcp_core::{CallError, ErrorCode, Outcome, Payload, Reply, RequestId, Standing};
use ferromcp_protocol::json::{self, Object};
use http::header::{HeaderMap, HeaderName, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::refusal::{ask, json_response, retry_after, status};

/// Most content blocks that are looked at for text.
const MAX_BLOCKS: usize = 10_000;

/// How the tightest rate stands (draft-ietf-httpapi-ratelimit-headers-03): calls at once, calls left, whole
/// seconds until all are there again.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The HTTP answer to a finished call.
pub(crate) fn of(outcome: &Outcome) -> Response<Body> {
    let mut response = answered(outcome);
    if let Some(standing) = &outcome.standing {
        rates(response.headers_mut(), standing);
    }
    response
}

fn rates(headers: &mut HeaderMap, standing: &Standing) {
    headers.insert(RATE_LIMIT, standing.limit.into());
    headers.insert(RATE_REMAINING, standing.remaining.into());
    headers.insert(RATE_RESET, retry_after(standing.reset_after));
}

fn answered(outcome: &Outcome) -> Response<Body> {
    match &outcome.result {
        Ok(Reply::Complete(payload)) => completed(outcome, payload),
        Ok(Reply::InputRequired(_)) => failed(
            outcome,
            &CallError::new(
                ErrorCode::InvalidRequest,
                "this tool asks for input while it runs, which a REST call cannot give; call it over \
                 MCP (POST /mcp), where a client can answer",
            )
            .maybe_ran(),
        ),
        Ok(Reply::Task(_)) => failed(
            outcome,
            &CallError::new(
                ErrorCode::UpstreamError,
                "the tool answered with a task although this door knows none; call it over MCP (POST /mcp)",
            )
            .maybe_ran(),
        ),
        Err(error) => failed(outcome, error),
    }
}

fn completed(outcome: &Outcome, payload: &Payload) -> Response<Body> {
    let content = content(payload);
    let mut out = Vec::with_capacity(payload.len() * 2 + 160);
    if payload.is_error() {
        out.extend_from_slice(b"{\"success\":false,\"error\":{\"code\":\"tool_error\",\"message\":");
        match text(content) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => out.extend_from_slice(b"\"the tool reports an error; see content\""),
        }
        out.push(b'}');
        if let Some(structured) = payload.structured() {
            out.extend_from_slice(b",\"output\":");
            out.extend_from_slice(structured.as_bytes());
        }
    } else {
        out.extend_from_slice(b"{\"success\":true,\"output\":");
        match payload.structured() {
            Some(structured) => out.extend_from_slice(structured.as_bytes()),
            None => match text(content) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => out.extend_from_slice(b"null"),
            },
        }
    }
    out.extend_from_slice(b",\"content\":");
    out.extend_from_slice(content.as_bytes());
    finish(&mut out, outcome.request_id, outcome.latency);
    json_response(StatusCode::OK, out)
}

/// The raw array of content blocks.
fn content(payload: &Payload) -> &str {
    let object = Object::parse(payload.as_str()).ok();
    object
        .and_then(|o| o.get("content"))
        .filter(|c| c.starts_with('['))
        .unwrap_or("[]")
}

/// The text of a result that has only text, as raw JSON. One block, the common case, is passed on
/// without being decoded; several are joined by line breaks.
fn text(content: &str) -> Option<std::borrow::Cow<'_, str>> {
    let blocks = json::elements(content, MAX_BLOCKS).ok()?;
    let mut texts = blocks.iter().map(|block| {
        let block = Object::parse(block).ok()?;
        if block.get("type") != Some("\"text\"") {
            return None;
        }
        block.get("text").filter(|t| t.starts_with('"'))
    });
    let first = texts.next()??;
    if blocks.len() == 1 {
        return Some(first.into());
    }
    let mut joined = json::decode_str(first)?.into_owned();
    for text in texts {
        joined.push('\n');
        joined.push_str(&json::decode_str(text?)?);
    }
    Some(json::quote(&joined).into())
}

fn failed(outcome: &Outcome, error: &CallError) -> Response<Body> {
    let mut out = Vec::with_capacity(320);
    out.extend_from_slice(b"{\"success\":false,\"error\":");
    write_error(&mut out, error);
    finish(&mut out, outcome.request_id, outcome.latency);
    let mut response = json_response(status(error.code()), out);
    if let Some(after) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, retry_after(after));
    }
    ask(&mut response, error.challenge());
    response
}

/// `{"code","message","rule"?,"retry_after_ms"?,"details"?}`; details are the places that are wrong
/// (`issues`), whether the tool may have run (`may_have_run`), and an upstream's own error (`rpc`).
fn write_error(out: &mut Vec<u8>, error: &CallError) {
    let mut details = serde_json::Map::new();
    out.extend_from_slice(b"{\"code\":");
    json::write_str(out, error.code().as_str());
    out.extend_from_slice(b",\"message\":");
    json::write_str(out, error.message());
    if let serde_json::Value::Object(all) = error.details() {
        for (key, value) in all {
            match key.as_str() {
                "code" => {}
                "rule" | "retry_after_ms" => {
                    out.push(b',');
                    json::write_str(out, &key);
                    out.push(b':');
                    out.extend_from_slice(value.to_string().as_bytes());
                }
                _ => {
                    details.insert(key, value);
                }
            }
        }
    }
    if error.code() == ErrorCode::Relayed
        && let Some(rpc) = error.rpc_error()
    {
        let mut raw = Vec::new();
        rpc.write(&mut raw);
        if let Ok(rpc) = serde_json::from_slice(&raw) {
            details.insert("rpc".into(), rpc);
        }
    }
    if !details.is_empty() {
        out.extend_from_slice(b",\"details\":");
        out.extend_from_slice(serde_json::Value::Object(details).to_string().as_bytes());
    }
    out.push(b'}');
}

/// The members that every answer ends with. The latency is in milliseconds, to the microsecond.
fn finish(out: &mut Vec<u8>, id: RequestId, latency: Duration) {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    out.extend_from_slice(b",\"request_id\":\"");
    out.extend_from_slice(&id.to_hex());
    out.extend_from_slice(b"\",\"latency_ms\":");
    out.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
    out.push(b'.');
    let fraction = micros % 1000;
    out.extend([fraction / 100, fraction / 10 % 10, fraction % 10].map(|digit| b'0' + digit as u8));
    out.push(b'}');
}
