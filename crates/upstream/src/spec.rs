//! What the configuration says of one upstream server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::catalog::Edits;
use ferromcp_supervisor::ChildSpec;

use crate::pool::PoolSize;
use crate::served::Service;
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
    /// How many workers it has: child processes, or sessions over HTTP.
    pub pool: PoolSize,
    /// A worker that was silent for this long is asked for a sign of life; one that gives none is restarted. `None`: never.
    pub heartbeat: Option<Duration>,
    /// What its tools change, by their own names, where their annotations do not say it or are wrong.
    pub effects: BTreeMap<String, Effect>,
    /// Other names and texts of its tools and prompts.
    pub edits: Arc<Edits>,
}

/// What a tool changes; decides whether a call whose worker was lost may be made once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    ReadOnly,
    /// Nothing more the second time.
    Idempotent,
    /// Something: never made twice.
    Effects,
}

impl UpstreamSpec {
    /// A server with defaults for all but its name, which is also the prefix, and how to reach it.
    pub fn new(name: impl Into<Arc<str>>, transport: TransportSpec) -> Self {
        let name = name.into();
        Self {
            prefix: Arc::clone(&name),
            name,
            transport,
            era: EraChoice::Auto,
            call_timeout: None,
            start_timeout: Duration::from_secs(30),
            tools: Arc::new(|_| true),
            pool: PoolSize::default(),
            heartbeat: None,
            effects: BTreeMap::new(),
            edits: Arc::default(),
        }
    }
}

/// How to reach an upstream server.
#[derive(Clone, Debug)]
pub enum TransportSpec {
    /// A child process, one message per line.
    Stdio(ChildSpec),
    /// Streamable HTTP.
    Http(HttpSpec),
    /// Something else than MCP. It has no workers: `era`, `pool` and `heartbeat` mean nothing.
    Service(Arc<dyn Service>),
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
            .field("pool", &self.pool)
            .field("heartbeat", &self.heartbeat)
            .field("effects", &self.effects)
            .finish_non_exhaustive()
    }
}
