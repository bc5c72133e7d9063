//! Request metadata: the `_meta` member of `params`.

use std::borrow::Cow;

use crate::json::{self, Object};

/// Syslog levels as MCP names them, least to most severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LogLevel {
    /// Detailed debugging information.
    Debug,
    /// General information.
    Info,
    /// Normal but significant.
    Notice,
    /// A warning condition.
    Warning,
    /// An error condition.
    Error,
    /// A critical condition.
    Critical,
    /// Action must be taken at once.
    Alert,
    /// The system is unusable.
    Emergency,
}

impl LogLevel {
    /// All levels, least severe first; a level's index is its `u8` value.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// Finds a level by its wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.as_str() == name)
    }

    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }
}

/// Names of the per-request protocol fields of 2026-07-28 (basic/index, "`_meta`").
pub mod key {
    /// Protocol version of this request.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Client capabilities for this request.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Client name and version.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Opt-in to log messages for this request.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Ties a notification to its `subscriptions/listen` request.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Server name and version, on results.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
}

/// A borrowed view of `_meta`. All members keep their raw JSON text.
#[derive(Clone, Debug, Default)]
pub struct RequestMeta<'a> {
    /// The whole object, for relays.
    pub raw: Option<&'a str>,
    /// Raw progress token: a JSON string or number, type preserved.
    pub progress_token: Option<&'a str>,
    /// Raw value of the modern version field.
    pub protocol_version: Option<&'a str>,
    /// Raw value of the modern capabilities field.
    pub client_capabilities: Option<&'a str>,
    /// Raw value of the modern client info field.
    pub client_info: Option<&'a str>,
    /// Raw value of the modern log level field.
    pub log_level: Option<&'a str>,
    /// Raw value of W3C `traceparent`.
    pub traceparent: Option<&'a str>,
}

impl RequestMeta<'_> {
    /// Of a request that brings none.
    pub const NONE: RequestMeta<'static> = RequestMeta {
        raw: None,
        progress_token: None,
        protocol_version: None,
        client_capabilities: None,
        client_info: None,
        log_level: None,
        traceparent: None,
    };
}

impl<'a> RequestMeta<'a> {
    /// Reads the raw text of `_meta`.
    pub fn parse(raw: &'a str) -> Result<Self, String> {
        let object = Object::parse(raw).map_err(|e| format!("`_meta` must be an object: {e}"))?;
        Self::of_members(raw, &object)
    }

    /// Reads `_meta` out of a `params` object, if it has one.
    pub fn of_params(params: &Object<'a>) -> Result<Self, String> {
        Self::of_parts(params, None)
    }

    /// `_meta` of a `params` object, which was split already if it is an object under its plain name.
    pub(crate) fn of_parts(params: &Object<'a>, split: Option<Object<'a>>) -> Result<Self, String> {
        match (params.get("_meta"), split) {
            (None, _) => Ok(Self::default()),
            (Some(raw), None) => Self::parse(raw),
            (Some(raw), Some(object)) => {
                object
                    .refuse_duplicates(raw)
                    .map_err(|e| format!("`_meta` must be an object: {e}"))?;
                Self::of_members(raw, &object)
            }
        }
    }

    fn of_members(raw: &'a str, object: &Object<'a>) -> Result<Self, String> {
        let mut meta = Self {
            raw: Some(raw),
            ..Self::default()
        };
        for (name, value) in object.iter() {
            match name {
                "progressToken" => meta.progress_token = Some(value),
                key::PROTOCOL_VERSION => meta.protocol_version = Some(value),
                key::CLIENT_CAPABILITIES => meta.client_capabilities = Some(value),
                key::CLIENT_INFO => meta.client_info = Some(value),
                key::LOG_LEVEL => meta.log_level = Some(value),
                "traceparent" => meta.traceparent = Some(value),
                _ => {}
            }
        }
        if let Some(token) = meta.progress_token
            && !matches!(token.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'))
        {
            return Err("`_meta.progressToken` must be a string or a number".into());
        }
        Ok(meta)
    }

    /// True if the message says that it belongs to the modern era.
    pub const fn claims_modern(&self) -> bool {
        self.protocol_version.is_some()
    }

    /// The decoded modern version field.
    pub fn version_str(&self) -> Option<Cow<'a, str>> {
        json::decode_str(self.protocol_version?)
    }

    /// `name` of the client info, if given.
    pub fn client_name(&self) -> Option<Cow<'a, str>> {
        Object::parse(self.client_info?).ok()?.get_str("name")
    }
}
