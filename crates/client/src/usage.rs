//! [`Usage`].

use std::time::Duration;

use ferromcp_grpc_api::{ConcurrentUsage, GetUsageResponse, QuotaUsage, RateUsage};
use serde_json::{Map, Value, json};

/// What the caller's tenant may use, and has used, at one moment. What is `None` is not limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage(pub(crate) Value);

/// A rate and what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls that may come at once (the burst).
    pub limit: u64,
    /// Those of them that are used now.
    pub used: u64,
    /// Calls that could come at once now.
    pub remaining: u64,
    /// Time until all of `limit` is there again, if nobody calls.
    pub resets_in: Duration,
    /// Calls that come back per `window`.
    pub calls: u64,
    /// See `calls`.
    pub window: Duration,
}

/// A quota and what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most in a window.
    pub limit: u64,
    /// Used in the window that ends now. May exceed the limit: results count once their size is known.
    pub used: u64,
    /// What is left; 0 if more is used than the limit.
    pub remaining: u64,
    /// Length of the window.
    pub window: Duration,
    /// Time until all of it is free again, if nothing more is used.
    pub resets_in: Duration,
}

/// How many calls run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrent {
    /// Most calls at the same time.
    pub limit: u64,
    /// Calls that run now.
    pub now: u64,
    /// Calls that could begin now.
    pub remaining: u64,
}

impl Usage {
    /// Id of the tenant; `local` for callers of a server without tenants.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.0["tenant"].as_str().unwrap_or_default()
    }

    /// The rate of all the tenant's clients together.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        rate(&self.0["rate"])
    }

    /// The rate of the caller itself.
    #[must_use]
    pub fn client_rate(&self) -> Option<Rate> {
        rate(&self.0["client_rate"])
    }

    /// Calls at the same time.
    #[must_use]
    pub fn concurrent(&self) -> Option<Concurrent> {
        let used = &self.0["concurrent"];
        used.is_object().then(|| Concurrent {
            limit: number(&used["limit"]),
            now: number(&used["now"]),
            remaining: number(&used["remaining"]),
        })
    }

    /// The quota of calls.
    #[must_use]
    pub fn tool_calls(&self) -> Option<Quota> {
        quota(&self.0["quotas"]["tool_calls"])
    }

    /// The quota of bytes of arguments and results.
    #[must_use]
    pub fn bytes(&self) -> Option<Quota> {
        quota(&self.0["quotas"]["bytes"])
    }

    /// Most calls in one batch.
    #[must_use]
    pub fn batch_size(&self) -> Option<u64> {
        self.0["quotas"]["batch_size"]["limit"].as_u64()
    }

    /// The object that REST answers: `{"tenant","rate","client_rate","concurrent","quotas"}`.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    pub(crate) fn of_grpc(told: &GetUsageResponse) -> Self {
        let mut quotas = Map::new();
        for (name, used) in [("tool_calls", &told.tool_calls), ("bytes", &told.bytes)] {
            if let Some(used) = used {
                quotas.insert(name.to_owned(), quota_json(used));
            }
        }
        if let Some(limit) = told.batch_size {
            quotas.insert("batch_size".to_owned(), json!({ "limit": limit }));
        }
        Self(json!({
            "tenant": told.tenant,
            "rate": told.rate.as_ref().map(rate_json),
            "client_rate": told.client_rate.as_ref().map(rate_json),
            "concurrent": told.concurrent.as_ref().map(concurrent_json),
            "quotas": quotas,
        }))
    }
}

fn rate_json(used: &RateUsage) -> Value {
    json!({
        "limit": used.limit, "used": used.used, "remaining": used.remaining, "resets_in_ms": used.resets_in_ms,
        "calls": used.calls, "window_ms": used.window_ms,
    })
}

fn quota_json(used: &QuotaUsage) -> Value {
    json!({
        "limit": used.limit, "used": used.used, "remaining": used.remaining, "window_ms": used.window_ms,
        "resets_in_ms": used.resets_in_ms,
    })
}

fn concurrent_json(used: &ConcurrentUsage) -> Value {
    json!({ "limit": used.limit, "now": used.now, "remaining": used.remaining })
}

fn rate(used: &Value) -> Option<Rate> {
    used.is_object().then(|| Rate {
        limit: number(&used["limit"]),
        used: number(&used["used"]),
        remaining: number(&used["remaining"]),
        resets_in: time(&used["resets_in_ms"]),
        calls: number(&used["calls"]),
        window: time(&used["window_ms"]),
    })
}

fn quota(used: &Value) -> Option<Quota> {
    used.is_object().then(|| Quota {
        limit: number(&used["limit"]),
        used: number(&used["used"]),
        remaining: number(&used["remaining"]),
        window: time(&used["window_ms"]),
        resets_in: time(&used["resets_in_ms"]),
    })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn time(ms: &Value) -> Duration {
    Duration::from_millis(number(ms))
}
