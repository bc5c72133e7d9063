//! What is used of rates and quotas.

use ferromcp_core::TenantUsage;
use ferromcp_core::usage::{RateUsed, WindowUsed};
use ferromcp_grpc_api::{ConcurrentUsage, GetUsageResponse, QuotaUsage, RateUsage};

/// The message of it.
pub(crate) fn told(usage: &TenantUsage) -> GetUsageResponse {
    GetUsageResponse {
        tenant: usage.tenant.to_string(),
        rate: usage.rate.map(rate),
        client_rate: usage.client_rate.map(rate),
        concurrent: usage.concurrent.map(|(now, limit)| ConcurrentUsage {
            limit,
            now,
            remaining: limit.saturating_sub(now),
        }),
        tool_calls: usage.tool_calls.map(quota),
        bytes: usage.bytes.map(quota),
        batch_size: usage.batch_size,
    }
}

fn rate(used: RateUsed) -> RateUsage {
    RateUsage {
        limit: used.limit,
        used: used.used,
        remaining: used.remaining,
        resets_in_ms: used.resets_in_ms,
        calls: used.calls,
        window_ms: used.window_ms,
    }
}

fn quota(used: WindowUsed) -> QuotaUsage {
    QuotaUsage {
        limit: used.limit,
        used: used.used,
        remaining: used.remaining,
        window_ms: used.window_ms,
        resets_in_ms: used.resets_in_ms,
    }
}
