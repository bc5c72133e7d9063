//! What is used of limits, as it is told to another process: times in nanoseconds on the old process's clock.

use std::time::Duration;

use ferromcp_core::Gateway;
use ferromcp_limits::{Nanos, RateState, SavedState, TenantState, WindowState};
use serde::{Deserialize, Serialize};

/// When the burst is whole again, and the time per call.
type Rate = (u64, u64);
/// Ends of slots, and what was used in each.
type Window = Vec<(u64, u64)>;
/// Id, rate, quota of calls and of bytes.
type Tenant = (String, Option<Rate>, Option<Window>, Option<Window>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    now: u64,
    global: Option<Rate>,
    tenants: Vec<Tenant>,
    tools: Vec<(String, Rate)>,
}

impl Used {
    pub(super) fn of(gateway: &Gateway) -> Self {
        let (saved, now) = gateway.used();
        let rate = |state: &RateState| {
            let interval = u64::try_from(state.interval.as_nanos()).unwrap_or(u64::MAX);
            (state.whole_at.get(), interval)
        };
        let window = |state: &WindowState| state.used.iter().map(|(end, used)| (end.get(), *used)).collect();
        let tenants = saved.tenants.iter().map(|(id, tenant)| {
            (
                id.clone(),
                tenant.rate.as_ref().map(rate),
                tenant.tool_calls.as_ref().map(window),
                tenant.bytes.as_ref().map(window),
            )
        });
        Self {
            now: now.get(),
            global: saved.global.as_ref().map(rate),
            tenants: tenants.collect(),
            tools: saved
                .tools
                .iter()
                .map(|(name, state)| (name.clone(), rate(state)))
                .collect(),
        }
    }

    pub(super) fn give(self, gateway: &Gateway) {
        let rate = |(whole_at, interval): Rate| RateState {
            whole_at: Nanos::new(whole_at),
            interval: Duration::from_nanos(interval),
        };
        let window = |used: Window| WindowState {
            used: used
                .into_iter()
                .map(|(end, used)| (Nanos::new(end), used))
                .collect(),
        };
        let tenants = self.tenants.into_iter().map(|(id, of_rate, calls, bytes)| {
            let state = TenantState {
                rate: of_rate.map(rate),
                tool_calls: calls.map(window),
                bytes: bytes.map(window),
            };
            (id, state)
        });
        let saved = SavedState {
            global: self.global.map(rate),
            tenants: tenants.collect(),
            tools: self
                .tools
                .into_iter()
                .map(|(name, state)| (name, rate(state)))
                .collect(),
        };
        gateway.take_used(saved, Nanos::new(self.now));
    }
}
