//! A batch from JSON: the body of `POST /v1/tools/batch`, and the arguments of `batch_call`.

use std::borrow::Cow;
use std::time::Duration;

use ferromcp_protocol::json::{self, Object};

use super::{BatchCall, BatchRequest, DEFAULT_PARALLEL, MAX_CALLS, MAX_PARALLEL, RULE_CALLS, refused};
use crate::error::{CallError, ErrorCode};

const EXAMPLE: &str = "send {\"requests\":[{\"tool\":\"NAME\",\"arguments\":{}}]}";

/// What people write instead of a field's name.
const NEAR: [(&str, &str); 12] = [
    ("calls", "requests"),
    ("batch", "requests"),
    ("name", "tool"),
    ("tool_name", "tool"),
    ("args", "arguments"),
    ("params", "arguments"),
    ("input", "arguments"),
    ("timeout", "timeout_ms"),
    ("maxParallel", "max_parallel"),
    ("stopOnError", "stop_on_error"),
    ("tenant", "tenant_id"),
    ("jsonrpc", "POST /mcp for JSON-RPC"),
];

impl<'a> BatchRequest<'a> {
    /// Reads `{"requests":[{"id"?,"tool","arguments"?,"timeout_ms"?}],"parallel"?,"max_parallel"?,"stop_on_error"?,
    /// "timeout_ms"?,"tenant_id"?}`: known members only, each of its type, none twice.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] with the place; [`ErrorCode::PayloadTooLarge`] for more than [`MAX_CALLS`] calls.
    pub fn parse(body: &'a [u8]) -> Result<Self, CallError> {
        if body.is_empty() {
            return Err(invalid(format!("the body is empty; {EXAMPLE}")));
        }
        let text = json::validate(body).map_err(|e| invalid(e.to_string()))?;
        let object = Object::parse(text).map_err(|e| invalid(format!("the batch: {e}")))?;
        let mut found = Self::default();
        let mut requests = None;
        let (mut parallel, mut most) = (None, None);
        for (key, value) in object.iter() {
            match key {
                "requests" => requests = Some(value),
                "parallel" => parallel = Some(boolean(key, value)?),
                "max_parallel" => most = Some(value),
                "stop_on_error" => found.stop_on_error = boolean(key, value)?,
                "timeout_ms" => found.timeout = Some(milliseconds(key, value)?),
                "tenant_id" => found.tenant = Some(string(key, value)?),
                unknown => {
                    return Err(unknown_field(
                        unknown,
                        "",
                        "requests, parallel, max_parallel, stop_on_error, timeout_ms and tenant_id",
                    ));
                }
            }
        }
        found.parallel = at_a_time(parallel, most)?;
        let Some(requests) = requests else {
            return Err(invalid(format!("`requests` is missing; {EXAMPLE}")));
        };
        found.calls = calls(requests)?;
        Ok(found)
    }
}

fn calls(raw: &str) -> Result<Vec<BatchCall<'_>>, CallError> {
    if !raw.starts_with('[') {
        return Err(invalid(format!(
            "`requests` must be an array, found {}",
            json::kind(raw)
        )));
    }
    let all = json::elements(raw, MAX_CALLS).map_err(|_| {
        refused(
            ErrorCode::PayloadTooLarge,
            Some(RULE_CALLS),
            "/requests".into(),
            format!("there are more than {MAX_CALLS} calls; send several batches"),
        )
    })?;
    let mut found = Vec::with_capacity(all.len());
    for (i, raw) in all.into_iter().enumerate() {
        found.push(one(i, raw)?);
    }
    Ok(found)
}

fn one(i: usize, raw: &str) -> Result<BatchCall<'_>, CallError> {
    let object = Object::parse(raw).map_err(|e| invalid(format!("requests[{i}]: {}", e.message)))?;
    let mut call = BatchCall::default();
    let mut named = false;
    let at = |key: &str| format!("requests[{i}].{key}");
    for (key, value) in object.iter() {
        match key {
            "id" => call.id = Some(string(&at(key), value)?),
            "tool" => {
                call.tool = match json::decode_str(value) {
                    Some(tool) => tool,
                    None => string(&at(key), value)?,
                };
                named = true;
            }
            "arguments" => call.arguments = (value != "null").then_some(value),
            "timeout_ms" => call.timeout = Some(milliseconds(&at(key), value)?),
            unknown => {
                return Err(unknown_field(
                    unknown,
                    &format!(" in requests[{i}]"),
                    "id, tool, arguments and timeout_ms",
                ));
            }
        }
    }
    match named {
        true => Ok(call),
        false => Err(invalid(format!("requests[{i}]: `tool` is missing"))),
    }
}

/// How many run at the same time.
fn at_a_time(parallel: Option<bool>, most: Option<&str>) -> Result<usize, CallError> {
    let Some(raw) = most else {
        return Ok(if parallel == Some(true) {
            DEFAULT_PARALLEL
        } else {
            1
        });
    };
    match raw.parse() {
        Ok(most) if (1..=MAX_PARALLEL).contains(&most) => match parallel {
            Some(false) if most > 1 => Err(invalid(
                "`max_parallel` is more than 1 although `parallel` is false; leave one of them out".into(),
            )),
            _ => Ok(most),
        },
        _ => Err(invalid(format!(
            "`max_parallel` must be a whole number from 1 to {MAX_PARALLEL}"
        ))),
    }
}

fn string<'a>(key: &str, raw: &'a str) -> Result<Cow<'a, str>, CallError> {
    json::decode_str(raw)
        .ok_or_else(|| invalid(format!("`{key}` must be a string, found {}", json::kind(raw))))
}

fn boolean(key: &str, raw: &str) -> Result<bool, CallError> {
    match raw {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(format!(
            "`{key}` must be true or false, found {}",
            json::kind(raw)
        ))),
    }
}

fn milliseconds(key: &str, raw: &str) -> Result<Duration, CallError> {
    match raw.parse::<u64>() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(invalid(format!(
            "`{key}` must be a whole number of milliseconds, at least 1"
        ))),
    }
}

fn unknown_field(name: &str, place: &str, known: &str) -> CallError {
    let shown: String = name.chars().take(64).collect();
    let hint = NEAR.iter().find(|(wrong, _)| *wrong == name);
    let hint = hint
        .map(|(_, right)| format!(" Did you mean {right}?"))
        .unwrap_or_default();
    invalid(format!(
        "unknown field `{shown}`{place}.{hint} Known are {known}; what a tool takes belongs into its arguments"
    ))
}

fn invalid(message: String) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}
