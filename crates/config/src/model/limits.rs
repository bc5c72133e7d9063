//! Rates, quotas and limits as plain data.

use std::time::Duration;

/// So many in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In how much time: 1 s to 31 days.
    pub per: Duration,
    /// Most at once, at least 1. `None`: `count`.
    pub burst: Option<u32>,
}

impl Rate {
    /// Most at once: `burst`, or `count` where none is set.
    pub fn burst_or_count(&self) -> u32 {
        self.burst.unwrap_or(self.count)
    }
}

/// So many bytes in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate {
    /// How many bytes, 1 B to 1024 TiB.
    pub bytes: u64,
    /// In how much time: 1 s to 31 days.
    pub per: Duration,
}

/// `tenants.ID.quotas`: what a tenant may use; `None` is no quota.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Tool calls in a window; never with a burst.
    pub tool_calls: Option<Rate>,
    /// Bytes of requests and results in a window.
    pub bytes: Option<ByteRate>,
    /// Most calls in one batch, 1 to 10,000.
    pub batch_size: Option<u32>,
    /// Most calls at the same time, 1 to 1,000,000.
    pub concurrent: Option<u32>,
}

/// `limits`: rates, resolved to what they apply to. `limits.rate` is in the field that `limits.per` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of every client.
    pub client: Option<Rate>,
    /// Of every tenant that has none of its own (`Tenant::limits`).
    pub tenant: Option<Rate>,
    /// Of all together.
    pub global: Option<Rate>,
    /// By pattern on the listed name of a tool, all tenants together, in the order of the file: the first that matches counts.
    pub tools: Vec<(String, Rate)>,
    /// Most clients whose state is kept, 1 to 10,000,000; default 100,000.
    pub max_clients: usize,
    /// Most calls at the same time, 1 to 1,000,000; default 10,000.
    pub max_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client: None,
            tenant: None,
            global: None,
            tools: Vec::new(),
            max_clients: 100_000,
            max_in_flight: 10_000,
        }
    }
}
