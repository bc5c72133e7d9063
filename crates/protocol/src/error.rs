//! JSON-RPC error codes and the error object.

/// Error codes, each with the page that defines it.
pub mod code {
    /// JSON-RPC 2.0: not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// JSON-RPC 2.0: JSON, but not a request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// JSON-RPC 2.0.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// JSON-RPC 2.0.
    pub const INVALID_PARAMS: i64 = -32602;
    /// JSON-RPC 2.0.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// Up to 2025-11-25, server/resources: resource not found.
    pub const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
    /// 2025-11-25, client/elicitation: the request needs a URL elicitation first.
    pub const LEGACY_URL_ELICITATION_REQUIRED: i64 = -32042;
    /// 2026-07-28, basic/transports/streamable-http: headers and body differ.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// 2026-07-28, basic/index: a client capability is missing.
    pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
    /// 2026-07-28, basic/versioning.
    pub const UNSUPPORTED_VERSION: i64 = -32022;
    /// Ours: too many calls.
    pub const RATE_LIMITED: i64 = -32010;
    /// Ours: a quota is used up.
    pub const QUOTA_EXCEEDED: i64 = -32011;
    /// Ours: the deadline passed.
    pub const TIMEOUT: i64 = -32012;
    /// Ours: the source cannot be reached, or the server is draining.
    pub const UNAVAILABLE: i64 = -32013;
}

/// A JSON-RPC error object, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// One of [`code`], or what an upstream sent.
    pub code: i64,
    /// A sentence for people.
    pub message: String,
    /// Raw JSON text of `data`.
    pub data: Option<Box<str>>,
}

impl RpcError {
    /// An error without `data`.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds raw JSON text as `data`.
    #[must_use]
    pub fn with_data(mut self, json: impl Into<Box<str>>) -> Self {
        self.data = Some(json.into());
        self
    }

    /// Reads the raw text of a JSON-RPC `error` member; `None` if it is not an error object.
    pub fn parse(raw: &str) -> Option<Self> {
        let object = crate::json::Object::parse(raw).ok()?;
        Some(Self {
            code: object.get("code")?.trim().parse().ok()?,
            message: object.get_str("message")?.into_owned(),
            data: object.get("data").map(Into::into),
        })
    }

    /// Appends `{"code":..,"message":..,"data":..}`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"code\":");
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.extend_from_slice(b",\"message\":");
        crate::json::write_str(out, &self.message);
        if let Some(data) = &self.data {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data.as_bytes());
        }
        out.push(b'}');
    }
}

/// Appends a whole JSON-RPC error response. `id` is raw JSON; `None` leaves the member out, which
/// 2026-07-28 asks for when the id could not be read (legacy doors pass `Some("null")`).
pub fn write_error_response(out: &mut Vec<u8>, id: Option<&str>, error: &RpcError) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.as_bytes());
    }
    out.extend_from_slice(b",\"error\":");
    error.write(out);
    out.push(b'}');
}
