//! What can be set about an endpoint.

use std::sync::Arc;
use std::time::Duration;

use crate::store::SessionStore;

/// Caching hints of 2026-07-28 (server/utilities/caching). All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// How long the answer of `server/discover` may be kept. Default 5 min.
    pub discover_ttl_ms: u64,
    /// How long lists may be kept; list changes are announced besides. Default 1 min.
    pub list_ttl_ms: u64,
    /// How long resource contents may be kept. Default 0: contents change without notice.
    pub read_ttl_ms: u64,
    /// Lists and contents are the same for every caller and may be kept by shared caches. Default
    /// false.
    pub public: bool,
}

impl Default for Caching {
    fn default() -> Self {
        Self {
            discover_ttl_ms: 300_000,
            list_ttl_ms: 60_000,
            read_ttl_ms: 0,
            public: false,
        }
    }
}

/// Settings of an [`Endpoint`](crate::Endpoint).
#[derive(Clone)]
pub struct EndpointSettings {
    /// Most items on one page of a list. Default 1,000; 0 is taken as 1.
    pub page_size: usize,
    /// Key that seals request state; replicas that shall take each other's retries need the same.
    /// Default: random, so that state does not outlive the process.
    pub sealing_key: Option<[u8; 32]>,
    /// How long a caller may take to answer an `input_required` result. Default 10 min.
    pub input_ttl: Duration,
    /// Most legacy HTTP sessions at a time; more are refused with 503. Default 10,000.
    pub max_sessions: usize,
    /// A session without traffic for this long ends. Default 30 min.
    pub session_idle: Duration,
    /// A session that was opened but never said `notifications/initialized`, nor anything else,
    /// ends after this. Default 60 s.
    pub init_timeout: Duration,
    /// Most requests of one session that run at a time. Default 1,024.
    pub max_in_flight: usize,
    /// Most open questions to the client of one session. Default 64.
    pub max_questions: usize,
    /// Most resources that one session or one subscription watches. Default 1,000.
    pub max_watches: usize,
    /// Announce `logging` and send log messages. Default true.
    pub logging: bool,
    /// Caching hints.
    pub caching: Caching,
    /// Where legacy HTTP sessions are kept. Default: this process's memory.
    pub store: Option<Arc<dyn SessionStore>>,
}

impl Default for EndpointSettings {
    fn default() -> Self {
        Self {
            page_size: 1000,
            sealing_key: None,
            input_ttl: Duration::from_secs(600),
            max_sessions: 10_000,
            session_idle: Duration::from_secs(1800),
            init_timeout: Duration::from_secs(60),
            max_in_flight: 1024,
            max_questions: 64,
            max_watches: 1000,
            logging: true,
            caching: Caching::default(),
            store: None,
        }
    }
}

impl std::fmt::Debug for EndpointSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointSettings")
            .field("page_size", &self.page_size)
            .field("max_sessions", &self.max_sessions)
            .field("session_idle", &self.session_idle)
            .field("logging", &self.logging)
            .finish_non_exhaustive()
    }
}
