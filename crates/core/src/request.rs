//! Calls as JSON of programs without MCP: the body of `POST /v1/tools/call`, and how members of such bodies are read.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use ferromcp_protocol::json::{self, Object};

use crate::error::{CallError, ErrorCode};

/// One call, borrowed from the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRequest<'a> {
    /// Name of the tool.
    pub tool: Cow<'a, str>,
    /// Raw JSON of the arguments.
    pub arguments: Option<&'a str>,
    /// The longest that the call may take.
    pub timeout: Option<Duration>,
    /// The tenant to act for.
    pub tenant: Option<Cow<'a, str>>,
}

/// What people write instead of a field's name, in any of these bodies.
const NEAR: [(&str, &str); 16] = [
    ("name", "tool"),
    ("tool_name", "tool"),
    ("toolName", "tool"),
    ("args", "arguments"),
    ("params", "arguments"),
    ("parameters", "arguments"),
    ("input", "arguments"),
    ("timeout", "timeout_ms"),
    ("timeoutMs", "timeout_ms"),
    ("tenant", "tenant_id"),
    ("tenantId", "tenant_id"),
    ("calls", "requests"),
    ("batch", "requests"),
    ("maxParallel", "max_parallel"),
    ("stopOnError", "stop_on_error"),
    ("jsonrpc", "POST /mcp for JSON-RPC"),
];

impl<'a> CallRequest<'a> {
    /// Reads `{"tool","arguments"?,"timeout_ms"?,"tenant_id"?}`: known members only, each of its type, none twice.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] with the place.
    pub fn parse(body: &'a [u8]) -> Result<Self, CallError> {
        let object = object(body, "the body", "{\"tool\":\"NAME\",\"arguments\":{}}")?;
        let mut found = Self {
            tool: Cow::Borrowed(""),
            arguments: None,
            timeout: None,
            tenant: None,
        };
        let mut named = false;
        for (key, value) in object.iter() {
            match key {
                "tool" => {
                    found.tool = string(Place::of(key), value)?;
                    named = true;
                }
                "arguments" => found.arguments = (value != "null").then_some(value),
                "timeout_ms" => found.timeout = Some(milliseconds(Place::of(key), value)?),
                "tenant_id" => found.tenant = Some(string(Place::of(key), value)?),
                unknown => {
                    let known = "tool, arguments, timeout_ms and tenant_id; what the tool takes belongs into arguments";
                    return Err(unknown_field(unknown, "", known));
                }
            }
        }
        if !named {
            return Err(invalid(
                "`tool` is missing; send {\"tool\":\"NAME\",\"arguments\":{}}".into(),
            ));
        }
        Ok(found)
    }
}

/// Where a member is: in the body, or in one of its `requests`. Becomes text only when something is wrong there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'k> {
    pub(crate) request: Option<usize>,
    pub(crate) key: &'k str,
}

impl<'k> Place<'k> {
    pub(crate) fn of(key: &'k str) -> Self {
        Self { request: None, key }
    }
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.request {
            None => write!(f, "`{}`", self.key),
            Some(at) => write!(f, "`requests[{at}].{}`", self.key),
        }
    }
}

/// The members of a body.
pub(crate) fn object<'a>(body: &'a [u8], what: &str, example: &str) -> Result<Object<'a>, CallError> {
    if body.is_empty() {
        return Err(invalid(format!("the body is empty; send {example}")));
    }
    let text = json::validate(body).map_err(|e| invalid(e.to_string()))?;
    Object::parse(text).map_err(|e| invalid(format!("{what}: {e}")))
}

pub(crate) fn string<'a>(place: Place<'_>, raw: &'a str) -> Result<Cow<'a, str>, CallError> {
    json::decode_str(raw)
        .ok_or_else(|| invalid(format!("{place} must be a string, found {}", json::kind(raw))))
}

pub(crate) fn boolean(place: Place<'_>, raw: &str) -> Result<bool, CallError> {
    match raw {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(format!(
            "{place} must be true or false, found {}",
            json::kind(raw)
        ))),
    }
}

pub(crate) fn milliseconds(place: Place<'_>, raw: &str) -> Result<Duration, CallError> {
    match raw.parse::<u64>() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(invalid(format!(
            "{place} must be a whole number of milliseconds, at least 1"
        ))),
    }
}

/// `place`: behind the name, where it is not the body itself.
pub(crate) fn unknown_field(name: &str, place: &str, known: &str) -> CallError {
    let shown: String = name.chars().take(64).collect();
    let hint = NEAR.iter().find(|(wrong, _)| *wrong == name);
    let hint = hint
        .map(|(_, right)| format!(" Did you mean {right}?"))
        .unwrap_or_default();
    invalid(format!("unknown field `{shown}`{place}.{hint} Known are {known}"))
}

pub(crate) fn invalid(message: String) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
