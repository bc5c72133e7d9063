//! The HTTP headers of 2026-07-28 that repeat parts of the body, and their value encoding
//! (basic/transports/streamable-http, "Request Metadata"). Names are lower case as HTTP libraries
//! keep them.

use std::borrow::Cow;

/// Protocol version of the request (also legacy, from 2025-06-18).
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// JSON-RPC method.
pub const METHOD: &str = "mcp-method";
/// Tool or prompt name, resource URI, or task id.
pub const NAME: &str = "mcp-name";
/// Prefix of headers made from tool parameters.
pub const PARAM_PREFIX: &str = "mcp-param-";
/// Legacy session id.
pub const SESSION_ID: &str = "mcp-session-id";

const SENTINEL_OPEN: &str = "=?base64?";
const SENTINEL_CLOSE: &str = "?=";

/// Decodes a header value: plain visible ASCII, or the strict base64 sentinel form. `None` if the
/// value has characters that a header must not carry, or if the sentinel's content is not
/// canonical base64 of UTF-8.
pub fn decode_value(raw: &[u8]) -> Option<Cow<'_, str>> {
    if !raw.iter().all(|b| matches!(b, 0x20..=0x7e | b'\t')) {
        return None;
    }
    let text = std::str::from_utf8(raw).ok()?.trim_matches([' ', '\t']);
    let Some(inner) = text
        .strip_prefix(SENTINEL_OPEN)
        .and_then(|t| t.strip_suffix(SENTINEL_CLOSE))
    else {
        return Some(Cow::Borrowed(text));
    };
    let bytes = decode_base64(inner)?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Encodes a value for a header: as it is where that is safe, else in the base64 sentinel form.
pub fn encode_value(value: &str) -> Cow<'_, str> {
    let safe = value.bytes().all(|b| matches!(b, 0x20..=0x7e | b'\t'))
        && value.trim_matches([' ', '\t']).len() == value.len()
        && !(value.starts_with(SENTINEL_OPEN) && value.ends_with(SENTINEL_CLOSE));
    if safe {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(SENTINEL_OPEN.len() + value.len() * 4 / 3 + 6);
    out.push_str(SENTINEL_OPEN);
    base64::Engine::encode_string(&base64::engine::general_purpose::STANDARD, value, &mut out);
    out.push_str(SENTINEL_CLOSE);
    Cow::Owned(out)
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).ok()
}
