//! The checks that every request of 2026-07-28 passes before its method runs, in the order that the
//! specification's conformance suite expects: `_meta`, version header, version, mirrored headers,
//! method, capability.

use ferromcp_core::catalog::{HeaderKind, ParamHeader};
use ferromcp_core::{Snapshot, ToolEntry};
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::meta::key;
use ferromcp_protocol::{
    ClientCapabilities, LogLevel, Method, ProtocolVersion, Request, RequestMeta, RpcError, code, header,
};

use crate::answer::Answer;
use crate::capability;
use crate::incoming::{HeaderField, Headers, Link};

/// What the checks found out about a request.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) method: Method,
    pub(crate) capabilities: ClientCapabilities,
    pub(crate) client_name: Option<std::borrow::Cow<'a, str>>,
    pub(crate) log_level: Option<LogLevel>,
}

/// True if a request belongs to the modern era (2026-07-28 basic/versioning, "Compatibility
/// Matrix"; stdio and HTTP decide alike, message by message).
pub(crate) fn claims(link: &Link<'_>, meta: &RequestMeta<'_>, method: Option<Method>) -> bool {
    if meta.claims_modern() || matches!(method, Some(Method::Discover | Method::Listen)) {
        return true;
    }
    match link {
        Link::Http(headers) => header_claims(*headers),
        Link::Connection(_) => false,
    }
}

/// True if there is a version header, and it does not name a legacy revision.
pub(crate) fn header_claims(headers: &dyn Headers) -> bool {
    match headers.field(header::PROTOCOL_VERSION) {
        HeaderField::Absent => false,
        HeaderField::Repeated => true,
        HeaderField::Single(raw) => {
            let date = std::str::from_utf8(raw).unwrap_or_default().trim();
            ProtocolVersion::parse(date).is_none_or(ProtocolVersion::is_modern)
        }
    }
}

/// The answer to a notification over HTTP, which has nothing to say for itself but its version.
pub(crate) fn notification(headers: &dyn Headers) -> Answer {
    match headers.field(header::PROTOCOL_VERSION) {
        HeaderField::Single(raw) if raw.trim_ascii() == ProtocolVersion::LATEST.as_str().as_bytes() => {
            Answer::accepted()
        }
        HeaderField::Single(raw) => Answer::error(None, &unsupported(&String::from_utf8_lossy(raw)), 400),
        _ => Answer::error(
            None,
            &mismatch("one MCP-Protocol-Version header is needed".into()),
            400,
        ),
    }
}

/// Runs all checks. The error is the answer.
pub(crate) fn check<'a>(
    snapshot: &Snapshot,
    link: &Link<'_>,
    request: &Request<'a>,
    meta: &RequestMeta<'a>,
) -> Result<Checked<'a>, Answer> {
    let refuse = |status: u16| move |error: RpcError| Answer::error(Some(request.id), &error, status);
    let fields = check_meta(meta)
        .map_err(|message| RpcError::new(code::INVALID_PARAMS, message))
        .map_err(refuse(400))?;
    if let Link::Http(headers) = link {
        same_version(*headers, &fields.version)
            .map_err(mismatch)
            .map_err(refuse(400))?;
    }
    if fields.version != ProtocolVersion::LATEST.as_str() {
        return Err(refuse(400)(unsupported(&fields.version)));
    }
    let method = Method::parse(&request.method);
    if let Link::Http(headers) = link {
        mirrored(*headers, snapshot, request, method)
            .map_err(mismatch)
            .map_err(refuse(400))?;
    }
    let method = method
        .filter(|m| m.in_modern() && capability::serves(snapshot.catalog.offers(), *m))
        .ok_or_else(|| refuse(404)(method_not_found(&request.method)))?;
    if matches!(
        method,
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel
    ) && !fields.capabilities.tasks
    {
        return Err(refuse(400)(capability::missing(capability::TASKS)));
    }
    Ok(Checked {
        method,
        capabilities: fields.capabilities,
        client_name: fields.client_name,
        log_level: fields.log_level,
    })
}

/// The error for a method that does not exist, or belongs to something that is not offered.
pub(crate) fn method_not_found(method: &str) -> RpcError {
    let shown: String = method.chars().take(200).collect();
    RpcError::new(code::METHOD_NOT_FOUND, format!("Method not found: {shown}"))
}

struct Fields<'a> {
    version: std::borrow::Cow<'a, str>,
    capabilities: ClientCapabilities,
    client_name: Option<std::borrow::Cow<'a, str>>,
    log_level: Option<LogLevel>,
}

/// `_meta`: the required members, and the types of the optional ones.
fn check_meta<'a>(meta: &RequestMeta<'a>) -> Result<Fields<'a>, String> {
    let version = meta
        .version_str()
        .ok_or_else(|| lacks(key::PROTOCOL_VERSION, "a string"))?;
    let raw = meta
        .client_capabilities
        .ok_or_else(|| lacks(key::CLIENT_CAPABILITIES, "an object"))?;
    let capabilities = ClientCapabilities::parse(raw).map_err(|e| format!("`_meta`: {e}"))?;
    let client_name = match meta.client_info {
        Some(raw) => Object::parse(raw)
            .map_err(|e| format!("`_meta[\"{}\"]`: {e}", key::CLIENT_INFO))?
            .get_str("name"),
        None => None,
    };
    let log_level = match meta.log_level {
        Some(raw) => Some(
            json::decode_str(raw)
                .and_then(|name| LogLevel::parse(&name))
                .ok_or_else(|| lacks(key::LOG_LEVEL, "a log level (`debug` to `emergency`)"))?,
        ),
        None => None,
    };
    Ok(Fields {
        version,
        capabilities,
        client_name,
        log_level,
    })
}

fn lacks(member: &str, what: &str) -> String {
    format!("`params._meta[\"{member}\"]` must be {what}")
}

fn mismatch(message: String) -> RpcError {
    RpcError::new(code::HEADER_MISMATCH, message)
}

fn unsupported(requested: &str) -> RpcError {
    let shown: String = requested.chars().take(64).collect();
    let data = serde_json::json!({ "supported": supported(), "requested": shown });
    RpcError::new(
        code::UNSUPPORTED_VERSION,
        format!("Unsupported protocol version: {shown}"),
    )
    .with_data(data.to_string())
}

/// All revisions that are served, newest first.
pub(crate) fn supported() -> Vec<&'static str> {
    ProtocolVersion::ALL.iter().rev().map(|v| v.as_str()).collect()
}

fn same_version(headers: &dyn Headers, version: &str) -> Result<(), String> {
    match headers.field(header::PROTOCOL_VERSION) {
        HeaderField::Single(raw) if raw.trim_ascii() == version.as_bytes() => Ok(()),
        HeaderField::Single(_) => Err(format!(
            "the MCP-Protocol-Version header differs from `_meta[\"{}\"]`",
            key::PROTOCOL_VERSION
        )),
        HeaderField::Absent => Err("the MCP-Protocol-Version header is missing".into()),
        HeaderField::Repeated => Err("the MCP-Protocol-Version header is there more than once".into()),
    }
}

/// Headers that repeat parts of the body must repeat them truly: others route by them.
fn mirrored(
    headers: &dyn Headers,
    snapshot: &Snapshot,
    request: &Request<'_>,
    method: Option<Method>,
) -> Result<(), String> {
    match headers.field(header::METHOD) {
        HeaderField::Single(raw) if raw.trim_ascii() == request.method.as_bytes() => {}
        HeaderField::Single(_) => return Err("the Mcp-Method header differs from `method`".into()),
        HeaderField::Absent => return Err("the Mcp-Method header is missing".into()),
        HeaderField::Repeated => return Err("the Mcp-Method header is there more than once".into()),
    }
    let Some(member) = method.and_then(Method::header_name_member) else {
        return Ok(());
    };
    // Without the member there is nothing to compare with; the method itself refuses that.
    let Some(name) = request.params.get_str(member) else {
        return Ok(());
    };
    match headers.field(header::NAME) {
        HeaderField::Single(raw) => {
            let value = header::decode_value(raw).ok_or("the Mcp-Name header has invalid characters")?;
            if value != name {
                return Err(format!("the Mcp-Name header differs from `params.{member}`"));
            }
        }
        HeaderField::Absent => return Err("the Mcp-Name header is missing".into()),
        HeaderField::Repeated => return Err("the Mcp-Name header is there more than once".into()),
    }
    if method != Some(Method::ToolsCall) {
        return Ok(());
    }
    match snapshot.catalog.tool(&name) {
        Some(tool) if !tool.param_headers.is_empty() => {
            param_headers(headers, tool, request.params.get("arguments"))
        }
        _ => Ok(()),
    }
}

fn param_headers(headers: &dyn Headers, tool: &ToolEntry, arguments: Option<&str>) -> Result<(), String> {
    tool.param_headers.iter().try_for_each(|param| {
        let value = value_at(arguments, &param.path);
        same_param(headers.field(&param.header), param, value)
            .map_err(|what| format!("the {} header {what}", param.header))
    })
}

/// The raw value at a path of property names; `None` if it is absent or null.
fn value_at<'a>(arguments: Option<&'a str>, path: &[String]) -> Option<&'a str> {
    let found = path
        .iter()
        .try_fold(arguments?, |raw, name| Object::parse(raw).ok()?.get(name))?;
    (found != "null").then_some(found)
}

fn same_param(field: HeaderField<'_>, param: &ParamHeader, value: Option<&str>) -> Result<(), &'static str> {
    let header = match field {
        HeaderField::Absent if value.is_none() => return Ok(()),
        HeaderField::Absent => return Err("is missing, though the argument is given"),
        HeaderField::Repeated => return Err("is there more than once"),
        HeaderField::Single(raw) => {
            header::decode_value(raw).ok_or("has invalid characters or bad base64")?
        }
    };
    let Some(value) = value else {
        return Err("is there, though the argument is not");
    };
    let same = match (param.kind, json::decode_str(value)) {
        (_, Some(text)) => text == header,
        (HeaderKind::Integer, None) => same_number(&header, value),
        (HeaderKind::String | HeaderKind::Boolean, None) => *header == *value,
    };
    if same {
        Ok(())
    } else {
        Err("differs from the argument")
    }
}

/// Integers are compared as numbers: `42.0` and `42` are equal.
fn same_number(header: &str, value: &str) -> bool {
    if header == value {
        return true;
    }
    // Only JSON numbers: Rust would take `inf` and `+1` as well.
    let number = |text: &str| serde_json::from_str::<serde_json::Number>(text).ok();
    match (number(header), number(value)) {
        (Some(a), Some(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests;
