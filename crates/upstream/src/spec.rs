//! What the configuration says of one upstream server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_supervisor::ChildSpec;

use crate::transport::http::HttpSpec;

/// Decides by a tool's own name whether the tool is offered.
pub type ToolFilter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// One upstream server.
#[derive(Clone)]
pub struct UpstreamSpec {
    /// Name in messages, records and lists; unique among all sources.
    pub name: Arc<str>,
    /// Prefix of its tool and prompt names; empty for none.
    pub prefix: Arc<str>,
    /// How to reach it.
    pub transport: TransportSpec,
    /// Which dialect it speaks.
    pub era: EraChoice,
    /// Idle time limit of its calls; the gateway's if `None`.
    pub call_timeout: Option<Duration>,
    /// Time for start, handshake and first lists together; an attempt that takes longer is given up. Handshakes after a
    /// lost HTTP session, and the re-reading of lists, have the same limit.
    pub start_timeout: Duration,
    /// Which of its tools are offered.
    pub tools: ToolFilter,
}

/// How to reach an upstream server.
#[derive(Clone, Debug)]
pub enum TransportSpec {
    /// A child process, one message per line.
    Stdio(ChildSpec),
    /// Streamable HTTP.
    Http(HttpSpec),
}

/// Which dialect of MCP an upstream server is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EraChoice {
    /// Found out at the first start: `server/discover`, and `initialize` if that is not known there.
    #[default]
    Auto,
    /// Revisions up to 2025-11-25; not probed.
    Legacy,
    /// Revision 2026-07-28; no fallback.
    Modern,
}

impl fmt::Debug for UpstreamSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamSpec")
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .field("transport", &self.transport)
            .field("era", &self.era)
            .field("call_timeout", &self.call_timeout)
            .field("start_timeout", &self.start_timeout)
            .finish_non_exhaustive()
    }
}
