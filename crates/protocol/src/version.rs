//! Protocol revisions as data: every difference between them that code acts on is a method here,
//! so that no handler compares version strings.

use std::fmt;

/// The two wire dialects of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Revisions up to 2025-11-25: `initialize` handshake, sessions, server-to-client requests.
    Legacy,
    /// Revision 2026-07-28 and later: every request is complete in itself.
    Modern,
}

/// A published MCP revision that this crate can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// 2024-11-05
    V2024_11_05,
    /// 2025-03-26: the only one with JSON-RPC batches.
    V2025_03_26,
    /// 2025-06-18: structured tool output, elicitation, version header.
    V2025_06_18,
    /// 2025-11-25: URL elicitation, SSE polling.
    V2025_11_25,
    /// 2026-07-28: stateless.
    V2026_07_28,
}

impl ProtocolVersion {
    /// All revisions, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];
    /// What a legacy `initialize` with an unknown version is answered with.
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;
    /// The newest revision.
    pub const LATEST: Self = Self::V2026_07_28;
    /// What a sessionless legacy HTTP request without a version header means
    /// (2025-06-18 and 2025-11-25, basic/transports, "Protocol Version Header").
    pub const HTTP_DEFAULT: Self = Self::V2025_03_26;

    /// Finds a revision by its date.
    pub fn parse(date: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == date)
    }

    /// The date as it travels on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The dialect that the revision belongs to.
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Modern,
            _ => Era::Legacy,
        }
    }

    /// True for 2026-07-28 and later.
    pub const fn is_modern(self) -> bool {
        matches!(self.era(), Era::Modern)
    }

    /// JSON-RPC batches must be received (2025-03-26 only).
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::V2025_03_26)
    }

    /// `structuredContent` and `outputSchema` exist.
    pub fn has_structured_content(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// `structuredContent` may be any JSON value, not only an object.
    pub const fn structured_content_is_any_json(self) -> bool {
        self.is_modern()
    }

    /// `elicitation/create` exists.
    pub fn has_elicitation(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Elicitation has modes (`form`, `url`).
    pub fn has_url_elicitation(self) -> bool {
        self >= Self::V2025_11_25
    }

    /// `title` on tools, prompts, resources, implementations; `resource_link` content.
    pub fn has_titles(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Progress notifications may carry `message`.
    pub fn has_progress_message(self) -> bool {
        self >= Self::V2025_03_26
    }

    /// The SSE stream of a request may be primed with an empty event and closed to be polled.
    pub fn has_sse_polling(self) -> bool {
        self == Self::V2025_11_25
    }

    /// Invalid tool arguments are reported in the tool result, so that a model can correct them.
    /// Earlier revisions leave it open; a result is understood by all of them.
    pub const fn argument_errors_in_result(self) -> bool {
        true
    }

    /// The error code for a resource that does not exist.
    pub const fn resource_not_found_code(self) -> i64 {
        if self.is_modern() {
            crate::code::INVALID_PARAMS
        } else {
            crate::code::LEGACY_RESOURCE_NOT_FOUND
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
