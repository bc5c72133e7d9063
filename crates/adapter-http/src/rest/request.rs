//! The body of `POST /v1/tools/call`.

use std::borrow::Cow;
use std::time::Duration;

use ferromcp_protocol::json::{self, Object};

use crate::refusal::Refusal;

/// What a caller wants, borrowed from the body.
#[derive(Debug)]
pub(crate) struct CallRequest<'a> {
    pub(crate) tool: Cow<'a, str>,
    /// Raw.
    pub(crate) arguments: Option<&'a str>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tenant: Option<Cow<'a, str>>,
}

/// What people write instead of a field's name.
const NEAR: [(&str, &str); 12] = [
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
    ("jsonrpc", "POST /mcp for JSON-RPC"),
];

impl<'a> CallRequest<'a> {
    /// Reads the body: an object with known members only, each of its type, none twice.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Err(Refusal::bad(
                "the body is empty; send {\"tool\":\"NAME\",\"arguments\":{}}",
            ));
        }
        let text = json::validate(body).map_err(|e| Refusal::bad(e.to_string()))?;
        let object = Object::parse(text).map_err(|e| Refusal::bad(format!("the body: {e}")))?;
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
                    found.tool = string(key, value)?;
                    named = true;
                }
                "arguments" => found.arguments = (value != "null").then_some(value),
                "timeout_ms" => found.timeout = Some(milliseconds(value)?),
                "tenant_id" => found.tenant = Some(string(key, value)?),
                unknown => return Err(unknown_field(unknown)),
            }
        }
        if !named {
            return Err(Refusal::bad(
                "`tool` is missing; send {\"tool\":\"NAME\",\"arguments\":{}}",
            ));
        }
        Ok(found)
    }
}

fn string<'a>(key: &str, raw: &'a str) -> Result<Cow<'a, str>, Refusal> {
    json::decode_str(raw)
        .ok_or_else(|| Refusal::bad(format!("`{key}` must be a string, found {}", json::kind(raw))))
}

fn milliseconds(raw: &str) -> Result<Duration, Refusal> {
    match raw.parse::<u64>() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(Refusal::bad(
            "`timeout_ms` must be a whole number of milliseconds, at least 1",
        )),
    }
}

fn unknown_field(name: &str) -> Refusal {
    let shown: String = name.chars().take(64).collect();
    let hint = NEAR.iter().find(|(wrong, _)| *wrong == name);
    let hint = hint
        .map(|(_, right)| format!(" Did you mean {right}?"))
        .unwrap_or_default();
    Refusal::bad(format!(
        "unknown field `{shown}`.{hint} Known are tool, arguments, timeout_ms and tenant_id; \
         what the tool takes belongs into arguments"
    ))
}
