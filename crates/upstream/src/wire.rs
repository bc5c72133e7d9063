//! Writing JSON-RPC messages.

use bytes::Bytes;
use ferromcp_protocol::{ProtocolVersion, json};

/// Members of `_meta` that every request of 2026-07-28 must have (basic/index), but for the capabilities.
const MODERN_META: &str = concat!(
    "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",",
    "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"ferromcp\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\"}"
);

/// A member of the capabilities of a client of 2026-07-28: the tasks extension.
pub(crate) const TASKS: &str = "\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}";

/// The `params` of `initialize`. A session is for all callers, and whether the caller of a call can be asked is known
/// when it calls: so all is declared that can be relayed, and what a caller cannot do is refused question by question.
pub(crate) const INITIALIZE: &str = concat!(
    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"elicitation\":{\"form\":{},\"url\":{}},\"roots\":{},",
    "\"sampling\":{\"tools\":{}}},\"clientInfo\":{\"name\":\"ferromcp\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\"}"
);

/// Builds one request.
#[derive(Debug)]
pub(crate) struct Writer {
    out: Vec<u8>,
    /// Members of the innermost open object.
    members: usize,
}

impl Writer {
    /// Opens the message and its `params`.
    pub(crate) fn request(id: u64, method: &str, room: usize) -> Self {
        let mut out = Vec::with_capacity(room + 384);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(id.to_string().as_bytes());
        out.extend_from_slice(b",\"method\":\"");
        out.extend_from_slice(method.as_bytes());
        out.extend_from_slice(b"\",\"params\":{");
        Self { out, members: 0 }
    }

    fn comma(&mut self) {
        if self.members > 0 {
            self.out.push(b',');
        }
        self.members += 1;
    }

    /// Adds a member with a raw value.
    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.comma();
        json::write_str(&mut self.out, key);
        self.out.push(b':');
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Adds a string member.
    pub(crate) fn str(&mut self, key: &str, value: &str) {
        self.comma();
        json::write_str(&mut self.out, key);
        self.out.push(b':');
        json::write_str(&mut self.out, value);
    }

    /// Adds members that are written already.
    pub(crate) fn members(&mut self, raw: &str) {
        if !raw.is_empty() {
            self.comma();
            self.out.extend_from_slice(raw.as_bytes());
        }
    }

    /// Goes on with the value of the last member.
    pub(crate) fn more(&mut self, raw: &str) {
        self.out.extend_from_slice(raw.as_bytes());
    }

    /// Opens `_meta`, with what the revision demands in it but the capabilities.
    pub(crate) fn open_meta(&mut self, version: ProtocolVersion) {
        self.comma();
        self.out.extend_from_slice(b"\"_meta\":{");
        self.members = 0;
        if version.is_modern() {
            self.members(MODERN_META);
        }
    }

    /// Closes `_meta`, `params` and the message.
    pub(crate) fn close_meta(mut self) -> Bytes {
        self.out.extend_from_slice(b"}}}");
        self.out.into()
    }

    /// Closes `params` and the message.
    pub(crate) fn close(mut self) -> Bytes {
        self.out.extend_from_slice(b"}}");
        self.out.into()
    }
}

/// Appends a member to a JSON object that `out` has begun with `{`. `raw`: the value as it is.
pub(crate) fn member(out: &mut String, key: &str, raw: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    out.push_str(&json::quote(key));
    out.push(':');
    out.push_str(raw);
}

/// A request of our own. `members`: raw members of `params` without braces; `capabilities`: of what we declare.
pub(crate) fn request(
    id: u64,
    method: &str,
    members: &str,
    version: ProtocolVersion,
    capabilities: &str,
) -> Bytes {
    let mut out = Writer::request(id, method, members.len());
    out.members(members);
    if version.is_modern() {
        out.open_meta(version);
        out.raw(
            "io.modelcontextprotocol/clientCapabilities",
            &format!("{{{capabilities}}}"),
        );
        return out.close_meta();
    }
    out.close()
}

/// A notification. `params`: raw JSON object, or empty for none.
pub(crate) fn notification(method: &str, params: &str) -> Bytes {
    let params = if params.is_empty() {
        String::new()
    } else {
        format!(",\"params\":{params}")
    };
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\"{params}}}").into()
}

/// Tells that nobody waits for a request any more.
pub(crate) fn cancelled(id: u64) -> Bytes {
    let params = format!("{{\"requestId\":{id},\"reason\":\"the caller gave up\"}}");
    notification("notifications/cancelled", &params)
}
