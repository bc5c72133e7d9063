//! [`TenantUsage`]: what a tenant may use and has used. The one form of it, for every door and for the admin API.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_limits::{RateUsage, TenantLimits, WindowUsage};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::call::Principal;
use crate::snapshot::Snapshot;
use crate::stage;

mod schema;

pub use schema::{schema, tenant_schema};

/// What a tenant may use and has used, at one moment. What is `None` is not limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantUsage {
    /// Id of the tenant.
    pub tenant: Arc<str>,
    /// The rate of all its clients together.
    pub rate: Option<RateUsed>,
    /// The rate of the client that asks.
    pub client_rate: Option<RateUsed>,
    /// Calls that run now, and the most there may be.
    pub concurrent: Option<(u32, u32)>,
    /// Calls in the window.
    pub tool_calls: Option<WindowUsed>,
    /// Bytes in the window, in and out.
    pub bytes: Option<WindowUsed>,
    /// Most calls in one batch.
    pub batch_size: Option<u32>,
}

/// What is used of a rate. Times are whole milliseconds, rounded up: who waits so long waits long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RateUsed {
    /// The burst: calls that may come at once.
    pub limit: u32,
    /// Those of them that are used.
    pub used: u32,
    /// Those that are left.
    pub remaining: u32,
    /// Until all of `limit` is there again, if nobody calls.
    pub resets_in_ms: u64,
    /// Calls that come back per `window_ms`.
    pub calls: u32,
    /// See `calls`.
    pub window_ms: u64,
}

/// What is used of a quota. Times as in [`RateUsed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WindowUsed {
    /// Most in a window.
    pub limit: u64,
    /// Used in the window that ends now; may exceed the limit.
    pub used: u64,
    /// What is left.
    pub remaining: u64,
    /// Length of the window.
    pub window_ms: u64,
    /// Until all of it is free again, if nothing more is used.
    pub resets_in_ms: u64,
}

impl From<RateUsage> for RateUsed {
    fn from(usage: RateUsage) -> Self {
        let limit = usage.rate.burst();
        Self {
            limit,
            used: limit.saturating_sub(usage.remaining),
            remaining: usage.remaining,
            resets_in_ms: millis(usage.reset_after),
            calls: usage.rate.count(),
            window_ms: millis(usage.rate.period()),
        }
    }
}

impl From<WindowUsage> for WindowUsed {
    fn from(usage: WindowUsage) -> Self {
        Self {
            limit: usage.limit,
            used: usage.used,
            remaining: usage.limit.saturating_sub(usage.used),
            window_ms: millis(usage.window),
            resets_in_ms: millis(usage.reset_after),
        }
    }
}

impl TenantUsage {
    /// Of a tenant, whoever asks.
    pub fn of_tenant(snapshot: &Snapshot, tenant: &str) -> Self {
        Self::of(snapshot, tenant.into(), snapshot.limits.tenant(tenant))
    }

    /// Of somebody who calls, and its tenant.
    pub(crate) fn of_caller(snapshot: &Snapshot, principal: &Principal) -> Self {
        let limits = &snapshot.limits;
        let client = limits.client_usage(stage::client_key(limits, principal), snapshot.access.now());
        Self {
            client_rate: client.map(RateUsed::from),
            ..Self::of(
                snapshot,
                Arc::clone(&principal.tenant),
                principal.grants().limits(),
            )
        }
    }

    fn of(snapshot: &Snapshot, tenant: Arc<str>, limits: Option<&Arc<TenantLimits>>) -> Self {
        let used = limits.map(|limits| limits.usage(snapshot.access.now()));
        let used = used.unwrap_or_default();
        Self {
            tenant,
            rate: used.rate.map(RateUsed::from),
            client_rate: None,
            concurrent: used.concurrent,
            tool_calls: used.tool_calls.map(WindowUsed::from),
            bytes: used.bytes.map(WindowUsed::from),
            batch_size: limits.and_then(|limits| limits.settings().quotas.batch_size),
        }
    }

    /// What whoever calls is told: `{"tenant", "rate", "client_rate", "concurrent", "quotas"}`.
    pub fn json(&self) -> Value {
        let mut told = self.tenant_json();
        told["client_rate"] = json!(self.client_rate);
        told
    }

    /// What is told of the tenant, whoever asks: the same without `client_rate`.
    pub fn tenant_json(&self) -> Value {
        let mut quotas = Map::new();
        for (name, used) in [("tool_calls", &self.tool_calls), ("bytes", &self.bytes)] {
            if let Some(used) = used {
                quotas.insert(name.to_owned(), json!(used));
            }
        }
        if let Some(limit) = self.batch_size {
            quotas.insert("batch_size".to_owned(), json!({ "limit": limit }));
        }
        let concurrent = self.concurrent.map(
            |(now, limit)| json!({ "limit": limit, "now": now, "remaining": limit.saturating_sub(now) }),
        );
        json!({ "tenant": &*self.tenant, "rate": self.rate, "concurrent": concurrent, "quotas": quotas })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
