//! What a refusal says.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::rate::Rate;
use crate::window::Quota;

/// The rules of this crate. Their ids are stable: they appear in errors, headers, metrics and audit records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The rate of the whole server.
    RateGlobal,
    /// The rate of a tenant.
    RateTenant,
    /// The rate of a client.
    RateClient,
    /// The rate of a tool.
    RateTool,
    /// Calls of a tenant per window.
    QuotaToolCalls,
    /// Bytes of a tenant per window.
    QuotaBytes,
    /// Calls of a tenant at the same time.
    QuotaConcurrent,
    /// Calls in one batch.
    QuotaBatchSize,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 8] = [
        Self::RateGlobal,
        Self::RateTenant,
        Self::RateClient,
        Self::RateTool,
        Self::QuotaToolCalls,
        Self::QuotaBytes,
        Self::QuotaConcurrent,
        Self::QuotaBatchSize,
    ];

    /// The stable id.
    pub const fn id(self) -> &'static str {
        match self {
            Self::RateGlobal => "limit.rate.global",
            Self::RateTenant => "limit.rate.tenant",
            Self::RateClient => "limit.rate.client",
            Self::RateTool => "limit.rate.tool",
            Self::QuotaToolCalls => "quota.tool_calls",
            Self::QuotaBytes => "quota.bytes",
            Self::QuotaConcurrent => "quota.concurrent",
            Self::QuotaBatchSize => "quota.batch_size",
        }
    }

    /// Whether it is a quota of the tenant and not a rate: doors answer `quota_exceeded` instead of `rate_limited`.
    pub const fn is_quota(self) -> bool {
        matches!(
            self,
            Self::QuotaToolCalls | Self::QuotaBytes | Self::QuotaConcurrent | Self::QuotaBatchSize
        )
    }

    const fn subject(self) -> &'static str {
        match self {
            Self::RateGlobal => "the server's rate",
            Self::RateTenant => "the tenant's rate",
            Self::RateClient => "the client's rate",
            Self::RateTool => "the tool's rate",
            Self::QuotaToolCalls => "the tenant's quota of calls",
            Self::QuotaBytes => "the tenant's quota of bytes",
            Self::QuotaConcurrent => "the tenant's quota of concurrent calls",
            Self::QuotaBatchSize => "the tenant's quota of calls per batch",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// What is set for the limit that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A rate.
    Rate(Rate),
    /// An amount per window.
    Quota(Quota),
    /// A number of calls: at the same time, or in a batch.
    Calls(u32),
}

impl Limit {
    /// The burst of a rate, or the amount of a quota.
    pub fn amount(&self) -> u64 {
        match self {
            Self::Rate(rate) => u64::from(rate.burst()),
            Self::Quota(quota) => quota.amount(),
            Self::Calls(calls) => u64::from(*calls),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "{rate}"),
            Self::Quota(quota) => write!(f, "{quota}"),
            Self::Calls(calls) => write!(f, "{calls}"),
        }
    }
}

/// Why a call may not pass now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which rule refused.
    pub rule: Rule,
    /// What is set.
    pub limit: Limit,
    /// The earliest time at which the same call could pass; `None` when waiting alone cannot help (a batch or body larger
    /// than the limit), or when it depends on other calls ending.
    pub retry_after: Option<Duration>,
    /// Time until all of the limit is there again, if nobody calls; `None` for a number of calls.
    pub reset_after: Option<Duration>,
}

impl Refused {
    /// A sentence for people: which limit, how much, and what to do.
    pub fn message(&self) -> String {
        let (state, advice): (_, Cow<'static, str>) = match (self.retry_after, self.rule) {
            (Some(wait), _) => ("used up", format!("try again in {} s", seconds(wait)).into()),
            (None, Rule::QuotaConcurrent) => ("used up", "wait for a running call to end".into()),
            (None, Rule::QuotaBatchSize) => ("exceeded", "send smaller batches".into()),
            (None, _) => (
                "exceeded",
                "the call alone is more than that: send less at once".into(),
            ),
        };
        format!("{} of {} is {state}; {advice}", self.rule.subject(), self.limit)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rule {})", self.message(), self.rule)
    }
}

impl std::error::Error for Refused {}

/// Seconds with as many digits as matter, rounded up so that who waits so long waits long enough.
fn seconds(wait: Duration) -> String {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    match millis {
        0..10_000 => format!("{}.{:03}", millis / 1_000, millis % 1_000),
        _ => millis.div_ceil(1_000).to_string(),
    }
}

/// How one limit stands, for headers and for explaining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which limit.
    pub rule: Rule,
    /// Whether the call passes it.
    pub allowed: bool,
    /// The burst of a rate, or the amount of a quota.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Time until all of it is there again; zero for concurrent calls.
    pub reset_after: Duration,
    /// Time until a call could pass; zero when one can now, `None` as in [`Refused::retry_after`].
    pub retry_after: Option<Duration>,
}

#[cfg(test)]
mod tests;
